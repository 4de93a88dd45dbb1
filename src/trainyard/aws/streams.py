"""Which log streams a run has: of its hosts and jobs, over all its launches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import AccountRefused
from ..job import TrainingJob
from ..parameters import TRAINING_LOG_GROUP
from ..run import Run
from . import names
from .batchjobs import BatchJobs
from .deployment import Deployment
from .inference import InferenceJobs, shard_name
from .logs import MISSING, Stream
from .session import Session

_ENDED = frozenset({"SUCCEEDED", "FAILED"})


class TrainingStreams:
    """The streams of a training run: `<job>/algo-<n>-<epoch>`, a new one for each start of a host.

    Once every host has one, they are listed every `seldom` seconds at the most.
    """

    def __init__(self, session: Session, deployment: Deployment, run: Run, seldom: float = 0.0) -> None:
        assert isinstance(run.job, TrainingJob)
        self._session, self._seldom = session, seldom
        self._hosts, self._due = run.job.resources.instance_count, 0.0
        launches = [run.replace(launch=number) for number in range(1, run.launch + 1)]
        self._jobs = [names.launch_name(deployment.prefix, each) for each in launches]
        self._found: dict[str, Stream] = {}
        self._begun = False

    def find(self) -> list[Stream]:
        """The streams that were not found before. Those of earlier launches are looked for once."""
        if len(self._found) >= self._hosts and time.monotonic() < self._due:
            return []
        self._due = time.monotonic() + self._seldom
        jobs = self._jobs[-1:] if self._begun else self._jobs
        self._begun = True
        fresh = [name for job in jobs for name in self._listed(job) if name not in self._found]
        return [self._made(name) for name in fresh]

    def _made(self, name: str) -> Stream:
        host = name.rpartition("/")[2].rpartition("-")[0]
        last = max((each.attempt for each in self._found.values() if each.task == host), default=1)
        stream = Stream(self._session, TRAINING_LOG_GROUP, name, host, last)
        self._found[name] = stream
        return stream

    def _listed(self, job: str) -> list[str]:
        pages = self._session.pages(
            "logs",
            "describe_log_streams",
            logGroupName=TRAINING_LOG_GROUP,
            logStreamNamePrefix=f"{job}/",
        )
        try:
            found = [each["logStreamName"] for page in pages for each in page["logStreams"]]
        except AccountRefused as error:
            if error.code not in MISSING:
                raise
            return []
        return sorted(found, key=lambda name: (len(name), name))


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
        inference: InferenceJobs,
        seldom: float = 0.0,
    ) -> None:
        self._session, self._group, self._batch = session, deployment.batch_log_group, batch
        self._seldom, self._due = seldom, 0.0
        self._inference = inference
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
                indices = self._inference.indices(launch)
                parent = ids[names.SHARDS]
                for position, index in enumerate(indices):
                    yield (f"{parent}:{position}" if len(indices) > 1 else parent), shard_name(index)

    def _of(self, job: Mapping[str, Any], task: str) -> Iterator[Stream]:
        streams = [each.get("container", {}).get("logStreamName") for each in job.get("attempts", ())]
        current = job.get("container", {}).get("logStreamName")
        if current not in streams:
            streams.append(current)
        for number, name in enumerate(streams, self._tries.get(task, 0) + 1):
            if name and name not in self._found:
                self._found[name] = Stream(self._session, self._group, name, task, number)
                yield self._found[name]
