"""Where a training job on SageMaker keeps what became of its attempts: in S3, not among its checkpoints."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .faulty import NONE, Fault, Proxy, Request, s3_error
from .s3_server import BUCKET, variables
from .training_container import Container

KEY = "checkpoints/.attempts/toy-1/algo-1.json"
DENIED = s3_error(403, "AccessDenied", "Access Denied")
LOOK = "import os\nprint(sorted(os.listdir(os.environ['TRAINYARD_CHECKPOINT_DIR'])), flush=True)\n"
COUNT = LOOK + "print('attempt', os.environ['TRAINYARD_ATTEMPT'], flush=True)\n"


@pytest.fixture
def container(tmp_path: Path, bucket: Any, proxy: Proxy) -> Iterator[Container]:
    with Container(tmp_path / "ml", COUNT) as made:
        made.histories = f"s3://{BUCKET}/checkpoints/.attempts/toy-1/"
        made.variables = variables(proxy.url)
        yield made


def kept(bucket: Any) -> list[tuple[int, str]]:
    """Number and state of each attempt, as S3 has them."""
    document = json.loads(bucket.get_object(Bucket=BUCKET, Key=KEY)["Body"].read())
    return [(each["number"], each["state"]) for each in document["attempts"]]


def is_put(request: Request) -> bool:
    return request.method == "PUT"


def test_attempts_are_kept_in_s3_and_the_script_finds_its_own_files_alone(
    container: Container, bucket: Any
) -> None:
    container.files["train.py"] = COUNT + (
        "open(os.environ['TRAINYARD_CHECKPOINT_DIR'] + '/step', 'w').close()\n"
        "raise SystemExit(os.environ['TRAINYARD_ATTEMPT'] == '1')"
    )
    worker = container.run("--retries", "1")
    assert (worker.status, worker.lines) == (0, ["[]", "attempt 1", "['step']", "attempt 2"])
    assert kept(bucket) == [(1, "failed"), (2, "succeeded")]
    container.renew()
    assert container.run("--launch", "2").lines == ["['step']", "attempt 3"]
    assert kept(bucket) == [(1, "failed"), (2, "succeeded"), (3, "succeeded")]


def test_the_beginning_is_kept_before_the_script_starts(container: Container, bucket: Any) -> None:
    container.files["train.py"] = COUNT + "import time\ntime.sleep(60)\n"
    worker = container.start()
    worker.read_until("attempt 1\n")
    assert kept(bucket) == [(1, "running")]
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 143
    assert kept(bucket) == [(1, "terminated")]


def test_where_the_beginning_cannot_be_kept_the_attempt_fails_with_the_reason(
    container: Container, proxy: Proxy
) -> None:
    proxy.judge = lambda request: DENIED if is_put(request) else NONE
    worker = container.run("--retries", "3")
    assert worker.status == 1 and "attempt 1" not in worker.lines
    assert container.failure.startswith("the history of the attempts cannot be written: s3://the-models/che")
    assert "the job's role may not write it" in container.failure


def test_where_the_history_cannot_be_read_no_script_starts(container: Container, proxy: Proxy) -> None:
    proxy.judge = lambda request: DENIED
    worker = container.run()
    assert worker.status == 1 and "attempt 1" not in worker.lines
    assert container.failure.startswith("the history of the attempts cannot be read: ")


def test_to_a_role_that_may_list_below_a_prefix_alone_what_is_missing_is_forbidden(
    container: Container, proxy: Proxy, bucket: Any
) -> None:
    proxy.judge = lambda request: (
        DENIED if request.method == "GET" and "list-type" not in request.target else NONE
    )
    assert container.run().lines == ["[]", "attempt 1"]
    assert kept(bucket) == [(1, "succeeded")]


def test_what_cannot_be_kept_later_is_told_once_and_fails_nothing(
    container: Container, proxy: Proxy, bucket: Any
) -> None:
    puts: list[Request] = []

    def judge(request: Request) -> Fault:
        if is_put(request):
            puts.append(request)
        return DENIED if is_put(request) and len(puts) > 1 else NONE

    proxy.judge = judge
    worker = container.run()
    told = [
        line for line in worker.lines if line.startswith("the history of the attempts cannot be written: ")
    ]
    assert (worker.status, len(told), len(puts)) == (0, 1, 3)
    assert kept(bucket) == [(1, "running")]


def test_an_s3_that_does_not_answer_holds_up_neither_output_nor_signals(
    container: Container, proxy: Proxy
) -> None:
    puts: list[Request] = []
    answers = threading.Event()

    def judge(request: Request) -> Fault:
        if is_put(request):
            puts.append(request)
            if len(puts) > 1:
                answers.wait(60)
        return NONE

    proxy.judge = judge
    container.files["train.py"] = COUNT + (
        "import signal, time\nsignal.signal(15, lambda *_: print('asked', flush=True))\n"
        "time.sleep(0.3)\nprint('goes on', flush=True)\ntime.sleep(60)\n"
    )
    worker = container.start("--grace", "0.2")
    try:
        worker.read_until("goes on\n")
        worker.signal(signal.SIGTERM)
        worker.read_until("asked\n")
        assert worker.wait() == 143
    finally:
        answers.set()


def test_what_a_former_worker_left_among_the_checkpoints_is_read_once_and_removed(
    container: Container, bucket: Any
) -> None:
    former = {"attempts": [{"number": 4, "launch": 1, "state": "failed", "started": 1.0}]}
    (container.checkpoints / ".trainyard-history-algo-1.json").write_text(json.dumps(former))
    (container.checkpoints / ".trainyard-attempt-algo-1").write_text("4\n")
    assert container.run("--launch", "2").lines == ["[]", "attempt 5"]
    (container.checkpoints / ".trainyard-history-algo-1.json").write_text(json.dumps(former))
    assert container.run("--launch", "3").lines == ["[]", "attempt 6"]
    assert kept(bucket) == [(4, "failed"), (5, "succeeded"), (6, "succeeded")]


def test_a_scripts_own_s3_is_not_the_workers(container: Container, proxy: Proxy, bucket: Any) -> None:
    container.files["train.py"] = (
        COUNT + "print(os.environ['AWS_ENDPOINT_URL_S3'], os.environ.get('TRAINYARD_S3_ENDPOINT'))"
    )
    container.variables["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:9"
    assert container.run("--endpoint", proxy.url).lines[-1] == "http://127.0.0.1:9 None"
    assert kept(bucket) == [(1, "succeeded")]
