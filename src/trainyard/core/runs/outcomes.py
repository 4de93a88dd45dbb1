"""How attempts and runs end, in words: the same in every yard. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ...worker import reasons
from ...worker.reasons import rehearsed
from ..jobs.job import Spot
from .run import Attempt, Run, State

__all__ = ["STOPPED", "completed", "cost_of_no_checkpoint", "predicted", "rehearsed", "unreached"]

STOPPED = "stopped on request"


def completed(attempts: Sequence[Attempt]) -> str:
    """The reason of a training run that succeeded: `completed after 2 interruptions`."""
    count = sum(attempt.state is State.INTERRUPTED for attempt in attempts)
    return f"completed after {count} interruption{'s' * (count > 1)}" if count else "completed"


def predicted(rows: int) -> str:
    """The reason of an inference run that succeeded: `predicted 200 rows`."""
    return f"predicted {rows} row{'s' * (rows != 1)}"


def unreached(run: Run) -> list[str]:
    """A warning for each interruption that was to be rehearsed and never came, once the run has ended."""
    return [text for index in range(len(run.interrupt_at)) if (text := _unreached(run, index))]


def _unreached(run: Run, index: int) -> str:
    at, number = run.interrupt_at[index], index + 1
    attempt = next((each for each in run.attempts if each.number == number), None)
    if attempt is None:
        return reasons.unreached(at, number, None)
    return "" if attempt.reason == rehearsed(at) else reasons.unreached(at, number, _took(attempt))


def cost_of_no_checkpoint(last: Attempt) -> str:
    """The warning for a spot run that succeeded in the attempt `last` and wrote no checkpoint."""
    return reasons.cost_of_no_checkpoint(_took(last))


def is_of_run(warning: str) -> bool:
    """Whether a host's warning is one that is told of the run as a whole."""
    return warning.startswith(("--interrupt-at ", "no checkpoint was written"))


def ran_too_long(spot: Spot) -> str:
    """The reason of a training run that SageMaker's MaxRuntimeInSeconds ended."""
    return f"MaxRuntimeExceeded: it ran longer than train.spot.max_runtime, {spot.max_runtime} s"


def took_too_long(spot: Spot) -> str:
    """The reason of a training run that SageMaker's MaxWaitTimeInSeconds ended."""
    return f"MaxWaitTimeExceeded: it took longer than train.spot.max_wait, {spot.max_wait} s"


def timed_out(timeout: float) -> str:
    """The reason of an attempt of a shard that took longer than its job allows."""
    return f"timed out after infer.timeout, {timeout:g} s"


def _took(attempt: Attempt) -> float:
    return (attempt.finished or 0.0) - (attempt.started or attempt.finished or 0.0)
