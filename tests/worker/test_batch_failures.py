"""What a failing job of a run leaves behind: a reason, a count, and a status that Batch acts on."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from trainyard.worker.reasons import HANDLER_LEFT

from .batch_run import HANDLER, BatchRun, packed, zipped
from .faulty import NONE, Fault, Proxy, s3_error
from .s3_server import BUCKET

RAISES = "def predict_fn(batch, model):\n    raise ValueError('no such column: age')\n"
KILLED = "ended by SIGKILL (from outside; when memory runs out, the system does this)"


@pytest.fixture
def batch(bucket: Any, moto: str, tmp_path: Path) -> BatchRun:
    run = BatchRun(bucket, moto, tmp_path, shards=1, indices=[0])
    run.put("datasets/d/rows.csv", "n\n1\n2\n")
    return run


def source(batch: BatchRun, handler: str) -> None:
    batch.put("code/sources/1/source.zip", zipped({"predict.py": handler}))


def failure(batch: BatchRun, name: str) -> dict[str, Any]:
    found: dict[str, Any] = batch.document(f"_run/failures/{name}.json")
    assert abs(found.pop("finished") - time.time()) < 60
    return found


def test_failures_are_counted_against_the_retries(batch: BatchRun) -> None:
    batch.done("plan")
    source(batch, RAISES)
    reason = "ValueError: no such column: age (predict.py:2)"
    for attempt, status in ((1, 75), (2, 75), (3, 1)):
        ended, log = batch.run("shard", attempt=attempt)
        assert (ended, log.count("ValueError: no such column")) == (status, 1)
        assert failure(batch, f"shard-00000-{attempt}") == {
            "reason": reason,
            "bad_input": False,
            "attempt": attempt,
            "launch": 1,
        }
    batch.manifest["launch"] = 2
    assert batch.run("shard", attempt=1)[0] == 75
    source(batch, HANDLER)
    batch.done("shard", attempt=2)
    batch.done("commit")


def test_lost_machines_do_not_count(batch: BatchRun) -> None:
    batch.done("plan")
    source(batch, RAISES)
    batch.manifest["retries"] = 0
    assert batch.run("shard", attempt=7)[0] == 1
    batch.manifest["retries"] = 1
    batch.bucket.delete_object(Bucket=BUCKET, Key=f"{batch.prefix}/_run/failures/shard-00000-7.json")
    assert batch.run("shard", attempt=8)[0] == 75


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (
            "def predict_fn(batch, model):\n    return [1]\n",
            "predict_fn returned 1 result for 2 rows (shard 0, ",
        ),
        (
            "import nothing_such\n",
            "ModuleNotFoundError: No module named 'nothing_such' (predict.py:1); add the",
        ),
        ("", "predict.py has no predict_fn(batch, model); define it"),
    ],
)
def test_a_handler_that_breaks_the_contract_is_not_tried_again(
    batch: BatchRun, handler: str, reason: str
) -> None:
    batch.done("plan")
    source(batch, handler)
    status, log = batch.run("shard")
    assert status == 1
    found = failure(batch, "shard-00000-1")
    assert found["reason"].startswith(reason)
    assert found["bad_input"]
    assert found["reason"] in log


def test_a_handler_that_reads_a_missing_file_is_told_where(batch: BatchRun) -> None:
    batch.done("plan")
    source(batch, "def model_fn(d):\n    open(d + '/weights')\ndef predict_fn(b, m): ...\n")
    assert batch.run("shard")[0] == 75
    reason = failure(batch, "shard-00000-1")["reason"]
    assert reason.startswith("FileNotFoundError: [Errno 2] No such file or directory: ")
    assert reason.endswith("(predict.py:2)")


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", KILLED),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV"),
        (
            "print('lost my way', flush=True); os._exit(3)",
            "exit status 3, without a word why; its log may tell more",
        ),
        ("os._exit(0)", HANDLER_LEFT.words),
    ],
)
def test_a_verb_that_dies_has_a_reason(batch: BatchRun, last: str, reason: str) -> None:
    batch.done("plan")
    source(batch, f"import os, signal\ndef predict_fn(batch, model):\n    {last}\n")
    status, log = batch.run("shard")
    assert (status, failure(batch, "shard-00000-1")["reason"]) == (75, reason)
    assert reason in log
    assert batch.names("_run/") == ["failures/shard-00000-1.json", "plan.json"]
    assert list(batch.folder.iterdir()) == []
    assert batch.names("part-") == []


def test_sigterm_reaches_the_handler_and_is_no_failure(batch: BatchRun) -> None:
    batch.done("plan")
    source(
        batch,
        """
import signal, sys, time
def end(number, frame):
    print("asked to end", flush=True)
    sys.exit(5)
def predict_fn(batch, model):
    signal.signal(signal.SIGTERM, end)
    print("predicting", flush=True)
    time.sleep(600)
""",
    )
    with batch.start("shard") as job:
        assert job.stdout is not None
        lines = []
        for line in job.stdout:
            lines.append(line)
            if "predicting" in line:
                job.send_signal(signal.SIGTERM)
    assert job.returncode == 143
    assert "asked to end\n" in lines
    assert batch.names("_run/") == ["plan.json"]
    assert list(batch.folder.iterdir()) == []


def test_sigterm_ends_a_job_that_is_still_being_prepared(batch: BatchRun, proxy: Proxy) -> None:
    batch.environment["AWS_ENDPOINT_URL_S3"] = proxy.url
    proxy.judge = lambda request: Fault(hang_after=3) if "source.zip" in request.target else NONE
    with batch.start("shard") as job:
        deadline = time.monotonic() + 30
        while not proxy.made("GET", "source.zip"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        job.send_signal(signal.SIGTERM)
        assert job.wait(timeout=10) == 143
    assert list(batch.folder.iterdir()) == []


def test_a_bad_row_fails_the_plan_for_good(batch: BatchRun) -> None:
    batch.put("datasets/d/rows.csv", "n,m\n1,2\n3\n")
    status, log = batch.run("plan")
    assert status == 1
    reason = "rows.csv line 3: 1 field where the header has 2; quote fields that hold commas"
    assert failure(batch, "plan-1") == {"reason": reason, "bad_input": True, "attempt": 1, "launch": 1}
    assert reason in log


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "model",
            f"s3://{BUCKET}/models/none.tar.gz",
            "the model s3://the-models/models/none.tar.gz: there is",
        ),
        ("model", f"s3://{BUCKET}/datasets/d/rows.csv", "is no archive; name a model.tar.gz, or a folder"),
        ("input", "s3://no-such-bucket-at-all/x", "there is no such bucket; name one that exists"),
        ("code", f"s3://{BUCKET}/none.zip", "there is no such object; name one that exists"),
    ],
)
def test_what_is_not_there_fails_the_plan_for_good(batch: BatchRun, key: str, value: str, words: str) -> None:
    batch.manifest[key] = value
    status, log = batch.run("plan")
    assert status == 1, log
    found = failure(batch, "plan-1")
    assert words in found["reason"]
    assert found["bad_input"]
    assert log.strip() == found["reason"]


def test_an_output_of_another_run_is_refused(batch: BatchRun) -> None:
    batch.done("plan")
    batch.manifest.update(run="digits-2", state=f"s3://{BUCKET}/predictions/digits-2/_run/")
    status, log = batch.run("plan")
    assert status == 1
    assert f"{batch.manifest['output']}: another run predicts there; name another place" in log


def test_an_output_that_the_role_may_not_write_is_told_so(batch: BatchRun, proxy: Proxy) -> None:
    batch.environment["AWS_ENDPOINT_URL_S3"] = proxy.url
    denied = s3_error(403, "AccessDenied", "not you")
    proxy.judge = lambda request: denied if request.method == "PUT" else NONE
    status, log = batch.run("plan")
    assert status == 75
    assert "the job's role may not write it (not you); grant the role s3:PutObject there" in log


def test_the_attempts_of_a_resumed_run_are_counted_on(batch: BatchRun) -> None:
    batch.done("plan")
    source(batch, RAISES)
    assert batch.run("shard", attempt=1)[0] == 75
    batch.manifest.update(launch=2, tried={"shard-00000": 4})
    for attempt, status in ((1, 75), (2, 75), (3, 1)):
        assert batch.run("shard", attempt=attempt)[0] == status
    numbers = sorted(int(name[12:-5]) for name in batch.names("_run/failures/"))
    assert numbers == [1, 5, 6, 7]


def test_an_input_that_the_role_may_not_read_is_told_so(batch: BatchRun, proxy: Proxy) -> None:
    batch.environment["AWS_ENDPOINT_URL_S3"] = proxy.url
    denied = s3_error(403, "AccessDenied", "User is not authorized")
    proxy.judge = lambda request: denied if "datasets" in request.target else NONE
    status, _ = batch.run("plan")
    assert status == 1
    words = "the job's role may not read it (User is not authorized); name its bucket in read_buckets"
    assert words in failure(batch, "plan-1")["reason"]


def test_a_commit_without_a_shard_is_tried_again(batch: BatchRun) -> None:
    batch.done("plan")
    assert batch.run("commit")[0] == 75
    found = failure(batch, "commit-1")
    assert found["reason"] == "shard 0: part-00000.csv is not in the output folder; run it again"
    assert not found["bad_input"]


def test_a_model_that_leads_out_of_its_folder_is_refused(batch: BatchRun) -> None:
    batch.done("plan")
    batch.put("models/m/output/model.tar.gz", packed({"../escaped": "x"}))
    status, log = batch.run("shard")
    assert status == 1
    found = failure(batch, "shard-00000-1")
    assert "this model cannot be unpacked: ../escaped leads out of the model by `..`" in found["reason"]
    assert found["bad_input"]
    assert log.strip() == found["reason"]


def test_a_source_that_leads_out_of_its_folder_is_refused(batch: BatchRun) -> None:
    batch.put("code/sources/1/source.zip", zipped({"../escaped": "x"}))
    status, _ = batch.run("plan")
    assert status == 1
    assert "the source reaches outside of its folder" in failure(batch, "plan-1")["reason"]


def test_requirements_that_cannot_be_had_are_told(batch: BatchRun) -> None:
    files = {"predict.py": HANDLER, "requirements.txt": "nothing-such==1.0\n"}
    batch.put("code/sources/1/source.zip", zipped(files))
    batch.manifest["requirements"] = True
    batch.environment.update(PIP_INDEX_URL="http://127.0.0.1:9/", PIP_RETRIES="0")
    assert batch.run("plan")[0] == 75
    assert failure(batch, "plan-1")["reason"].startswith("requirements.txt could not be installed: ")


def test_a_failure_that_cannot_be_written_down_is_tried_again(batch: BatchRun, proxy: Proxy) -> None:
    batch.done("plan")
    source(batch, RAISES)
    batch.environment["AWS_ENDPOINT_URL_S3"] = proxy.url
    proxy.judge = lambda request: s3_error(403, "AccessDenied") if "failures" in request.target else NONE
    status, log = batch.run("shard")
    assert status == 75
    assert "the failure could not be written down: " in log


def test_no_file_of_a_job_outlives_it_and_nobody_else_reads_them(batch: BatchRun) -> None:
    batch.done("plan")
    source(
        batch,
        "import os\ndef predict_fn(b, m):\n    d = os.environ['SM_MODEL_DIR'] + '/..'\n"
        "    print('mode', oct(os.stat(d).st_mode & 0o777)); return [0] * len(b)\n",
    )
    assert "mode 0o700" in batch.done("shard")
    assert list(batch.folder.iterdir()) == []


def test_a_manifest_that_is_none_ends_the_job(batch: BatchRun) -> None:
    batch.manifest = {"run": "x"}
    status, log = batch.run("plan")
    assert status == 1
    assert len(log.splitlines()) == 1
    assert "trainyard: " in log
    assert json.dumps(batch.manifest) not in log
