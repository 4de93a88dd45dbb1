"""What SageMaker and Batch say of a job -> the state of a run, with its reason and its attempts. Pure.

Statuses are those of botocore's enums (`TrainingJobStatus`, `SecondaryStatus`, `JobStatus`), all of them.
What they mean is said in DescribeTrainingJob's documentation and in the Batch User Guide ("Job states").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from .. import outcomes
from ..job import InferenceJob, TrainingJob
from ..run import Attempt, State
from . import reasons

_PROGRESS = {
    "Pending": State.QUEUED,
    "Starting": State.STARTING,
    "LaunchingMLInstances": State.STARTING,
    "PreparingTrainingStack": State.STARTING,
    "Downloading": State.STARTING,
    "DownloadingTrainingImage": State.STARTING,
    "Training": State.RUNNING,
    "Updating": State.RUNNING,
    "Uploading": State.RUNNING,
    "Interrupted": State.INTERRUPTED,
    "Restarting": State.INTERRUPTED,
    # What follows is the end of a job whose primary status lags behind.
    "Stopping": State.RUNNING,
    "Stopped": State.RUNNING,
    "MaxRuntimeExceeded": State.RUNNING,
    "MaxWaitTimeExceeded": State.RUNNING,
    "Completed": State.RUNNING,
    "Failed": State.RUNNING,
}
TIMEOUTS = ("MaxRuntimeExceeded", "MaxWaitTimeExceeded")


def _ended(state: State) -> dict[str, State]:
    # A job that its StoppingCondition ended is a failure, whatever it could still save.
    return {secondary: State.FAILED if secondary in TIMEOUTS else state for secondary in _PROGRESS}


TRAINING: dict[str, dict[str, State]] = {
    "InProgress": _PROGRESS,
    "Stopping": dict.fromkeys(_PROGRESS, State.RUNNING),
    "Completed": _ended(State.SUCCEEDED),
    "Failed": dict.fromkeys(_PROGRESS, State.FAILED),
    "Stopped": _ended(State.STOPPED),
    # Only what has ended can be deleted.
    "Deleting": {**_ended(State.STOPPED), "Completed": State.SUCCEEDED, "Failed": State.FAILED},
}
"""TrainingJobStatus -> SecondaryStatus -> the state of the run."""

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

_SAID = {
    "Pending": "waiting for machines",
    "LaunchingMLInstances": "launching machines",
    "PreparingTrainingStack": "preparing machines",
    "Downloading": "downloading channels",
    "DownloadingTrainingImage": "downloading the image",
    "Interrupted": reasons.RECLAIMED,
    "Restarting": reasons.RESTARTED,
    "Uploading": "uploading the model",
    "Stopping": "stopping",
}
TRAIN = "train"


class Verdict(NamedTuple):
    """The state of a job or run, why, and whether what it was given is to blame."""

    state: State
    reason: str = ""
    bad_input: bool = False


def training_verdict(job: TrainingJob, answer: Mapping[str, Any]) -> Verdict:
    """What DescribeTrainingJob's answer says of a run. A status that is newer than this is `running`."""
    status, secondary = answer["TrainingJobStatus"], answer["SecondaryStatus"]
    state = TRAINING.get(status, {}).get(secondary, State.RUNNING)
    if status == "Stopping":
        return Verdict(state, _SAID["Stopping"])
    if not state.ended:
        return Verdict(state, _progress(secondary, answer))
    if state is State.SUCCEEDED:
        return Verdict(state, outcomes.completed(training_attempts(answer)))
    if secondary in TIMEOUTS or state is State.STOPPED:
        return Verdict(state, *reasons.stopped(secondary, job))
    return Verdict(state, *reasons.training_failure(answer.get("FailureReason", ""), job))


def training_attempts(answer: Mapping[str, Any], *, first: int = 1, reason: str = "") -> tuple[Attempt, ...]:
    """The attempts that SageMaker has seen, counted from `first`: each began with a `Training`, and all but
    the last were interrupted; `reason` is the last one's. What went on inside, the worker's history tells."""
    found: list[Attempt] = []
    open_since: float | None = None
    for each in answer.get("SecondaryStatusTransitions", ()):
        status, at = each["Status"], _seconds(each["StartTime"])
        if status == "Training" and open_since is None:
            open_since = at
        elif status in ("Interrupted", "Restarting", "Starting") and open_since is not None:
            why = reasons.RECLAIMED if status == "Interrupted" else reasons.RESTARTED
            found.append(_attempt(first + len(found), State.INTERRUPTED, why, open_since, at))
            open_since = None
    if open_since is not None:
        state = TRAINING.get(answer["TrainingJobStatus"], {}).get(answer["SecondaryStatus"], State.RUNNING)
        end = _seconds(answer.get("TrainingEndTime")) if state.ended else None
        found.append(_attempt(first + len(found), state, reason, open_since, end))
    return tuple(found)


def batch_verdict(job: InferenceJob, answer: Mapping[str, Any]) -> Verdict:
    """What one of DescribeJobs' `jobs` says of itself. A status that is newer than this is `running`."""
    state = BATCH.get(answer["status"], State.RUNNING)
    if state is State.FAILED:
        if reasons.was_stopped(answer):
            return Verdict(State.STOPPED, outcomes.STOPPED)
        return Verdict(state, *reasons.batch_failure(answer, job))
    if answer["status"] == "RUNNABLE":
        return Verdict(state, reasons.waiting(answer.get("statusReason", "")))
    return Verdict(state)


def inference_verdict(
    job: InferenceJob,
    plan: Mapping[str, Any] | None,
    shards: Mapping[str, Any] | None,
    commit: Mapping[str, Any] | None,
) -> Verdict:
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
        return Verdict(State.RUNNING, waits)
    for wanted in (State.STARTING, State.QUEUED):
        for verdict in verdicts:
            if verdict.state is wanted:
                return verdict
    return Verdict(State.FAILED, "Batch has ended the run, and does not say why")


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
        found.append(_attempt(first + index, state, reason, *times, task=task))
    if verdict.state in (State.STARTING, State.RUNNING):
        started = _milliseconds(answer.get("startedAt"))
        found.append(_attempt(first + len(ended), verdict.state, "", started, None, task=task))
    return tuple(found)


def _progress(secondary: str, answer: Mapping[str, Any]) -> str:
    # While machines are looked for, the message alone tells whether there are any: shown, and never acted on.
    if secondary == "Starting" and answer.get("SecondaryStatusTransitions"):
        last = answer["SecondaryStatusTransitions"][-1]
        if last["Status"] == secondary:
            return " ".join(last.get("StatusMessage", "").split())
    return _SAID.get(secondary, "")


def _is_consequence(answer: Mapping[str, Any]) -> bool:
    return str(answer.get("statusReason", "")).startswith(reasons.DEPENDENT)


def _has_begun(answers: Sequence[Mapping[str, Any]]) -> bool:
    for each in answers:
        counts = each.get("arrayProperties", {}).get("statusSummary", {})
        begun = ("RUNNING", "SUCCEEDED", "FAILED")
        if each["status"] in begun and not _is_consequence(each):
            return True
        if any(counts.get(status) for status in begun):
            return True
    return False


def _attempt_end(attempt: Mapping[str, Any], verdict: Verdict | None, said: str) -> tuple[State, str]:
    container = attempt.get("container", {})
    status = str(attempt.get("statusReason", ""))
    if verdict is not None and verdict.state is not State.FAILED:
        return verdict.state, verdict.reason
    if told := reasons.interruption(str(container.get("reason", "")), status):
        return (State.FAILED if verdict else State.INTERRUPTED), verdict.reason if verdict else told
    if said:
        return State.FAILED, said
    if verdict is not None:
        return State.FAILED, verdict.reason
    return State.FAILED, f"exit status {container.get('exitCode', 1)}"


def _attempt(
    number: int,
    state: State,
    reason: str,
    started: float | None,
    finished: float | None,
    *,
    task: str = TRAIN,
) -> Attempt:
    return Attempt(number=number, task=task, state=state, reason=reason, started=started, finished=finished)


def _seconds(time: Any) -> float | None:
    return time.timestamp() if isinstance(time, datetime) else time


def _milliseconds(time: int | None) -> float | None:
    return None if time is None else time / 1000
