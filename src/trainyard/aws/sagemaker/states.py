"""What SageMaker says of a job -> the state of a run, with its reason and its attempts. Pure.

Statuses are those of botocore's enums (`TrainingJobStatus`, `SecondaryStatus`), all of them. What they mean
is said in DescribeTrainingJob's documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ...core.environments.facts import TIMEOUTS
from ...core.jobs.job import TrainingJob
from ...core.runs import outcomes
from ...core.runs.outcomes import Outcome
from ...core.runs.run import Attempt, State
from ...worker.reasons import RECLAIMED, RESTARTED
from ..outcomes import new_attempt
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


_SAID = {
    "Pending": "waiting for machines",
    "LaunchingMLInstances": "launching machines",
    "PreparingTrainingStack": "preparing machines",
    "Downloading": "downloading channels",
    "DownloadingTrainingImage": "downloading the image",
    "Interrupted": RECLAIMED.words,
    "Restarting": RESTARTED.words,
    "Uploading": "uploading the model",
    "Stopping": "stopping",
}


def training_verdict(job: TrainingJob, answer: Mapping[str, Any]) -> Outcome:
    """What DescribeTrainingJob's answer says of a run. A status that is newer than this is `running`."""
    status, secondary = answer["TrainingJobStatus"], answer["SecondaryStatus"]
    state = TRAINING.get(status, {}).get(secondary, State.RUNNING)
    if status == "Stopping":
        return Outcome(state, _SAID["Stopping"])
    if not state.ended:
        return Outcome(state, _progress(secondary, answer))
    if state is State.SUCCEEDED:
        return outcomes.completed(training_attempts(answer))
    if secondary in TIMEOUTS or state is State.STOPPED:
        return reasons.stopped(secondary, job)
    return outcomes.outcome(reasons.training_failure(answer.get("FailureReason", ""), job))


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
            why = (RECLAIMED if status == "Interrupted" else RESTARTED).words
            found.append(new_attempt(first + len(found), State.INTERRUPTED, why, open_since, at))
            open_since = None
    if open_since is not None:
        state = TRAINING.get(answer["TrainingJobStatus"], {}).get(answer["SecondaryStatus"], State.RUNNING)
        end = _seconds(answer.get("TrainingEndTime")) if state.ended else None
        found.append(new_attempt(first + len(found), state, reason, open_since, end))
    return tuple(found)


def last_interruption(answer: Mapping[str, Any]) -> Attempt | None:
    """The last attempt that SageMaker itself saw interrupted, counted from 1; None where none was."""
    seen = [each for each in training_attempts(answer) if each.state is State.INTERRUPTED]
    return seen[-1] if seen else None


def _progress(secondary: str, answer: Mapping[str, Any]) -> str:
    # While machines are looked for, the message alone tells whether there are any: shown, and never acted on.
    if secondary == "Starting" and answer.get("SecondaryStatusTransitions"):
        last = answer["SecondaryStatusTransitions"][-1]
        if last["Status"] == secondary:
            return " ".join(last.get("StatusMessage", "").split())
    return _SAID.get(secondary, "")


def _seconds(time: Any) -> float | None:
    return time.timestamp() if isinstance(time, datetime) else time
