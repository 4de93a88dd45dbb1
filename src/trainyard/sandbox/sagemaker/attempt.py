"""One attempt of a training job: all its hosts' scripts, which start together and end together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from ..tasks.spec import TaskEnd
from ..tasks.tasks import RunningTask
from ..world.cloudwatch import FileStream, Logs, ensure_stream, put_metrics
from ..world.world import World
from .host import HostTask, Machine, NothingToRun, task_of
from .job import EmulatedTrainingJob
from .metrics import NAMESPACE, MachineMetrics, ScriptMetrics

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_log = logging.getLogger(__name__)

Ended = Callable[[str, TaskEnd], None]
"""Called with the name of each host whose script has ended, on a thread of its own."""


class TrainingAttempt:
    """The scripts of all hosts. All but `ended` callbacks happens on the job's own thread."""

    def __init__(
        self, world: World, job: EmulatedTrainingJob, hosts: Sequence[HostTask], number: int, ended: Ended
    ) -> None:
        self._world, self._job, self._ended = world, job, ended
        self._hosts = {host.name: host for host in hosts}
        self._number = number
        self._logs = world.part(Logs)
        self._streams: dict[str, FileStream] = {}
        self._tasks: dict[str, RunningTask] = {}
        self._metrics: ScriptMetrics | None = None
        self._machines: MachineMetrics | None = None
        self.running: set[str] = set()
        """The hosts whose scripts have not ended."""
        self.ended_by = ""
        """Why they are ended from outside: `stop`, `interrupt` or `kill`; "" when they are not."""

    def start(self, machines: Sequence[Machine]) -> str:
        """Start the scripts; why that cannot be done, "" when it was."""
        request = self._job.request
        with self._world.lock:
            credentials = self._world.credentials_for(request["RoleArn"])
        definitions = request["AlgorithmSpecification"].get("MetricDefinitions", [])
        first = next(iter(self._hosts.values()))
        self._metrics = ScriptMetrics(
            {each["Name"]: each["Regex"] for each in definitions}, first.work, self._found
        )
        for name, host in self._hosts.items():
            try:
                spec = task_of(self._world, host, request, machines, credentials)
            except NothingToRun as error:
                return f"ClientError: {error}"
            self._open_log(name, host)
            try:
                self._tasks[name] = self._world.tasks.start(spec, partial(self._task_ended, name))
            except OSError as error:
                return f"InternalServerError: the machine cannot start another process: {error.strerror}"
            self.running.add(name)
        self._machines = MachineMetrics(self._world, self._job.name, self._tasks)
        return ""

    def ended(self, host: str, outcome: TaskEnd) -> str:
        """Take down that a host's script has ended; its failure as SageMaker tells it, "" for none."""
        self.running.discard(host)
        self._logs.finish(self._streams[host])
        if outcome.status == 0:
            return ""
        text = self._hosts[host].read_failure() or outcome.reason
        return f"AlgorithmError: {text}, exit code: {outcome.status}"

    def terminate(self, grace: float) -> None:
        """SIGTERM to all, and SIGKILL after so many seconds."""
        for host in self.running:
            self._tasks[host].terminate(grace)

    def kill(self) -> None:
        """SIGKILL to all."""
        for host in self.running:
            self._tasks[host].kill()

    def finish(self) -> None:
        """End what still runs; when this returns, its logs and metrics are complete."""
        self.kill()
        for host in sorted(self.running):
            if not self._tasks[host].wait(20.0):
                _log.error("%s: %s does not end", self._job.name, host)
        for stream in self._streams.values():
            self._logs.finish(stream)
        if self._machines:
            self._machines.finish()
        if self._metrics:
            self._metrics.finish()

    def _open_log(self, name: str, host: HostTask) -> None:
        # The second attempt of a job has streams of its own: other machines, another time.
        stream = f"{self._job.name}/{name}-{int(time.time())}"
        with self._world.lock:
            while self._number > 1 and self._has_stream(stream):
                stem, _, seconds = stream.rpartition("-")
                stream = f"{stem}-{int(seconds) + 1}"
            ensure_stream(self._world, LOG_GROUP, stream)
        with open(host.log, "ab"):
            pass
        self._streams[name] = self._logs.follow(host.log, LOG_GROUP, stream)
        if self._metrics:
            self._metrics.follow(host.log)

    def _has_stream(self, name: str) -> bool:
        group = self._world.backend("logs").groups.get(LOG_GROUP)
        return group is not None and name in group.streams

    def _task_ended(self, host: str, _: RunningTask, outcome: TaskEnd) -> None:
        self._ended(host, outcome)

    def _found(self, name: str, value: float) -> None:
        with self._world.lock:
            self._job.metrics[name] = (value, time.time())
        put_metrics(self._world, NAMESPACE, [(name, value, "None", {"TrainingJobName": self._job.name})])
