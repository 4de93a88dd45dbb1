"""How attempts and runs end, in words."""

from __future__ import annotations

import time
from typing import Any

from ..job import TrainingJob
from ..run import Interruption, Run, State
from ..worker import training as contract
from .task import Cause, Outcome, Task
from .work import Ending, Work

STOPPED = Cause("stop", Outcome(State.STOPPED, "stopped on request"))
ENDED_WITH_RUN = Cause("end", Outcome(State.STOPPED, "ended because the run has failed"))


def rehearsed(at: Interruption) -> str:
    """The reason of an attempt that was interrupted on purpose."""
    signal = "without SIGTERM" if at.kill else "by SIGTERM"
    return f"interrupted {signal} after {at.after:g} s, as --interrupt-at {at} asked"


def attempt_columns(task: Task, outcome: Outcome, work: Work) -> dict[str, Any]:
    """What is written down of an attempt that has ended."""
    now = time.time()
    lost = None
    if outcome.state is State.INTERRUPTED and isinstance(work.job, TrainingJob):
        newest = contract.newest_checkpoint(work.paths.checkpoints) or 0.0
        lost = max(0.0, now - max(newest, task.started or now))
    return {"state": str(outcome.state), "reason": outcome.reason, "finished": now, "lost": lost}


def finish(work: Work) -> None:
    """Write down how a run ended, once none of its tasks runs any more."""
    ending = work.ending or Ending(State.STOPPED, "stopped on request")
    if work.wants_stop and ending.state is not State.SUCCEEDED:
        ending = Ending(State.STOPPED, "stopped on request")
    work.reload_attempts()
    for warning in _warnings(work, ending.state):
        work.warn(warning)
    work.set_state(
        ending.state,
        reason=ending.reason,
        bad_input=int(ending.bad_input),
        finished=time.time(),
        **work.finishing_columns(),
    )


def _warnings(work: Work, state: State) -> list[str]:
    job = work.job
    if not isinstance(job, TrainingJob):
        return []
    found = [_unreached(work.run, index) for index in range(len(work.run.interrupt_at))]
    if state is State.SUCCEEDED and job.spot.enabled:
        found.append(_cost_of_no_checkpoint(work))
    return [text for text in found if text]


def _unreached(run: Run, index: int) -> str:
    at, number = run.interrupt_at[index], index + 1
    attempt = next((each for each in run.attempts if each.number == number), None)
    if attempt is None:
        return f"--interrupt-at {at} was never reached: there was no attempt {number}"
    if attempt.reason == rehearsed(at):
        return ""
    took = (attempt.finished or 0.0) - (attempt.started or attempt.finished or 0.0)
    return f"--interrupt-at {at} was never reached: attempt {number} ended after {took:.1f} s"


def _cost_of_no_checkpoint(work: Work) -> str:
    if contract.newest_checkpoint(work.paths.checkpoints) is not None:
        return ""
    last = work.run.attempts[-1]
    took = (last.finished or 0.0) - (last.started or last.finished or 0.0)
    cost = f"{took:.1f}" if took >= 1 else f"{took:.2f}"
    return (
        f"no checkpoint was written: on spot, an interruption would have cost up to {cost} s of work; "
        "write checkpoints to $TRAINYARD_CHECKPOINT_DIR"
    )
