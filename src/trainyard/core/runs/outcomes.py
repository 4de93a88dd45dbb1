"""What became of attempts and runs: the causes of `worker/reasons.py`, with the states of runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...worker import reasons
from ...worker.protocol import is_shard
from ...worker.reasons import Cause, Ending
from ..jobs.job import Spot
from .run import Attempt, Run, State


class Outcome(NamedTuple):
    """The state of an attempt, a job or a run, and why; once it has ended also whether what it was given is
    to blame, and whether it is tried again: `AS_INTERRUPTION`, `BY_RETRIES` or `NEVER`."""

    state: State
    reason: str = ""
    bad_input: bool = False
    again: str = reasons.NEVER


def outcome(ending: Ending) -> Outcome:
    """What became of something that ended so."""
    cause, reason = ending
    return Outcome(State(cause.state), reason, cause.bad_input, cause.again)


def of(cause: Cause, *facts: object) -> Outcome:
    """What became of something that ended of this cause, with these facts."""
    return outcome(cause.of(*facts))


def completed(attempts: Sequence[Attempt]) -> Outcome:
    """A training run that succeeded: `completed after 2 interruptions`."""
    return outcome(reasons.completed(sum(attempt.state is State.INTERRUPTED for attempt in attempts)))


def predicted(rows: int) -> Outcome:
    """An inference run that succeeded: `predicted 200 rows`."""
    return outcome(reasons.predicted(rows))


def ran_too_long(spot: Spot) -> Outcome:
    """A training run that SageMaker's MaxRuntimeInSeconds ended."""
    return of(reasons.RAN_TOO_LONG, spot.max_runtime)


def waited_too_long(spot: Spot) -> Outcome:
    """A training run that SageMaker's MaxWaitTimeInSeconds ended."""
    return of(reasons.WAITED_TOO_LONG, spot.max_wait)


def model_not_kept(run: Run, why: str) -> Outcome:
    """A training run whose script did all it had to, and whose model folder makes no model as it is."""
    return of(reasons.MODEL_NOT_KEPT, why, keeping(run))


def keeping(run: Run) -> str:
    """The command that makes a version of what a run left, whatever that is."""
    yard = "" if run.yard == "local" else f" --on {run.yard}"
    return f"trainyard models add {run.name} {run.id}{yard}"


def has_kept_no_model(run: Run) -> bool:
    """Whether that is how the run ended."""
    return run.reason.startswith(reasons.MODEL_NOT_KEPT.words.partition("{")[0])


def is_of_code(run: Run) -> bool:
    """Whether the run failed by what its own program said as it ended: an exception, most likely."""
    is_exit = run.reason.rpartition(" (")[2].startswith("exit status ")
    return run.state is State.FAILED and (is_exit or is_shard(run.reason))


def unreached(run: Run) -> list[str]:
    """A warning for each interruption that was to be rehearsed and never came, once the run has ended."""
    return [text for index in range(len(run.interrupt_at)) if (text := _unreached(run, index))]


def _unreached(run: Run, index: int) -> str:
    at, number = run.interrupt_at[index], index + 1
    attempt = next((each for each in run.attempts if each.number == number), None)
    if attempt is None:
        return reasons.unreached(at, number, None)
    came = attempt.reason == reasons.rehearsed(at).reason
    return "" if came else reasons.unreached(at, number, _took(attempt))


def cost_of_no_checkpoint(last: Attempt) -> str:
    """The warning for a spot run that succeeded in the attempt `last` and wrote no checkpoint."""
    return reasons.cost_of_no_checkpoint(_took(last))


def is_of_run(warning: str) -> bool:
    """Whether a host's warning is one that is told of the run as a whole."""
    return warning.startswith(("--interrupt-at ", "no checkpoint was written"))


def _took(attempt: Attempt) -> float:
    return (attempt.finished or 0.0) - (attempt.started or attempt.finished or 0.0)
