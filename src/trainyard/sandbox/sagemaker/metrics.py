"""The metrics of training jobs: those of the script, by its MetricDefinitions, and those of its machines."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from ..tasks.tasks import ENVIRONMENT, LAUNCHER, RunningTask
from ..world.cloudwatch import Value, put_metrics, usage
from ..world.world import World

NAMESPACE = "/aws/sagemaker/TrainingJobs"
_PERIOD = 5.0

Found = Callable[[str, float], None]
"""Called with the name and value of each metric that is found, on a thread of its own."""


class ScriptMetrics:
    """Follows logs for the values of metrics, in a process of its own."""

    def __init__(self, definitions: Mapping[str, str], folder: str, found: Found) -> None:
        """Nothing is started where there are no `definitions`; `folder` is for the file that holds them."""
        self._process: subprocess.Popen[bytes] | None = None
        if not definitions:
            return
        path = os.path.join(folder, "metrics.json")
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(dict(definitions), stream)
        self._process = subprocess.Popen(
            [*LAUNCHER, "extract", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        self._found = found
        self._reader = threading.Thread(target=self._read, name="metrics", daemon=True)
        self._reader.start()

    def follow(self, log: str) -> None:
        """Look into this log, too."""
        if self._process and self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.write(os.fsencode(log) + b"\n")
                self._process.stdin.flush()

    def finish(self) -> None:
        """The logs are complete; every value was told when this returns."""
        if self._process and self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            self._reader.join()
            self._process.wait()
            self._process = None

    def _read(self) -> None:
        assert self._process and self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                point = json.loads(line)
                self._found(point["name"], point["value"])


class MachineMetrics:
    """What the hosts of a training job use, in percent: CPUUtilization (100 is one core), MemoryUtilization,
    and DiskUtilization of the disk that all of them share here."""

    def __init__(self, world: World, job_name: str, hosts: Mapping[str, RunningTask]) -> None:
        self._world, self._job, self._hosts = world, job_name, hosts
        self._last = dict.fromkeys(hosts, 0.0)
        self._since = time.monotonic()
        # The first one soon: many a job is over after a few seconds.
        self._timers = [world.clock.after(0.5, self.sample), world.clock.every(_PERIOD, self.sample)]

    def sample(self) -> None:
        """Store what was used since the last time."""
        now = time.monotonic()
        seconds, self._since = max(now - self._since, 0.01), now
        used = usage([task.pid for task in self._hosts.values()])
        values: list[Value] = []
        for host, task in self._hosts.items():
            if task.pid in used:
                cpu, memory = used[task.pid]
                values += self._values(host, 100.0 * max(0.0, cpu - self._last[host]) / seconds, memory)
                self._last[host] = cpu
        if values:
            put_metrics(self._world, NAMESPACE, values)

    def finish(self) -> None:
        """Store nothing any more."""
        for timer in self._timers:
            timer.cancel()

    def _disk(self) -> float:
        disk = os.statvfs(self._world.folder)
        return 100.0 * (1 - disk.f_bavail / disk.f_blocks) if disk.f_blocks else 0.0

    def _values(self, host: str, cpu: float, memory: float) -> Sequence[Value]:
        dimensions = {"Host": f"{self._job}/{host}"}
        return [
            ("CPUUtilization", cpu, "Percent", dimensions),
            ("MemoryUtilization", memory, "Percent", dimensions),
            ("DiskUtilization", self._disk(), "Percent", dimensions),
        ]
