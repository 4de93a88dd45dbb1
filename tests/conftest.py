"""A home of its own for each test, with nothing of it left running afterwards; and a project to run in it."""

from __future__ import annotations

import functools
import gc
import json
import os
import shutil
import signal
import socket
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import HealthCheck, settings

import trainyard
from trainyard import InferenceJob, RunHandle, TrainingJob, Yard
from trainyard.local.home.home import Home
from trainyard.local.ipc import protocol
from trainyard.local.runs.work import home_mark
from trainyard.machine import processes

pytest.register_assert_rewrite("promises", "engine_contract")

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

PATIENCE = 30.0
"""Seconds after which what a test waits for is taken never to come."""


_read_model = functools.cache(JSONFileLoader().load_file)
# Most tests make sessions of their own; what botocore knows of the services is the same for all of them.
JSONFileLoader.load_file = lambda self, path: _read_model(path)  # type: ignore[method-assign]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are cores: jobs, servers and polls keep each test waiting for a while."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + (cores + 1) // 2


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Without the garbage collector, which looked at all modules and tests again and again: they stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


class Project:
    """A source folder with scripts, and the jobs that run them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project; its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def training(self, script: str | None = None, **options: Any) -> TrainingJob:
        """A training job of the script, which is written as `train.py` where it is given."""
        if script is not None:
            self.write("train.py", script)
        defaults: dict[str, Any] = {"name": "toy", "entry_script": "train.py", "grace": 5}
        return TrainingJob(source_dir=str(self.folder), **(defaults | options))

    def inference(self, handler: str | None = None, **options: Any) -> InferenceJob:
        """An inference job of the handler, which is written as `predict.py` where it is given."""
        if handler is not None:
            self.write("predict.py", handler)
        defaults: dict[str, Any] = {"name": "toy-inference", "handler": "predict.py", "shards": 2}
        return InferenceJob(source_dir=str(self.folder), **(defaults | options))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


@pytest.fixture
def home() -> Iterator[Path]:
    """The path of a home that does not exist yet; whatever runs in it is ended after the test."""
    # A short path: the socket of most homes lies inside of them.
    folder = Path(tempfile.mkdtemp(prefix="yard-"))
    path = folder / "home"
    yield path
    try:
        end_home(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def local_yard(home: Path) -> Yard:
    return trainyard.connect(home=str(home))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a model with one file, `factor`."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "factor").write_text("2")
    return folder


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A CSV file of 200 rows: `n`, which counts from 0, and `text` of two lines."""
    path = tmp_path / "rows.csv"
    path.write_text("n,text\n" + "".join(f'{n},"row {n}\nof many"\n' for n in range(200)))
    return path


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """The address of moto's server, one for each process of the tests."""
    from moto.server import ThreadedMotoServer  # seconds, for those alone who need it

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def moto(moto_server: str) -> str:
    """The same, with nothing in it."""
    request = urllib.request.Request(f"{moto_server}/moto-api/reset", method="POST")
    with urllib.request.urlopen(request, timeout=PATIENCE):
        return moto_server


def make_tree(root: Path) -> None:
    """Four files of 14 bytes at several depths, two of them through links, one executable."""
    (root / "a/b").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a/one.txt").write_text("one")
    (root / "a/b/two.sh").write_text("two!")
    (root / "a/b/two.sh").chmod(0o755)
    (root / "link.txt").symlink_to("a/one.txt")
    (root / "folder").symlink_to("a/b")


def end_home(path: Path) -> None:
    """Have the home's supervisor end, and see that it leaves no process of a task behind."""
    pid = supervisor_pid(path)
    if pid:
        signal_quietly(pid, signal.SIGTERM)
        if not becomes_true(lambda: not processes.start_time(pid), 15):
            signal_quietly(pid, signal.SIGKILL)
            end_strays(path)
            raise AssertionError("the supervisor did not end within 15 s of SIGTERM")
    if strays := end_strays(path):
        raise AssertionError(f"processes of tasks were left behind: {strays}")


def end_strays(path: Path) -> list[int]:
    """SIGKILL what is left of the home's tasks; the pids there were."""
    strays = processes.marked(f"{home_mark(Home(os.path.realpath(path)))}/")
    for pid in strays:
        signal_quietly(pid, signal.SIGKILL)
    return strays


def signal_quietly(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def supervisor_pid(home: Path) -> int | None:
    """The process id in the greeting of the home's supervisor; None where none listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(PATIENCE)
        try:
            line.connect(protocol.socket_path(Home(os.path.realpath(home))))
            greeting = line.recv(4096)
        except OSError:
            return None
    return int(json.loads(greeting)["pid"]) if greeting else None


def becomes_true(holds: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Whether it holds within so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def texts(run: RunHandle) -> list[str]:
    """The text of each line of the run's log."""
    return [line.text for line in run.logs()]


def wait_for_line(run: RunHandle, text: str) -> str:
    """The first line of the run's log that holds `text`, as soon as it is written."""
    for line in run.logs(follow=True):
        if text in line.text:
            return line.text
    raise AssertionError(f"the run ended as {run.state} ({run.reason}) and never wrote {text!r}")
