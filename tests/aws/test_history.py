"""What hosts write down of a training run, as its attempts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trainyard import Attempt, State
from trainyard.aws.sagemaker import history
from trainyard.aws.sagemaker.history import Fate, History

RUNNING, SUCCEEDED, FAILED = State.RUNNING, State.SUCCEEDED, State.FAILED


def attempt(
    number: int, state: str, *, launch: int = 1, finished: float | None = 9.0, **more: Any
) -> dict[str, Any]:
    return {"number": number, "launch": launch, "state": state, "started": 1.0, "finished": finished, **more}


def host(name: str, *attempts: dict[str, Any], **more: Any) -> History:
    return history.parse(name, json.dumps({"attempts": attempts, **more}).encode())


def states(found: tuple[Attempt, ...]) -> list[tuple[int, str]]:
    return [(each.number, str(each.state)) for each in found]


def test_attempts_are_as_their_host_tells_them() -> None:
    lost = attempt(1, "interrupted", reason="interrupted by SIGTERM", lost_seconds=2.5)
    one = host("algo-1", lost, attempt(2, "succeeded"))
    first, second = history.attempts([one], 1, Fate(SUCCEEDED))
    assert (first.task, first.reason, first.lost_seconds) == ("train", "interrupted by SIGTERM", 2.5)
    assert (second.state, second.started, second.finished, second.lost_seconds) == (SUCCEEDED, 1.0, 9.0, None)


def test_the_first_host_that_failed_speaks_for_all() -> None:
    hosts = [
        host("algo-1", attempt(1, "terminated", finished=6.0)),
        host("algo-2", attempt(1, "failed", reason="late", finished=5.0)),
        host("algo-3", attempt(1, "failed", reason="no memory", bad_input=True, finished=4.0)),
    ]
    [found] = history.attempts(hosts, 1, Fate(FAILED, "AlgorithmError: algo-3: no memory"))
    assert (found.state, found.reason, found.finished) == (FAILED, "algo-3: no memory", 6.0)
    assert history.failure(hosts, 1) == ("algo-3: no memory", True)
    assert history.failure(hosts, 2) is None


@pytest.mark.parametrize(
    ("fate", "state", "reason"),
    [
        (Fate(State.STOPPED, "stopped on request", 8.0), "stopped", "stopped on request"),
        (Fate(FAILED, "MaxRuntimeExceeded: too long", 8.0), "failed", "MaxRuntimeExceeded: too long"),
        (Fate(State.INTERRUPTED), "interrupted", "interrupted by SIGTERM from outside"),
        (Fate(RUNNING), "running", ""),
    ],
)
@pytest.mark.parametrize("told", ["terminated", "running"])
def test_what_was_ended_from_outside_is_as_the_job_has_it(
    fate: Fate, state: str, reason: str, told: str
) -> None:
    said = "interrupted by SIGTERM from outside" if told == "terminated" else ""
    one = host("algo-1", attempt(1, told, finished=None, reason=said))
    [found] = history.attempts([one], 1, fate)
    assert str(found.state) == state
    assert found.reason == (reason if said or state != "interrupted" else "interrupted")
    assert found.finished == fate.finished


def test_an_attempt_before_the_last_that_was_ended_from_outside_was_interrupted() -> None:
    one = host("algo-1", attempt(1, "terminated", lost_seconds=1.0), attempt(2, "succeeded"))
    assert states(history.attempts([one], 1, Fate(SUCCEEDED))) == [(1, "interrupted"), (2, "succeeded")]


def test_attempts_of_earlier_launches_stay_as_they_were_settled() -> None:
    prior = [Attempt(number=1, task="train", state=State.STOPPED, reason="stopped on request")]
    one = host("algo-1", attempt(1, "terminated"), attempt(2, "running", launch=2, finished=None))
    found = history.attempts([one], 2, Fate(RUNNING), prior=prior)
    assert states(found) == [(1, "stopped"), (2, "running")]
    assert found[0] is prior[0]


def test_a_job_that_has_not_yet_begun_its_own_attempt_leaves_the_old_ones_alone() -> None:
    prior = [Attempt(number=1, task="train", state=FAILED, reason="ill")]
    one = host("algo-1", attempt(1, "failed", reason="ill"))
    assert history.attempts([one], 2, Fate(State.QUEUED), prior=prior) == tuple(prior)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"attempts": 3}', b'{"model": 1}', b"\xff"])
def test_a_file_that_is_none_is_no_history(content: bytes) -> None:
    assert history.parse("algo-1", content) == History("algo-1")
    assert history.attempts([history.parse("algo-1", content)], 1, Fate(RUNNING)) == ()


def test_the_files_of_the_model_are_told() -> None:
    model = {"files": [["deep/a", 3, "ab"], ["b", 0, "cd"]]}
    found = host("algo-1", attempt(1, "succeeded"), model=model, warnings=["mind the gap"])
    assert [(each.relative, each.size) for each in found.files] == [("deep/a", 3), ("b", 0)]
    assert (found.warnings, history.wrote_checkpoint([found])) == (("mind the gap",), False)
    kept = host("algo-2", attempt(1, "succeeded", checkpoint=5.0), model=None)
    assert (kept.files, history.wrote_checkpoint([found, kept])) == ((), True)


def test_an_attempt_that_began_before_the_jobs_last_interruption_did_not_outlive_it() -> None:
    # The next attempt may run, and its log be read, before its host's history has come to S3.
    lost = Attempt(number=1, task="train", state=State.INTERRUPTED, reason="taken back", finished=8.0)
    before = host("algo-1", attempt(1, "running", finished=None))
    [found] = history.attempts([before], 1, Fate(RUNNING, interruption=lost))
    assert (found.state, found.reason, found.finished) == (State.INTERRUPTED, "taken back", 8.0)
    after = host(
        "algo-1", attempt(1, "interrupted"), {**attempt(2, "running", finished=None), "started": 8.5}
    )
    found = history.attempts([after], 1, Fate(RUNNING, interruption=lost))[-1]
    assert (found.number, found.state, found.finished) == (2, RUNNING, None)
    [stopped] = history.attempts([before], 1, Fate(State.STOPPED, "", 9.0, lost))
    assert stopped.state is State.STOPPED
