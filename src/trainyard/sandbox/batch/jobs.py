"""Jobs of Batch and what can happen to them: statuses, attempts, arrays, dependencies. No threads, no clock.

Statuses and their transitions are those of "Job states" in the AWS Batch user guide; arrays and dependencies
those of "Array jobs" and "Job dependencies".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..tasks.tasks import RunningTask
from ..world.clock import Timer
from .retries import AttemptEnd

SUBMITTED, PENDING, RUNNABLE, STARTING, RUNNING = "SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"
SUCCEEDED, FAILED = "SUCCEEDED", "FAILED"
STATUSES = (SUBMITTED, PENDING, RUNNABLE, STARTING, RUNNING, SUCCEEDED, FAILED)
TERMINAL = frozenset((SUCCEEDED, FAILED))
ACTIVE = frozenset((STARTING, RUNNING))

DEPENDENT_FAILED, CHILD_FAILED = "Dependent Job failed", "Array Child Job failed"
TIMED_OUT = "Job attempt duration exceeded timeout"
EXITED, NOT_STARTED = "Essential container in task exited", "Task failed to start"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


class Spec(NamedTuple):
    """What a job runs, the definition and the overrides merged; shared by all children of an array."""

    name: str
    queue_arn: str
    queue_name: str
    environment_name: str  # of the queue's first compute environment
    definition_arn: str
    command: tuple[str, ...]  # parameters replaced
    container: Mapping[str, Any]  # as DescribeJobs shows it
    memory: int  # bytes
    vcpus: float
    log_group: str
    log_prefix: str
    job_role: str
    retry: Mapping[str, Any]
    timeout: int  # seconds, 0 for none
    refusal: str  # why ECS will not start it; "" when it will
    parameters: Mapping[str, str]
    propagate_tags: bool
    capabilities: tuple[str, ...]


class BatchAttempt:
    """One try at a job: a task of ECS on some machine."""

    def __init__(
        self,
        *,
        number: int,
        created: float,
        task_id: str,
        instance: str,
        container_instance: str,
        stream: str,
    ) -> None:
        self.number, self.created, self.task_id, self.instance = number, created, task_id, instance
        self.container_instance, self.stream = container_instance, stream
        self.started: float | None = None
        self.stopped: float | None = None
        self.ending = AttemptEnd()
        self.cause = ""
        """The status reason with which we end it; "" while nobody does."""
        self.grace = 0.0
        self.is_final = False
        """Whether what ends it ends the job too: it was terminated or timed out."""
        self.is_lost = self.is_out_of_memory = False
        self.task: RunningTask | None = None
        self.timer: Timer | None = None


class Job:
    """A job, an array's parent or an array's child (`parent:index`)."""

    def __init__(
        self, id: str, spec: Spec, created: float, *, array: int = 0, parent: Job | None = None
    ) -> None:
        self.id, self.spec, self.created, self.array, self.parent = id, spec, created, array, parent
        self.index: int | None = None
        self.status = SUBMITTED
        self.status_reason = ""
        self.started: float | None = None
        self.stopped: float | None = None
        self.attempts: list[BatchAttempt] = []
        self.children: list[Job] = []
        self.summary: Counter[str] = Counter()
        self.summary_updated = created
        self.depends_on: list[Mapping[str, str]] = []
        self.waits_for: set[str] = set()
        """The ids of jobs that have to succeed before this one."""
        self.tags: dict[str, str] = {}
        self.is_cancelled = self.is_terminated = False
        self.reason_to_end: str | None = None
        """What CancelJob or TerminateJob gave; None while nobody asked."""

    @property
    def has_ended(self) -> bool:
        """Whether its status is terminal."""
        return self.status in TERMINAL

    @property
    def attempt(self) -> BatchAttempt | None:
        """The attempt that goes on, if one does."""
        return self.attempts[-1] if self.attempts and self.status in ACTIVE else None

    def family(self) -> Iterator[Job]:
        """All children of an array's parent, or the job itself."""
        if self.array:
            yield from self.children
        else:
            yield self

    def set_status(self, status: str, reason: str, now: float) -> None:
        """Move to a status, and count it in the parent's summary."""
        if self.parent is not None:
            summary = self.parent.summary
            if self.status != SUBMITTED:
                summary[self.status] -= 1
            summary[status] += 1
            self.parent.summary_updated = now
        self.status, self.status_reason = status, reason
        if status in TERMINAL:
            self.stopped = now

    def spawn(self, now: float) -> list[Job]:
        """Make the children of an array's parent, PENDING."""
        for index in range(self.array):
            child = Job(f"{self.id}:{index}", self.spec, now, parent=self)
            child.index = index
            child.set_status(PENDING, "", now)
            self.children.append(child)
        return self.children
