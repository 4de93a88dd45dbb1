"""Which log streams a run has: of its hosts and jobs, over all its launches."""

from __future__ import annotations

import time

from ...core.environments.facts import TRAINING_LOG_GROUP
from ...core.runs.run import Run
from ..account import names
from ..account.deployment import Deployment
from ..account.errors import ignoring
from ..account.session import Session
from ..logs import MISSING, Stream


class TrainingStreams:
    """The streams of a training run: `<job>/algo-<n>-<epoch>`, a new one for each start of a host.

    Once every host has one, they are listed every `seldom` seconds at the most.
    """

    def __init__(self, session: Session, deployment: Deployment, run: Run, seldom: float = 0.0) -> None:
        self._session, self._seldom = session, seldom
        self._hosts, self._due = run.training.resources.instance_count, 0.0
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
        found: list[str] = []
        with ignoring(*MISSING):
            found += [each["logStreamName"] for page in pages for each in page["logStreams"]]
        return sorted(found, key=lambda name: (len(name), name))
