"""What a training run's hosts say of themselves, in S3, as attempts of the run. Pure.

SageMaker tells of a job, not of the attempts inside of it; the worker writes them down, a file a host.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ...core.runs.run import Attempt, State
from ...worker.protocol import TERMINATED, former_history_file, history_file
from ...worker.reasons import CUT_SHORT, STOPPED
from ..account import names
from ..outcomes import TRAIN


class ModelFile(NamedTuple):
    """A file of a model: its path in it, its bytes, its sha256 (64 hexadecimal digits)."""

    relative: str
    size: int
    sha256: str


class History(NamedTuple):
    """What one host wrote: its attempts as they are in the file, warnings, and the files of its model, or why
    they make none."""

    host: str
    attempts: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    files: tuple[ModelFile, ...] = ()
    refused: str = ""


class Fate(NamedTuple):
    """What is known of the job around the attempts: its state, why, and when it ended; and of a job under way
    its last interruption, which its hosts may not have written down yet."""

    state: State
    reason: str = ""
    finished: float | None = None
    interruption: Attempt | None = None

    def of(self, parts: list[tuple[str, dict[str, Any]]]) -> Fate:
        """What is known of the job around its last attempt that hosts tell of."""
        last = self.interruption
        starts = [each["started"] for _, each in parts if each.get("started")]
        if last is None or self.state.ended or min(starts, default=0.0) >= (last.finished or 0.0):
            return self
        return Fate(State.INTERRUPTED, last.reason, last.finished)


def keys(run_id: str, host: str) -> tuple[str, str]:
    """Where a host's history lies in the model bucket, and where a worker of former days wrote it."""
    former = names.checkpoint_prefix(run_id) + former_history_file(host)
    return names.history_prefix(run_id) + history_file(host), former


def parse(host: str, content: bytes) -> History:
    """What a history file says; an empty history for one that is none."""
    try:
        found = json.loads(content)
        model = found.get("model")
        return History(
            host,
            tuple(found["attempts"]),
            tuple(found.get("warnings", ())),
            tuple(ModelFile(path, int(size), sha) for path, size, sha in (model or {}).get("files", ())),
            str((model or {}).get("refused", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return History(host)


def attempts(
    histories: Sequence[History], launch: int, fate: Fate, *, prior: Sequence[Attempt] = ()
) -> tuple[Attempt, ...]:
    """The run's attempts: `prior` are those of earlier launches as they were settled, then those that the
    hosts tell of `launch`. What is open or was ended from outside is as the job's `fate` says."""
    known = {attempt.number for attempt in prior}
    numbers = sorted({each["number"] for host in histories for each in host.attempts} - known)
    found = []
    for number in numbers:
        parts = [
            (host.host, each) for host in histories for each in host.attempts if each["number"] == number
        ]
        is_last = number == numbers[-1] and parts[0][1].get("launch", launch) == launch
        found.append(_attempt(number, parts, fate.of(parts) if is_last else None, many=len(histories) > 1))
    return (*prior, *found)


def _attempt(
    number: int, parts: list[tuple[str, dict[str, Any]]], fate: Fate | None, *, many: bool
) -> Attempt:
    state, reason = _verdict(parts, many)
    ends = [each.get("finished") for _, each in parts]
    finished = max((end for end in ends if end is not None), default=None)
    if None in ends and (fate is None or not (fate.state.ended or fate.state is State.INTERRUPTED)):
        finished = None
    if state in (TERMINATED, State.RUNNING):
        state, reason = _outside(fate, reason)
        if state is not State.RUNNING and finished is None and fate is not None:
            finished = fate.finished
    lost = [each["lost_seconds"] for _, each in parts if each.get("lost_seconds") is not None]
    return Attempt(
        number=number,
        task=TRAIN,
        state=State(state),
        reason=reason,
        started=min((each["started"] for _, each in parts if each.get("started")), default=None),
        finished=finished,
        lost_seconds=max(lost, default=None) if state is State.INTERRUPTED else None,
    )


def _verdict(parts: list[tuple[str, dict[str, Any]]], many: bool) -> tuple[str, str]:
    """The state and reason of an attempt from those of its hosts: the first that failed speaks for all."""
    failed = [(host, each) for host, each in parts if each["state"] == State.FAILED]
    if failed:
        host, first = min(failed, key=lambda pair: pair[1].get("finished") or float("inf"))
        reason = str(first.get("reason", ""))
        return State.FAILED, f"{host}: {reason}" if many and not reason.startswith(f"{host}: ") else reason
    for state in (State.INTERRUPTED, TERMINATED, State.RUNNING):
        for _, each in parts:
            if each["state"] == state:
                return state, str(each.get("reason", ""))
    return State.SUCCEEDED, ""


def _outside(fate: Fate | None, reason: str) -> tuple[State, str]:
    """The state of an attempt that its host did not see end, or that was ended from outside."""
    if fate is None or fate.state is State.INTERRUPTED:
        return State.INTERRUPTED, reason or (fate.reason if fate else "") or CUT_SHORT.words
    if fate.state is State.STOPPED:
        return State.STOPPED, STOPPED.words
    if fate.state is State.FAILED:
        return State.FAILED, fate.reason
    return (State.SUCCEEDED, "") if fate.state is State.SUCCEEDED else (State.RUNNING, "")


class Failure(NamedTuple):
    """Why a launch failed, as its hosts tell it; `bad_input` where a retry could not mend it."""

    reason: str
    bad_input: bool


def failure(histories: Sequence[History], launch: int) -> Failure | None:
    """Why the last attempt of a launch failed, in the words of the host that failed first; None where no host
    says that it did."""
    ours = [(host.host, each) for host in histories for each in host.attempts if each.get("launch") == launch]
    last = max((each["number"] for _, each in ours), default=0)
    failed = [pair for pair in ours if pair[1]["number"] == last and pair[1]["state"] == State.FAILED]
    if not failed:
        return None
    _, reason = _verdict(failed, many=len(histories) > 1)
    return Failure(reason, any(each.get("bad_input", False) for _, each in failed))


def is_complete(histories: Sequence[History], launch: int) -> bool:
    """Whether every host has written down how its last attempt of a launch ended, and its model."""
    ours = [[each for each in host.attempts if each.get("launch", launch) == launch] for host in histories]
    return bool(ours) and all(found and found[-1].get("finished") for found in ours)


def wrote_checkpoint(histories: Iterable[History]) -> bool:
    """Whether any attempt of any host wrote a checkpoint."""
    return any(each.get("checkpoint") is not None for host in histories for each in host.attempts)
