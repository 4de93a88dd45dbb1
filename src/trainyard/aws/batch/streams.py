"""Which log streams an inference run has: of each attempt at each of its jobs, over all launches."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ...core.runs.run import Run
from ...worker.protocol import shard_name
from ..account import names
from ..account.deployment import Deployment
from ..account.session import Session
from ..logs import Stream
from .jobs import BatchJobs
from .runs import InferenceRuns

_OLD = 300.0
"""Seconds after which an end is no matter of whose clock is right."""
_ENDED = frozenset({"SUCCEEDED", "FAILED"})


class BatchStreams:
    """The streams of an inference run: one for each attempt at each of its jobs.

    Once its jobs are known, they are asked about every `seldom` seconds at the most.
    """

    def __init__(
        self,
        session: Session,
        deployment: Deployment,
        run: Run,
        batch: BatchJobs,
        runs: InferenceRuns,
        seldom: float = 0.0,
    ) -> None:
        self._session, self._group, self._batch = session, deployment.batch_log_group, batch
        self._seldom, self._due = seldom, 0.0
        self._runs = runs
        self._launches = [run.replace(launch=number) for number in range(1, run.launch + 1)]
        self._found: dict[str, Stream] = {}
        self._tasks: dict[str, str] = {}
        """Jobs that have not ended by id, with their tasks."""
        self._ended: set[str] = set()
        self._tries: dict[str, int] = {}
        """How many attempts of each task jobs have had that have ended."""
        self._begun = False

    def find(self) -> list[Stream]:
        """The streams that were not found before."""
        if self._begun and time.monotonic() < self._due:
            return []
        self._due = time.monotonic() + self._seldom
        if not self._begun:
            self._tasks = {job: task for job, task in self._jobs() if job not in self._ended}
            # The last launch may still be on its way to Batch.
            self._begun = names.COMMIT in self._batch.ids(self._launches[-1])
        fresh: list[Stream] = []
        details = self._batch.details(self._tasks)
        for job_id, task in list(self._tasks.items()):
            if job_id in details:
                job = details[job_id]
                fresh += self._of(job, task)
                if job["status"] in _ENDED:
                    self._tries[task] = self._tries.get(task, 0) + len(job.get("attempts", ()))
                    del self._tasks[job_id]
                    self._ended.add(job_id)
        return fresh

    def _jobs(self) -> Iterator[tuple[str, str]]:
        for launch in self._launches:
            ids = self._batch.ids(launch)
            for step, job_id in ids.items():
                if step != names.SHARDS:
                    yield job_id, step
            if names.SHARDS in ids:
                indices = self._runs.indices(launch)
                parent = ids[names.SHARDS]
                for position, index in enumerate(indices):
                    yield (f"{parent}:{position}" if len(indices) > 1 else parent), shard_name(index)

    def _of(self, job: Mapping[str, Any], task: str) -> Iterator[Stream]:
        ended = {each.get("container", {}).get("logStreamName"): each for each in job.get("attempts", ())}
        current = job.get("container", {}).get("logStreamName")
        streams = [*ended] if current in ended else [*ended, current]
        for number, name in enumerate(streams, self._tries.get(task, 0) + 1):
            if name and name not in self._found:
                self._found[name] = Stream(self._session, self._group, name, task, number)
                yield self._found[name]
            if name in ended and self._found[name].ended is None:
                stopped = ended[name].get("stoppedAt", 0) / 1000
                is_old = time.time() - stopped > _OLD
                self._found[name].ended = -math.inf if is_old else time.monotonic()
