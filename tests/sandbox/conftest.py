"""A sandbox of its own for each test process, and clients of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from trainyard.machine import processes

from .training import Training

PATIENCE = 30.0


class RunningSandbox:
    """A process of the sandbox, and what asks it things."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._log = (folder / "server.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trainyard.sandbox", "--folder", str(folder / "home"), *options],
            stdout=self._log,
            stderr=self._log,
        )
        self.address = self._read_address()
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """boto3's client of a service, with the administrator's credentials."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.address["endpoint"],
                region_name=self.address["region"],
                aws_access_key_id=self.address["access_key"],
                aws_secret_access_key=self.address["secret_key"],
                config=Config(retries={"total_max_attempts": 1}),
            )
        return self._clients[service]

    def control(self, path: str, **body: object) -> dict[str, Any]:
        """The answer of a call below `/_trainyard/`."""
        request = urllib.request.Request(
            f"{self.address['endpoint']}/_trainyard/{path}",
            json.dumps(body).encode(),
            {"X-Trainyard-Token": self.address["token"], "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from None

    def environment(self) -> dict[str, str]:
        """The variables with which a client of AWS finds it."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.address["endpoint"],
            "AWS_REGION": self.address["region"],
            "AWS_DEFAULT_REGION": self.address["region"],
            "AWS_ACCESS_KEY_ID": self.address["access_key"],
            "AWS_SECRET_ACCESS_KEY": self.address["secret_key"],
        }

    def log(self) -> str:
        """What the server has written."""
        return (self.folder / "server.log").read_text()

    def end(self) -> None:
        """End it as a user does; nothing of its jobs may be left."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self._log.close()
            for client in self._clients.values():
                client.close()
        assert processes.marked(f"{self.mark}/") == []

    @property
    def mark(self) -> str:
        """What all processes of its jobs are marked with."""
        home = (self.folder / "home").stat()
        return f"sandbox-{home.st_dev:x}-{home.st_ino:x}"

    def _read_address(self) -> dict[str, Any]:
        path = self.folder / "home" / "address.json"
        deadline = time.monotonic() + PATIENCE
        while not path.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                self._log.close()
                raise AssertionError(f"the sandbox did not start: {self.log()}")
            time.sleep(0.02)
        return dict(json.loads(path.read_text()))


@pytest.fixture(scope="session")
def sandbox() -> Iterator[RunningSandbox]:
    """One sandbox for all tests of this process: each names its jobs and resources differently."""
    with tempfile.TemporaryDirectory(prefix="sandbox-", ignore_cleanup_errors=True) as folder:
        running = RunningSandbox(Path(folder))
        yield running
        running.end()


@pytest.fixture(scope="session")
def aws(sandbox: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """The AWS CLI, as users have it, against the sandbox: what it prints, read as JSON.

    It comes from the layer that the CDK carries for its own use: the package on PyPI wants another botocore.
    """
    folder = tmp_path_factory.mktemp("awscli")
    [package] = [
        each for each in files("aws_cdk.asset_awscli_v1._jsii").iterdir() if each.name.endswith(".tgz")
    ]
    with (
        tarfile.open(str(package)) as tar,
        zipfile.ZipFile(tar.extractfile("package/lib/layer.zip")) as layer,
    ):  # type: ignore[arg-type]
        layer.extractall(folder)
    variables = {**sandbox.environment(), "PYTHONPATH": str(folder / "awscli"), "AWS_PAGER": ""}

    def run(*arguments: str, status: int = 0) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "awscli", *arguments],
            env=variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stderr
        if status:
            return done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


@pytest.fixture(scope="session")
def training(sandbox: RunningSandbox) -> Training:
    """SageMaker's training jobs in the sandbox."""
    return Training(sandbox)
