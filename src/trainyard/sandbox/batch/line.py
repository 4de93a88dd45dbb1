"""Who is next: jobs that wait for a machine, by the priority of their queues and then in turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from .jobs import RUNNABLE, Job


class Line:
    """Jobs that are RUNNABLE.

    A queue of a higher priority goes first. Beyond that each submitted job has its turn: an array of
    thousands holds nobody up for longer than one of its children runs. Inside an array the lower index is
    first.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Job]] = {}

    def __len__(self) -> int:
        return sum(len(jobs) for jobs in self._waiting.values())

    def add(self, job: Job) -> None:
        """Let a job wait, behind all of its own array."""
        root = job.parent or job
        self._waiting.setdefault(root.id, deque()).append(job)

    def take(self, priority: Callable[[Job], int | None]) -> Job | None:
        """The next job, taken out; None when none waits. `priority` is its queue's, None: not now."""
        best: str | None = None
        highest = 0
        for root in list(self._waiting):
            jobs = self._waiting[root]
            while jobs and jobs[0].status != RUNNABLE:  # cancelled while it waited
                jobs.popleft()
            if not jobs:
                del self._waiting[root]
                continue
            rank = priority(jobs[0])
            if rank is not None and (best is None or rank > highest):
                best, highest = root, rank
        return None if best is None else self._take(best)

    def waiting(self) -> list[Job]:
        """The first job of each submission, in their order; none that was cancelled while it waited."""
        firsts = [
            next((job for job in jobs if job.status == RUNNABLE), None) for jobs in self._waiting.values()
        ]
        return [job for job in firsts if job]

    def _take(self, root: str) -> Job:
        jobs = self._waiting.pop(root)
        job = jobs.popleft()
        if jobs:
            self._waiting[root] = jobs
        return job
