"""The ledger in the model bucket: nothing lost, nothing doubled, no traceback, and few requests."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from trainyard.aws.account.session import Session
from trainyard.aws.s3.ledger import S3Ledger
from trainyard.core.errors import TrainyardError
from trainyard.core.jobs.job import InferenceJob, TrainingJob
from trainyard.core.ports.engine import RunQuery
from trainyard.core.ports.ledger import DataSet, Model
from trainyard.core.runs.run import Attempt, Channel, Interruption, Observation, Run, State
from trainyard.core.runs.serialization import run_from_record, run_to_record
from worker.faulty import NONE, SLOW_DOWN, Fault, Proxy

from .buckets import WHERE, Buckets, buckets, counted, ledger, proxy, session, session_at

__all__ = ["buckets", "ledger", "proxy", "session"]
BUCKET = WHERE.model_bucket
DONE = Observation(
    state=State.SUCCEEDED, reason="completed", metrics={"loss": 0.5}, started=1.0, finished=2.0
)


def training(number: int = 0, **changes: Any) -> Run:
    job = TrainingJob(name="digits", entry_script="train.py", hyperparameters={"epochs": 3})
    values: dict[str, Any] = {
        "id": f"digits-aaaaaa{number % 10}",
        "job": job,
        "yard": "dev",
        "created": number,
    }
    return Run(**(values | changes))


def inference(number: int = 0) -> Run:
    job = InferenceJob(name="guess", handler="predict.py")
    return Run(id=f"guess-aaaaaa{number}", job=job, yard="dev", created=number, output="s3://the-models/p/")


def dataset(name: str = "rows", created: float = 5.0) -> DataSet:
    return DataSet(name=name, version=0, hash=f"sha256:{created}", bytes=8, files=2, created=created)


def model(run: str, name: str = "digits") -> Model:
    return Model(name=name, version=0, run=run, path="s3://the-models/m", created=3.0, metrics={"loss": 0.5})


def test_a_run_is_read_back_as_it_was_written(ledger: S3Ledger) -> None:
    attempt = Attempt(
        number=1, task="train", state=State.INTERRUPTED, reason="spot", started=1.5, lost_seconds=2.5
    )
    run = training(
        channels={"train": Channel(uri="s3://b/k/", dataset="rows@1")},
        interrupt_at=(Interruption(after=5.0, kill=True),),
        code="c0de",
        seen=Observation(state=State.QUEUED, attempts=(attempt,), started=1.5, billable_seconds=7),
    )
    assert ledger.submit(run)
    assert ledger.run(run.id) == run

    ended = run.observed(
        DONE.replace(attempts=(attempt,), warnings=("slow",), model="digits@1", training_seconds=9)
    )
    ledger.settle(ended)
    assert ledger.run(run.id) == ended


def test_a_record_survives_both_ways_for_either_kind() -> None:
    for run in (training(3).observed(DONE), inference(4)):
        assert run_from_record(run_to_record(run)) == run


def test_a_launch_is_written_down_once(ledger: S3Ledger) -> None:
    assert ledger.submit(training())
    assert not ledger.submit(training(code="other"))
    found = ledger.run("digits-aaaaaa0")
    assert found is not None and found.code == ""


def test_an_ending_that_is_written_stays(ledger: S3Ledger) -> None:
    ledger.submit(training())
    ledger.settle(training().observed(DONE))
    ledger.settle(training().observed(DONE.replace(reason="another")))
    found = ledger.run("digits-aaaaaa0")
    assert found is not None and found.reason == "completed"


def test_a_resumed_run_is_open_again_and_keeps_what_came_before(ledger: S3Ledger) -> None:
    run = training().observed(DONE.replace(state=State.FAILED, reason="out of memory"))
    ledger.submit(training())
    ledger.settle(run)
    assert ledger.submit(run.again())
    found = ledger.run(run.id)
    assert found is not None
    assert (found.launch, found.state, found.reason) == (2, State.QUEUED, "")
    assert found.metrics == {"loss": 0.5}
    assert [each.id for each in ledger.open_runs()] == [run.id]

    ledger.settle(found.observed(DONE))
    assert [each.state for each in ledger.runs(RunQuery())] == [State.SUCCEEDED]
    assert not ledger.open_runs()


def test_an_unknown_run_is_none_and_an_empty_ledger_is_empty(ledger: S3Ledger) -> None:
    assert ledger.run("digits-none") is None
    assert (ledger.run_ids(), ledger.runs(RunQuery()), ledger.open_runs()) == ([], [], [])
    assert (ledger.models(), ledger.datasets()) == ([], [])


def test_a_hundred_settled_runs_take_three_requests(session: Session, ledger: S3Ledger) -> None:
    def write(number: int) -> None:
        run = training(number, id=f"digits-{number:07d}").observed(DONE)
        ledger.submit(run)
        ledger.settle(run)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(100)))
    first = ledger.runs(RunQuery())
    counted(session)

    assert ledger.runs(RunQuery()) == first
    assert sum(counted(session).values()) <= 3
    assert [run.created for run in first] == list(range(99, -1, -1))
    assert S3Ledger(session, WHERE).runs(RunQuery(limit=20)) == first[:20]
    assert sum(counted(session).values()) <= 3


def test_runs_are_found_by_name_kind_and_newest(ledger: S3Ledger) -> None:
    for number in range(5):
        ledger.submit(training(number).observed(DONE))
        ledger.submit(inference(number))
        ledger.settle(training(number).observed(DONE))
    for _ in range(2):  # without the cache, and with it
        newest = ledger.runs(RunQuery(limit=3))
        assert [run.created for run in newest] == [4, 4, 3]
        assert [run.id for run in ledger.runs(RunQuery(name="guess", limit=2))] == [
            "guess-aaaaaa4",
            "guess-aaaaaa3",
        ]
        assert {run.name for run in ledger.runs(RunQuery(kind="training"))} == {"digits"}
        assert len(ledger.runs(RunQuery(kind="inference", limit=4))) == 4
        assert ledger.runs(RunQuery(name="nothing")) == []
    assert len(ledger.run_ids()) == 10


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format":1,"runs":[{"id":"x"}]}', b'{"format":2}'])
def test_a_cache_that_is_damaged_is_made_anew(ledger: S3Ledger, buckets: Buckets, content: bytes) -> None:
    ledger.submit(training())
    ledger.settle(training().observed(DONE))
    buckets.put(BUCKET, "ledger/runs.json", content)
    assert [run.state for run in ledger.runs(RunQuery())] == [State.SUCCEEDED]
    if b'"format":2' not in content:
        assert b"digits-aaaaaa0" in buckets.get(BUCKET, "ledger/runs.json")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no record that trainyard wrote"),
        (b"[1]", "is no record that trainyard wrote"),
        (b'{"format":1}', "is no record that trainyard wrote"),
        (b'{"format":2,"what":"ever"}', "was written by a newer trainyard; upgrade this one"),
    ],
)
def test_a_record_that_cannot_be_read_is_named(
    ledger: S3Ledger, buckets: Buckets, content: bytes, words: str
) -> None:
    for key, read in (
        ("ledger/runs/digits-aaaaaa0/1.json", lambda: ledger.run("digits-aaaaaa0")),
        ("ledger/models/digits/1.json", ledger.models),
        ("ledger/datasets/rows/1.json", ledger.datasets),
    ):
        buckets.put(BUCKET, key, content)
        with pytest.raises(TrainyardError, match=f"s3://the-models/{key}: {words}") as refused:
            read()
        assert "\n" not in str(refused.value)


def test_what_is_no_record_of_ours_is_left_alone(ledger: S3Ledger, buckets: Buckets) -> None:
    for key in ("ledger/runs/", "ledger/runs/x/notes.txt", "ledger/models/digits/readme.md"):
        buckets.put(BUCKET, key, b"?")
    assert (ledger.runs(RunQuery()), ledger.models()) == ([], [])


def test_versions_count_from_one_and_names_are_apart(ledger: S3Ledger) -> None:
    assert ledger.add_dataset(dataset(), "s3://d/1/").version == 1
    assert ledger.add_dataset(dataset(created=6.0), "s3://d/2/").ref == "rows@2"
    assert ledger.add_dataset(dataset("rows-more"), "s3://d/3/").ref == "rows-more@1"
    assert [each.ref for each in ledger.datasets("rows")] == ["rows@1", "rows@2"]
    assert [each.path for each in ledger.datasets()] == ["s3://d/1/", "s3://d/2/", "s3://d/3/"]


def test_two_who_push_at_once_both_get_a_version(session: Session, buckets: Buckets, proxy: Proxy) -> None:
    together = threading.Barrier(4)

    def push(number: int) -> int:
        session = session_at(proxy.url)
        mine = S3Ledger(session, WHERE)
        mine.datasets()
        together.wait()
        made = mine.add_dataset(dataset(created=float(number)), f"s3://d/{number}/")
        session.client("s3").close()
        return made.version

    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(push, range(4)))
    assert sorted(versions) == [1, 2, 3, 4]
    found = S3Ledger(session, WHERE).datasets()
    assert {each.version: each.path for each in found} == {
        version: f"s3://d/{number}/" for number, version in enumerate(versions)
    }


def test_a_run_has_one_model_whoever_settles_it(ledger: S3Ledger, session: Session) -> None:
    assert ledger.settle_model(model("digits-1")).version == 1
    assert ledger.settle_model(model("digits-2")).version == 2
    assert S3Ledger(session, WHERE).settle_model(model("digits-1")).version == 1
    assert [each.run for each in ledger.models("digits")] == ["digits-1", "digits-2"]


def test_an_answer_that_is_lost_doubles_nothing(ledger: S3Ledger, proxy: Proxy, buckets: Buckets) -> None:
    proxy.judge = lambda request: Fault(reset_after=request.method == "PUT" and not request.again)
    assert ledger.add_dataset(dataset(), "s3://d/1/").version == 1
    assert ledger.settle_model(model("digits-1")).version == 1
    ledger.settle(training().observed(DONE))
    assert sorted(buckets.keys(BUCKET)) == [
        "ledger/datasets/rows/1.json",
        "ledger/models/digits/1.json",
        "ledger/runs/digits-aaaaaa0/1-end.json",
    ]


def test_a_busy_bucket_is_asked_again(ledger: S3Ledger, proxy: Proxy) -> None:
    proxy.judge = lambda request: NONE if request.again else Fault(SLOW_DOWN)
    began = time.monotonic()
    assert ledger.submit(training())
    assert ledger.run("digits-aaaaaa0") == training()
    assert time.monotonic() - began < 20


def test_the_cache_of_somebody_faster_is_left(session: Session, ledger: S3Ledger, proxy: Proxy) -> None:
    for number in range(2):
        ledger.submit(training(number))
        ledger.settle(training(number).observed(DONE))
        ledger.runs(RunQuery())
    other = S3Ledger(session, WHERE)
    for number in (2, 3):
        other.submit(training(number))
        other.settle(training(number).observed(DONE))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda each: each.runs(RunQuery()), (ledger, other)))
    assert found[0] == found[1] and len(found[0]) == 4
    assert len(ledger.runs(RunQuery())) == 4
