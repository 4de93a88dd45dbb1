"""Batch's queues and compute environments, which are moto's: which there are, and whether machines come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..world.world import World
from .description import describe
from .errors import client_exception, not_found
from .jobs import Job
from .requests import Queue

ENABLED = "ENABLED"
NO_CAPACITY = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance"
    " type [optimal]"
)
TOO_LARGE = (
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - The job resource requirement (vCPU/memory/GPU)"
    " is higher than that can be met by the CE(s) attached to the job queue."
)


def find_queue(world: World, wanted: str) -> Queue:
    """The queue of a name or ARN, for a new job. Raises AwsError in Batch's words for one that takes none."""
    queue = known_queue(world, wanted)
    if queue.state != ENABLED:
        raise client_exception(f"Job Queue {queue.name} is not in ENABLED state")
    first = queue.environments[0].name if queue.environments else ""
    return Queue(queue.arn, queue.name, first)


def known_queue(world: World, wanted: str) -> Any:
    """moto's queue of a name or ARN. Raises AwsError in Batch's words where there is none."""
    queue = world.backend("batch").get_job_queue(wanted)
    if queue is None:
        raise not_found(f"JobQueue {wanted} not found.")
    return queue


class MachineLimits:
    """Whether a job can have a machine: it is always this one, but settings and limits can keep it away."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._announced: set[tuple[str, str]] = set()

    def is_gone(self, job: Job) -> bool:
        """Whether the job's queue was deleted."""
        return self._queue(job) is None

    def priority(self, job: Job) -> int | None:
        """The priority of a job's queue; None when no machine comes for it now."""
        queue = self._queue(job)
        if queue is None:
            return 0
        if self._problem(job, queue) or not _open(queue):
            return None
        return int(queue.priority)

    def tell_blocked(self, waiting: Sequence[Job]) -> None:
        """Say why no machine comes: in the job's status, and once in an event for the head of each queue."""
        heads: set[str] = set()
        for job in waiting:
            queue = self._queue(job)
            reason = self._problem(job, queue) if queue else ""
            job.status_reason = reason
            if reason and queue.arn not in heads and (job.id, reason) not in self._announced:
                self._announced.add((job.id, reason))
                resources = [self._world.arn("batch", f"job/{job.id}"), queue.arn]
                self._world.emit(
                    "aws.batch", "Batch Job Queue Blocked", describe(job, self._world), resources
                )
            heads.add(queue.arn if queue else "")

    def _queue(self, job: Job) -> Any:
        return self._world.backend("batch").get_job_queue_by_arn(job.spec.queue_arn)

    def _problem(self, job: Job, queue: Any) -> str:
        if not self._world.settings.has_capacity:
            return NO_CAPACITY
        limits = [each.compute_resources.get("maxvCpus") for each in queue.environments]
        if limits and all(limit is not None and int(limit) < job.spec.vcpus for limit in limits):
            return TOO_LARGE
        return ""


def _open(queue: Any) -> bool:
    return not queue.environments or any(each.state == ENABLED for each in queue.environments)
