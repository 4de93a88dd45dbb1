"""Processes of jobs: how they start and end, and that nothing of them is left."""

from __future__ import annotations

import fcntl
import os
import queue
import signal
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainyard.core.errors import BadInput
from trainyard.machine import processes
from trainyard.machine.namespace import Mount
from trainyard.sandbox.tasks.spec import TaskEnd, TaskSpec, jobs_python
from trainyard.sandbox.tasks.tasks import RunningTask, Tasks

from .training import PATIENCE


class Yard:
    """Tasks of one test, and how they ended."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mark = folder, f"test-{uuid.uuid4().hex[:8]}"
        self.tasks = Tasks(self.mark)
        self.outcomes: queue.Queue[tuple[RunningTask, TaskEnd]] = queue.Queue()

    def start(self, *command: str, **options: Any) -> RunningTask:
        name = options.pop("name", f"task-{uuid.uuid4().hex[:8]}")
        folder = self.folder / name
        folder.mkdir()
        spec = TaskSpec(
            name=name,
            command=command,
            environment={"PATH": os.environ["PATH"], **options.pop("environment", {})},
            log=str(folder / "log"),
            folder=str(folder / "scratch"),
            **options,
        )
        return self.tasks.start(spec, lambda task, outcome: self.outcomes.put((task, outcome)))

    def run(self, *command: str, **options: Any) -> tuple[TaskEnd, str]:
        """The outcome and the output of a task."""
        task = self.start(*command, **options)
        ended, outcome = self.outcomes.get(timeout=PATIENCE)
        assert ended is task and task.outcome == outcome
        return outcome, self.log(task)

    def log(self, task: RunningTask) -> str:
        return Path(task.spec.log).read_text()

    def wait_for(self, task: RunningTask, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.log(task):
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    yield yard
    yard.tasks.end()
    assert processes.marked(f"{yard.mark}/") == []


def test_a_task_has_its_status_and_its_output(yard: Yard) -> None:
    assert yard.run("sh", "-c", "echo out; echo err >&2; exit 3") == (TaskEnd(3), "out\nerr\n")


def test_a_task_that_a_signal_ended_has_the_status_that_a_shell_gives(yard: Yard) -> None:
    assert yard.run("sh", "-c", "kill -SEGV $$")[0] == TaskEnd(128 + signal.SIGSEGV)


def test_a_task_sees_its_own_variables_and_no_others(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    _, output = yard.run("env", environment={"A": "b"}, name="mine")
    named = dict(line.split("=", 1) for line in output.splitlines())
    assert named == {"PATH": os.environ["PATH"], "A": "b", "TRAINYARD_TASK": f"{yard.mark}/mine"}


def test_a_task_has_no_stdin_and_a_session_of_its_own(yard: Yard) -> None:
    _, output = yard.run("sh", "-c", "cat; ps -o sid= -p $$; echo $$")
    assert len(set(output.split())) == 1


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("no-such-program", TaskEnd(127, 'exec: "no-such-program": executable file not found in $PATH')),
        ("/no/such", TaskEnd(127, 'exec: "/no/such": stat /no/such: no such file or directory')),
        ("/etc/passwd", TaskEnd(126, 'exec: "/etc/passwd": exec /etc/passwd: permission denied')),
    ],
)
def test_a_program_that_cannot_be_started_is_told_as_runc_tells_it(
    yard: Yard, program: str, outcome: TaskEnd
) -> None:
    assert yard.run(program)[0] == outcome


def test_a_mount_that_cannot_be_made_is_told(yard: Yard) -> None:
    outcome, _ = yard.run("true", mounts=[Mount("/no/such/folder", "/opt/ml", False)])
    assert outcome.status == 125 and "bind /no/such/folder on /opt/ml" in outcome.reason


def test_a_task_sees_its_mounts_and_its_hosts(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "a").write_text("here\n")
    _, output = yard.run(
        "sh",
        "-c",
        "pwd; cat a; grep algo /etc/hosts",
        mounts=[Mount(str(tmp_path / "ml"), "/opt/ml", False)],
        hosts=["algo-1", "algo-2"],
        working_folder="/opt/ml",
    )
    assert output == "/opt/ml\nhere\n127.0.0.1 algo-1\n127.0.0.2 algo-2\n"


def test_what_a_task_leaves_behind_ends_with_it(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "ml").mkdir()
    _, output = yard.run(
        "sh",
        "-c",
        "sleep 100 & echo $!; setsid sleep 100 & echo $!; env -i setsid sleep 100 & echo $!",
        mounts=[Mount(str(tmp_path / "ml"), "/opt/ml", False)],
    )
    assert [processes.start_time(int(pid)) for pid in output.split()] == ["", "", ""]


def test_a_task_is_warned_first_and_killed_after_its_grace(yard: Yard) -> None:
    task = yard.start("sh", "-c", "trap 'echo warned' TERM; echo ready; while :; do sleep 0.05; done")
    yard.wait_for(task, "ready")
    task.terminate(0.5)
    assert yard.outcomes.get(timeout=PATIENCE)[1] == TaskEnd(128 + signal.SIGKILL)
    assert "warned" in yard.log(task)
    task.terminate(0.5)
    task.kill()


def test_a_task_that_is_killed_while_its_guard_is_told_has_ended_all_the_same(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ml").mkdir()
    stopped: queue.Queue[None] = queue.Queue()
    guard = yard.tasks._guard
    enter = guard.enter

    def stop_first(descriptor: int) -> int:
        os.kill(yard.tasks.running()[0].pid, signal.SIGSTOP)
        stopped.put(None)
        return enter(descriptor)

    monkeypatch.setattr(guard, "enter", stop_first)
    task = yard.start("true", mounts=[Mount(str(tmp_path / "ml"), "/opt/ml", False)])
    stopped.get(timeout=PATIENCE)
    # The answer lies unread at the other end: SIOCOUTQ.
    while not int.from_bytes(fcntl.ioctl(task._listener, termios.TIOCOUTQ, bytes(4)), sys.byteorder):
        time.sleep(0.001)
    task.kill()
    assert yard.outcomes.get(timeout=PATIENCE)[1] == TaskEnd(128 + signal.SIGKILL)


def test_many_tasks_run_at_once(yard: Yard) -> None:
    for number in range(40):
        yard.start("sh", "-c", f"exit {number}")
    statuses = [yard.outcomes.get(timeout=PATIENCE)[1].status for _ in range(40)]
    assert sorted(statuses) == list(range(40))


def test_no_task_is_started_after_the_end(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.start("sleep", "100")
    yard.tasks.end()
    assert yard.outcomes.get(timeout=PATIENCE)[1] == TaskEnd(128 + signal.SIGKILL)
    with pytest.raises(OSError, match="the sandbox ends"):
        yard.start("true")


def test_nothing_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    """Killed with SIGKILL: not even what has lost its mark and its parent."""
    (tmp_path / "ml").mkdir()
    script = (
        "import sys, threading\n"
        "from trainyard.sandbox.tasks.tasks import Tasks, TaskSpec\n"
        f"tasks = Tasks({f'test-{tmp_path.name}'!r})\n"
        "script = 'env -i setsid sleep 100 & echo $!; setsid sleep 100 & echo $!; echo $$; wait'\n"
        "command = ['sh', '-c', script]\n"
        f"tasks.start(TaskSpec('one', command, {{'PATH': {os.environ['PATH']!r}}},\n"
        f"    {str(tmp_path / 'log')!r},\n"
        f"    {str(tmp_path / 'scratch')!r}, [({str(tmp_path / 'ml')!r}, '/opt/ml', False)]), print)\n"
        "threading.Event().wait()\n"
    )
    server = subprocess.Popen([sys.executable, "-c", script])
    log = tmp_path / "log"
    deadline = time.monotonic() + PATIENCE
    while not log.exists() or len(log.read_text().split()) < 3:
        assert time.monotonic() < deadline and server.poll() is None
        time.sleep(0.01)
    pids = [int(pid) for pid in log.read_text().split()]
    assert all(processes.start_time(pid) for pid in pids)
    server.kill()
    server.wait()
    assert processes.wait_until_gone(pids, PATIENCE) == []


def test_jobs_find_the_python_that_the_sandbox_was_started_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = jobs_python.__wrapped__  # as a sandbox does once
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    monkeypatch.setenv("TRAINYARD_PYTHON", str(folder / "bin/python"))
    assert find() == (str(folder / "bin"), str(folder))
    (folder / "bin/python3").unlink()
    with pytest.raises(BadInput, match=r"TRAINYARD_PYTHON: jobs start python3, and .* is another"):
        find()
