"""A training container as SageMaker makes it, here: its `/opt/ml`, and the worker as its process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import trainyard.worker
from conftest import becomes_true

WORKER = str(Path(trainyard.worker.__file__).parent)
OURS = ("trainyard-worker", "trainyard-code")
JOB = "trainyard-dev-toy-1234abcd"
PATIENCE = 60.0
"""Seconds after which what a test waits for is taken never to come."""


class Container:
    """One host's `/opt/ml`, filled as SageMaker fills it, and the processes of the worker in it.

    The checkpoint folder stays from one machine to the next, as do the histories, which lie in a folder in
    the place of S3; all else is new after `renew`.
    """

    def __init__(self, root: Path, script: str = "", *, host: str = "algo-1", hosts: int = 1) -> None:
        self.root, self.host = root, host
        self.hosts = [f"algo-{number + 1}" for number in range(hosts)]
        self.files: dict[str, str] = {"train.py": script}
        self.executable: set[str] = set()
        self.hyperparameters: dict[str, str] = {}
        self.channels: dict[str, dict[str, str]] = {}
        self.variables: dict[str, str] = {}
        self.launcher = [sys.executable, WORKER]
        self.wheels: list[Path] = []
        self.checkpoints = root / "checkpoints"
        self.model = root / "model"
        self.histories: str | Path = root.parent / "histories"
        self.history_file.parent.mkdir(exist_ok=True)
        self._running: list[Worker] = []
        self.renew()

    def renew(self) -> None:
        """Another machine: what SageMaker restores and nothing else."""
        for folder in ("input", "output", "model", "code"):
            if (self.root / folder).exists():
                subprocess.run(["rm", "-rf", str(self.root / folder)], check=True)
        for folder in ("input/config", "input/data/trainyard-code", "output/data", "model", "checkpoints"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)

    def prepare(self) -> None:
        """Write SageMaker's configuration and the channel with the source."""
        settings = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
        channels = {**dict.fromkeys(OURS, settings), **self.channels}
        group = {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.xlarge"}
        resources = {
            "current_host": self.host,
            "current_instance_type": "ml.m5.xlarge",
            "current_group_name": "homogeneousCluster",
            "hosts": self.hosts,
            "instance_groups": [{**group, "hosts": self.hosts}],
            "network_interface_name": "eth0",
        }
        config = self.root / "input/config"
        (config / "resourceconfig.json").write_text(json.dumps(resources))
        (config / "inputdataconfig.json").write_text(json.dumps(channels))
        (config / "hyperparameters.json").write_text(json.dumps(self.hyperparameters))
        for name in self.channels:
            (self.root / "input/data" / name).mkdir(exist_ok=True)
        self._write_source()

    def _write_source(self) -> None:
        channel = self.root / "input/data/trainyard-code"
        with zipfile.ZipFile(channel / "source.zip", "w") as archive:
            for name, text in self.files.items():
                entry = zipfile.ZipInfo(name)
                entry.external_attr = (0o755 if name in self.executable else 0o644) << 16
                archive.writestr(entry, text)
        for wheel in self.wheels:
            (channel / "wheels").mkdir(exist_ok=True)
            (channel / "wheels" / wheel.name).write_bytes(wheel.read_bytes())

    def start(self, *options: str, script: str = "train.py", **settings: Any) -> Worker:
        """Start the worker as SageMaker starts it."""
        self.prepare()
        told = ["--script", script, "--grace", "5", "--histories", str(self.histories), *options]
        command = [*self.launcher, "train", *told]
        worker = Worker(command, self.environ(), **settings)
        self._running.append(worker)
        return worker

    def run(self, *options: str, script: str = "train.py") -> Worker:
        """Start the worker and wait for its end."""
        worker = self.start(*options, script=script)
        worker.wait()
        return worker

    def environ(self) -> Mapping[str, str]:
        """The variables of the container."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        told = {"TRAINING_JOB_NAME": JOB, "AWS_REGION": "eu-west-1", "TRAINYARD_ML_ROOT": str(self.root)}
        return {**kept, **told, **self.variables}

    @property
    def history(self) -> dict[str, Any]:
        """What the worker has written of its attempts."""
        found: dict[str, Any] = json.loads(self.history_file.read_text())
        return found

    @property
    def history_file(self) -> Path:
        return self.root.parent / "histories" / f"{self.host}.json"

    @property
    def attempts(self) -> list[tuple[int, str, str]]:
        """Number, state and reason of each attempt."""
        return [(each["number"], each["state"], each["reason"]) for each in self.history["attempts"]]

    @property
    def failure(self) -> str:
        """What SageMaker would give as the job's FailureReason; "" for nothing."""
        path = self.root / "output/failure"
        return path.read_text() if path.exists() else ""

    def __enter__(self) -> Container:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._running:
            worker.end()
        for pid in self.strays():
            os.kill(pid, signal.SIGKILL)

    def strays(self) -> list[int]:
        """Processes that still run in this container."""
        mark = f"SM_MODEL_DIR={self.model}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


class Worker:
    """A process of the worker; its output goes to a pipe, as a container's goes to its log."""

    def __init__(self, command: list[str], environ: Mapping[str, str], **settings: Any) -> None:
        self._process = subprocess.Popen(
            command, env=dict(environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **settings
        )
        self._output = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    def read_until(self, text: str) -> str:
        """Read the output until it has `text`; all output so far."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while text.encode() not in self._output:
            content = os.read(descriptor, 1 << 16)
            if not content:
                raise AssertionError(f"the worker ended and never wrote {text!r}: {self._output!r}")
            self._output += content
        return self._output.decode("utf-8", "replace")

    def signal(self, number: int) -> None:
        """Send the worker alone a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        rest, _ = self._process.communicate(timeout=PATIENCE)
        self._output += rest
        return self._process.returncode

    def end(self) -> None:
        """Kill it where it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        if self._process.stdout is not None and not self._process.stdout.closed:
            self.wait()

    @property
    def status(self) -> int:
        """The exit status of a worker that has ended."""
        return self._process.returncode

    @property
    def content(self) -> bytes:
        """All that it wrote."""
        return self._output

    @property
    def lines(self) -> list[str]:
        """The log as people see it: without the borders of attempts."""
        text = self._output.decode("utf-8", "replace")
        return [line for line in text.splitlines() if not line.startswith("[trainyard attempt=")]


def gone(pid: int) -> bool:
    """Whether a process ends within the time that tests have."""
    return becomes_true(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
