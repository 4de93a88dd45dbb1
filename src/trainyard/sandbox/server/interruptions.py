"""What a person does to a sandbox that runs: take a run's machines away, and see what goes on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...core.environments.facts import job_name_prefix
from ...core.errors import BadInput, nearest
from ..api.control import Call, control
from ..batch.jobs import Job
from ..batch.scheduler import JobScheduler
from ..sagemaker.job import TERMINAL, EmulatedTrainingJob
from ..sagemaker.operations import JobTable
from ..world.world import World
from .stacks import ENVIRONMENT

_PREFIX = job_name_prefix(ENVIRONMENT.prefix, ENVIRONMENT.name)


@control("lose")
def lose(world: World, call: Call) -> Mapping[str, Any]:
    """Take the machines of `run` away: a run's id, or the name or id of a job of SageMaker's or Batch's.

    With `kill` a training job's machines go without a SIGTERM before.
    """
    wanted, kill = str(call.body.get("run", "")), bool(call.body.get("kill", False))
    with world.lock:
        trainings, batches = _running(world)
        named = [job for job in trainings if _means(wanted, job.name, r"(-\d+)?")]
        if named:
            world.part(JobTable).runs[named[-1].name].interrupt(kill=kill)
            return {"interrupted": [named[-1].name]}
        known = world.part(JobScheduler)
        found = [job for job in batches if _means(wanted, job.spec.name, r"-\d+-\w+")]
        found += [known.jobs[wanted]] if wanted in known.jobs else []
        lost = [each for job in found for each in known.interrupt(job)]
        if not lost:
            raise _nothing(wanted, [job.name for job in trainings], [job.spec.name for job in batches])
        return {"interrupted": lost}


@control("status")
def status(world: World, _: Call) -> Mapping[str, Any]:
    """How many jobs have not ended, and the settings."""
    with world.lock:
        trainings, batches = _running(world)
        return {
            "training_jobs": len(trainings),
            "batch_jobs": len(batches),
            "settings": dict(vars(world.settings)),
        }


def _running(world: World) -> tuple[list[EmulatedTrainingJob], list[Job]]:
    """The jobs that have not ended, in the order of their making; of Batch's no children of arrays."""
    trainings = [job for job in world.part(JobTable).jobs.values() if job.status not in TERMINAL]
    batches = world.part(JobScheduler).jobs.values()
    return trainings, [job for job in batches if not job.has_ended and job.parent is None]


def _means(wanted: str, name: str, ending: str) -> bool:
    """Whether a job's name is what is wanted, or that of the run's that is."""
    return name == wanted or re.fullmatch(f"{re.escape(_PREFIX + wanted)}{ending}", name) is not None


def _nothing(wanted: str, trainings: list[str], batches: list[str]) -> BadInput:
    known = [name.removeprefix(_PREFIX) for name in [*trainings, *batches]]
    cure = nearest(wanted, known) if known else "nothing runs here now"
    return BadInput(f"{wanted!r} has no machine to lose", cure=cure)
