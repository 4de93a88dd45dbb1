"""What Batch says of its jobs -> the state of a run, with its reason and its attempts. Pure.

Statuses are those of botocore's enum `JobStatus`, all of them; what they mean is in the Batch User Guide
("Job states").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.environments.facts import DEPENDENT_FAILED
from ...core.jobs.job import InferenceJob
from ...core.runs import outcomes
from ...core.runs.outcomes import Outcome
from ...core.runs.run import Attempt, State
from ...worker.reasons import EXITED_SOMEHOW, STOPPED, UNKNOWN_TO_BATCH
from ..outcomes import new_attempt
from . import reasons

BATCH = {
    "SUBMITTED": State.QUEUED,
    "PENDING": State.QUEUED,
    "RUNNABLE": State.QUEUED,
    "STARTING": State.STARTING,
    "RUNNING": State.RUNNING,
    "SUCCEEDED": State.SUCCEEDED,
    "FAILED": State.FAILED,
}
"""JobStatus -> the state of a job; one that was stopped on request is FAILED too, and told by its reason."""


def batch_verdict(job: InferenceJob, answer: Mapping[str, Any]) -> Outcome:
    """What one of DescribeJobs' `jobs` says of itself. A status that is newer than this is `running`."""
    state = BATCH.get(answer["status"], State.RUNNING)
    if state is State.FAILED:
        if reasons.was_stopped(answer):
            return outcomes.of(STOPPED)
        return outcomes.outcome(reasons.batch_failure(answer, job))
    if answer["status"] == "RUNNABLE":
        return Outcome(state, reasons.waiting(answer.get("statusReason", "")))
    return Outcome(state)


def inference_verdict(
    job: InferenceJob,
    plan: Mapping[str, Any] | None,
    shards: Mapping[str, Any] | None,
    commit: Mapping[str, Any] | None,
) -> Outcome:
    """What the Batch jobs of a launch together say of the run; None for one that was not submitted, or that
    Batch has forgotten.

    An array that failed is said to have failed: which shard and why, its children and the worker tell.
    """
    there = [each for each in (plan, shards, commit) if each is not None]
    verdicts = [batch_verdict(job, each) for each in there]
    if commit is not None and verdicts[-1].state is State.SUCCEEDED:
        return verdicts[-1]
    for each, verdict in zip(there, verdicts, strict=True):
        if verdict.state in (State.STOPPED, State.FAILED) and not _is_consequence(each):
            return verdict
    if _has_begun(there):
        waits = next((verdict.reason for verdict in verdicts if verdict.reason), "")
        return Outcome(State.RUNNING, waits)
    for wanted in (State.STARTING, State.QUEUED):
        for verdict in verdicts:
            if verdict.state is wanted:
                return verdict
    return outcomes.of(UNKNOWN_TO_BATCH)


def batch_attempts(
    job: InferenceJob,
    answer: Mapping[str, Any],
    task: str,
    *,
    said: Mapping[int, str] | None = None,
    first: int = 1,
) -> tuple[Attempt, ...]:
    """The attempts of a task (`plan`, `shard-00002`, `commit`) by its Batch job, counted from `first`.

    `said` has the worker's own reasons, by Batch's number of the attempt.
    """
    ended = list(answer.get("attempts", ()))
    verdict = batch_verdict(job, answer)
    found = []
    for index, each in enumerate(ended):
        number = index + 1
        is_last = number == len(ended) and verdict.state.ended
        state, reason = _attempt_end(each, verdict if is_last else None, (said or {}).get(number, ""))
        times = _milliseconds(each.get("startedAt")), _milliseconds(each.get("stoppedAt"))
        found.append(new_attempt(first + index, state, reason, *times, task=task))
    if verdict.state in (State.STARTING, State.RUNNING):
        started = _milliseconds(answer.get("startedAt"))
        found.append(new_attempt(first + len(ended), verdict.state, "", started, None, task=task))
    return tuple(found)


def _is_consequence(answer: Mapping[str, Any]) -> bool:
    return str(answer.get("statusReason", "")).startswith(DEPENDENT_FAILED)


def _has_begun(answers: Sequence[Mapping[str, Any]]) -> bool:
    for each in answers:
        counts = each.get("arrayProperties", {}).get("statusSummary", {})
        begun = ("RUNNING", "SUCCEEDED", "FAILED")
        if each["status"] in begun and not _is_consequence(each):
            return True
        if any(counts.get(status) for status in begun):
            return True
    return False


def _attempt_end(attempt: Mapping[str, Any], verdict: Outcome | None, said: str) -> tuple[State, str]:
    container = attempt.get("container", {})
    status = str(attempt.get("statusReason", ""))
    if verdict is not None and verdict.state is not State.FAILED:
        return verdict.state, verdict.reason
    if lost := reasons.interruption(str(container.get("reason", "")), status):
        return (State.FAILED if verdict else State.INTERRUPTED), verdict.reason if verdict else lost.reason
    if said:
        return State.FAILED, said
    if verdict is not None:
        return State.FAILED, verdict.reason
    return State.FAILED, EXITED_SOMEHOW.of(container.get("exitCode", 1)).reason


def _milliseconds(time: int | None) -> float | None:
    return None if time is None else time / 1000
