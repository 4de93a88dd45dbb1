"""The metrics that Batch publishes in `AWS/Batch`, by job queue ("Using CloudWatch metrics", user guide)."""

from __future__ import annotations

import time
from collections import Counter

from ..world.cloudwatch import put_metrics
from ..world.world import World
from .jobs import FAILED, BatchAttempt, Job

NAMESPACE, DIMENSION = "AWS/Batch", "JobQueueName"
_PERIOD = 1.0


class Metrics:
    """Counts, and puts what it has counted each second: ten thousand children are not ten thousand values."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._counts: Counter[tuple[str, str]] = Counter()
        self._durations: list[tuple[str, str, float]] = []
        self._flushed = time.monotonic()

    def count(self, metric: str, job: Job, number: int = 1) -> None:
        """Something happened to a job so many times."""
        self._counts[metric, job.spec.queue_name] += number

    def moved(self, job: Job) -> None:
        """A job has moved to its status. Parents of arrays are not counted: their children are."""
        if not job.array:
            self.count(f"JobsMovedTo{job.status.title()}", job)

    def ended(self, job: Job) -> None:
        """A job has ended because somebody wanted it to, or not."""
        if job.array or job.status != FAILED or job.reason_to_end is None:
            return
        if job.is_terminated:
            self.count("JobsTerminated", job)
        elif job.is_cancelled:
            self.count("JobsCancelled", job)

    def attempt_ended(self, job: Job, attempt: BatchAttempt) -> None:
        """How long an attempt has taken, in milliseconds; nothing for one that did not run."""
        if attempt.started is None or attempt.stopped is None:
            return
        queue = job.spec.queue_name
        starting, running = attempt.started - attempt.created, attempt.stopped - attempt.started
        self._durations += [
            ("JobAttemptStartingToRunningDuration", queue, starting * 1000),
            ("JobAttemptExecutionDuration", queue, running * 1000),
            ("JobAttemptDuration", queue, (starting + running) * 1000),
        ]

    def flush(self) -> None:
        """Put what was counted, if the last time is a second ago."""
        if time.monotonic() < self._flushed + _PERIOD or not (self._counts or self._durations):
            return
        counted = [(name, float(n), "Count", {DIMENSION: queue}) for (name, queue), n in self._counts.items()]
        timed = [(name, value, "Milliseconds", {DIMENSION: queue}) for name, queue, value in self._durations]
        put_metrics(self._world, NAMESPACE, [*counted, *timed])
        self._counts.clear()
        self._durations.clear()
        self._flushed = time.monotonic()
