"""Commands and their supervisor: many at once, threads, forks, versions, one that cannot start."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import trainyard
from conftest import PATIENCE, Project, becomes_true, supervisor_pid, wait_for_line
from trainyard import State, TrainingJob, Yard
from trainyard.core.errors import SupervisorLost
from trainyard.local.home.home import Home
from trainyard.local.ipc import client
from trainyard.machine import processes

PACKAGE = Path(trainyard.__file__).parent
TRAIN = """
import sys, trainyard
yard = trainyard.connect(home=sys.argv[1])
job = trainyard.TrainingJob(name="toy", entry_script="train.py", source_dir=sys.argv[2])
print(yard.train(job).wait(timeout=60).check().id)
"""
GATE = """
import os, time
print("up", flush=True)
while not os.path.exists(os.environ["NOTES"] + "/go"): time.sleep(0.02)
"""


def supervisors(home: Path) -> list[int]:
    """The pids of all supervisors of the home that run (Linux)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if os.fsencode(os.path.realpath(home)) in command and processes.start_time(int(entry.name)):
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_many_commands_at_once_start_one_supervisor(home: Path, project: Project) -> None:
    project.write("train.py", "print('hello')")
    command = [sys.executable, "-c", TRAIN, str(home), str(project.folder)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    ids = [process.communicate(timeout=90)[0].strip() for process in running]
    assert [process.returncode for process in running] == [0] * 8
    assert becomes_true(lambda: supervisors(home) == [supervisor_pid(home)])
    yard = trainyard.connect(home=str(home))
    assert sorted(run.id for run in yard.runs()) == sorted(ids)
    assert all(len(run.attempts) == 1 for run in yard.runs())
    assert (home / "supervisor/log").read_text() == ""


def test_a_yard_is_used_by_many_threads(local_yard: Yard, project: Project) -> None:
    job = project.training("print('hello')")
    states: list[State] = []

    def train() -> None:
        states.append(local_yard.train(job).wait(timeout=60).state)

    threads = [threading.Thread(target=train) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert states == [State.SUCCEEDED] * 6


def test_a_fork_of_the_caller_uses_the_yard(local_yard: Yard, project: Project) -> None:
    job = project.training("print('hello')")
    assert local_yard.train(job).wait(timeout=PATIENCE).state is State.SUCCEEDED
    context = multiprocessing.get_context("fork")
    forks = [context.Process(target=_train, args=(local_yard, job)) for _ in range(3)]
    for fork in forks:
        fork.start()
    assert local_yard.train(job).wait(timeout=PATIENCE).state is State.SUCCEEDED
    for fork in forks:
        fork.join(60)
    assert [fork.exitcode for fork in forks] == [0, 0, 0]
    assert len(local_yard.runs()) == 5


def _train(yard: Yard, job: TrainingJob) -> None:
    assert yard.train(job).wait(timeout=60).state is State.SUCCEEDED


def test_a_caller_with_very_many_open_files_is_served(local_yard: Yard, project: Project) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1300:
        pytest.skip("no more than 1024 files can be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1300), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        run = local_yard.train(project.training("print('hello')")).wait(timeout=PATIENCE)
        assert run.state is State.SUCCEEDED, run.reason
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_caller_that_ignores_its_children_is_served(local_yard: Yard, project: Project) -> None:
    previous = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        run = local_yard.train(project.training("print('hello')")).wait(timeout=PATIENCE)
        assert run.state is State.SUCCEEDED, run.reason
    finally:
        signal.signal(signal.SIGCHLD, previous)


def test_a_supervisor_that_cannot_start_is_said_in_a_line(
    local_yard: Yard, home: Path, project: Project
) -> None:
    home.mkdir()
    (home / "supervisor").mkdir(mode=0o700)
    # In the way of the lock.
    (home / "supervisor/lock").mkdir()
    with pytest.raises(SupervisorLost, match=r"supervisor.log") as caught:
        local_yard.train(project.training(""))
    assert caught.value.exit_status == 1
    assert len(str(caught.value).splitlines()) == 1


def test_an_older_supervisor_ends_what_it_runs_and_makes_way(
    home: Path, project: Project, tmp_path: Path
) -> None:
    older = tmp_path / "older/trainyard"
    shutil.copytree(PACKAGE, older, ignore=shutil.ignore_patterns("__pycache__"))
    (older / "version.py").write_text('__version__ = "0.0.1"\n')
    project.write("train.py", GATE)
    start = "import sys, trainyard; assert trainyard.__version__ == '0.0.1'; " + (
        "trainyard.connect(home=sys.argv[1]).train(trainyard.TrainingJob(name='old', entry_script='train.py',"
        " source_dir=sys.argv[2], environment={'NOTES': sys.argv[3]}))"
    )
    command = [sys.executable, "-c", start, str(home), str(project.folder), str(tmp_path)]
    subprocess.run(command, check=True, timeout=60, env={**os.environ, "PYTHONPATH": str(older.parent)})
    first = supervisor_pid(home)
    yard = trainyard.connect(home=str(home))
    [old] = yard.runs()
    running = yard.get(old.id)
    wait_for_line(running, "up")
    new = yard.train(project.training("print('new')", name="new"))
    with pytest.raises(TimeoutError):
        new.wait(timeout=0.3)
    assert (running.state, new.state) == (State.RUNNING, State.QUEUED)
    (tmp_path / "go").touch()
    assert new.wait(timeout=PATIENCE).state is State.SUCCEEDED
    assert running.wait(timeout=PATIENCE).state is State.SUCCEEDED
    assert [len(run.attempts) for run in yard.runs()] == [1, 1]
    assert supervisor_pid(home) != first


@pytest.mark.parametrize(
    ("version", "is_older"), [("0.0.1", True), ("999.0", False), (trainyard.__version__, False), ("", True)]
)
def test_versions_are_compared_by_number(version: str, is_older: bool) -> None:
    assert client.is_older(version) is is_older


def test_nonsense_on_the_socket_does_no_harm(local_yard: Yard, home: Path, project: Project) -> None:
    assert local_yard.train(project.training("")).wait(timeout=PATIENCE).state is State.SUCCEEDED
    pid = supervisor_pid(home)
    watch = [b'{"do": "watch", "runs": [{}, null]}', b'{"do": "watch"}', b'{"do": "watch", "runs": 1}']
    for said in (b"nonsense", b"[]", b"{}", b'{"do": "dance"}', b'"x"', b"\xff", *watch):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(home / "supervisor/socket"))
            line.sendall(said + b"\n")
            line.shutdown(socket.SHUT_WR)
            line.settimeout(PATIENCE)
            while line.recv(4096):
                pass
    assert local_yard.train(project.training("# 2")).wait(timeout=PATIENCE).state is State.SUCCEEDED
    assert supervisor_pid(home) == pid


def test_a_socket_that_a_dead_supervisor_left_is_no_supervisor(
    local_yard: Yard, home: Path, project: Project
) -> None:
    where = Home(os.path.realpath(home))
    where.create()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home / "supervisor/socket"))
    assert local_yard.train(project.training("")).wait(timeout=PATIENCE).state is State.SUCCEEDED
