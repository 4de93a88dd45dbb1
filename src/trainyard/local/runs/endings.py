"""What is written down of attempts and runs that end."""

from __future__ import annotations

import time
from typing import Any

from ...core.jobs.job import TrainingJob
from ...core.runs import outcomes
from ...core.runs.metrics import without_value
from ...core.runs.outcomes import Outcome
from ...core.runs.run import State
from ...worker import reasons
from ...worker.contract import contract
from ..tasks.task import Task
from .work import Work

STOPPED = outcomes.of(reasons.STOPPED)
ENDED_WITH_RUN = outcomes.of(reasons.ENDED_WITH_RUN)


def attempt_columns(task: Task, outcome: Outcome, work: Work) -> dict[str, Any]:
    """What is written down of an attempt that has ended."""
    now = time.time()
    lost = None
    if outcome.state is State.INTERRUPTED and work.run.is_training:
        newest = contract.newest_checkpoint(work.paths.checkpoints) or 0.0
        lost = max(0.0, now - max(newest, task.started or now))
    return {"state": str(outcome.state), "reason": outcome.reason, "finished": now, "lost": lost}


def finish(work: Work) -> None:
    """Write down how a run ended, once none of its tasks runs any more."""
    ending = work.ending or STOPPED
    if work.wants_stop and ending.state is not State.SUCCEEDED:
        ending = STOPPED
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
    found = outcomes.unreached(work.run)
    # What failed or was stopped may have ended before it had any to tell.
    wanted = job.metrics if state is State.SUCCEEDED else ()
    found += without_value(wanted, work.metrics, work.troubles)
    wrote_none = contract.newest_checkpoint(work.paths.checkpoints) is None
    if state is State.SUCCEEDED and job.spot.enabled and wrote_none:
        found.append(outcomes.cost_of_no_checkpoint(work.run.attempts[-1]))
    return found + contract.lost_in_s3(work.paths.checkpoints)
