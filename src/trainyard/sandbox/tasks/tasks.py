"""The processes of jobs: started in namespaces or containers, seen to their end, never left behind.

Every process of a task has `TRAINYARD_TASK=<mark>/<name>` in its environment. A task is what a container
would be: when its main process ends, all its others are ended too. The kernel ends the main process when
the server dies (PDEATHSIG, Linux), and a guard process ends the rest then.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from ...core.files import trust
from ...machine import MARK, processes
from .launcher import BOOT, UNSTARTED, in_namespaces
from .spec import TaskEnd, TaskSpec

_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
LAUNCHER = [sys.executable, "-I", "-S", "-c", BOOT, _PACKAGES]
# Some builds of Python find their own library by it.
ENVIRONMENT = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
_log = logging.getLogger(__name__)


Ended = Callable[["RunningTask", TaskEnd], None]
"""Called once, on the task's own thread, without any lock, when nothing of the task is left."""

Began = Callable[["RunningTask"], None]
"""Called once, on the task's own thread and before `Ended`, when its program runs; never where it cannot."""


class RunningTask:
    """A task that was started. All methods are silent when it has ended."""

    def __init__(
        self,
        spec: TaskSpec,
        mark: str,
        process: subprocess.Popen[bytes],
        listener: socket.socket,
        guard: _Guard,
    ) -> None:
        self.spec, self.pid = spec, process.pid
        self.outcome: TaskEnd | None = None
        """None while it runs."""
        self._mark, self._process, self._listener = f"{mark}/{spec.name}", process, listener
        self._guard, self._inode = guard, 0
        self._has_ended = threading.Event()

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Signal the main process alone, as a container engine does."""
        if self._process.returncode is None:
            processes.signal_one(self.pid, number)

    def terminate(self, grace: float) -> None:
        """SIGTERM now and SIGKILL after so many seconds; returns at once."""
        self.signal(signal.SIGTERM)
        threading.Thread(target=self._kill_after, args=(grace,), name="grace", daemon=True).start()

    def kill(self) -> None:
        """SIGKILL to the main process; all others of the task follow it."""
        self.signal(signal.SIGKILL)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until nothing of it is left; False when something still is after so many seconds."""
        return self._has_ended.wait(seconds)

    def _kill_after(self, seconds: float) -> None:
        if not self._has_ended.wait(seconds):
            self.kill()

    def follow(self, ended: Ended, began: Began | None = None) -> None:
        """See the task to its end; the body of its thread."""
        message = self._listen()
        if not message and began:
            began(self)
        status = self._process.wait()
        self._end_others()
        failure: dict[str, Any] = json.loads(message) if message else {}
        reason = failure.get("reason", "")
        if self.spec.remove and status in UNSTARTED:
            reason = reason or _last_line(self.spec.log).removeprefix("Error: ")
        outcome = TaskEnd(128 - status if status < 0 else status, reason)
        self.outcome = outcome
        self._has_ended.set()
        try:
            ended(self, outcome)
        except Exception:
            _log.exception("%s: what follows its end failed", self.spec.name)

    def _listen(self) -> bytes:
        """What the launcher says before its program runs: why it cannot. Its namespace comes before."""
        message = b""
        with self._listener:
            while True:
                try:
                    content, descriptors, *_ = socket.recv_fds(self._listener, 4096, 1)
                except ConnectionResetError:  # it was killed before it read our answer
                    return message
                for descriptor in descriptors:
                    self._inode = self._guard.enter(descriptor)
                    # The launcher waits for this; it may have been killed.
                    with suppress(OSError):
                        self._listener.send(b"\0")
                if not content:
                    return message
                message += content.lstrip(b"\0")

    def _remove_container(self) -> None:
        if self.spec.remove and not self._has_ended.is_set():
            subprocess.run(
                self.spec.remove,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )

    def _end_others(self) -> None:
        self._remove_container()
        deadline = time.monotonic() + 10.0
        while others := set(processes.marked(self._mark + "\0") + in_namespaces({self._inode} - {0})):
            for pid in others:
                processes.signal_one(pid)
            processes.wait_until_gone(list(others), 1.0)
            if time.monotonic() > deadline:
                _log.error("%s: processes %s do not end", self.spec.name, sorted(others))
                break
        if self._inode:
            self._guard.leave(self._inode)


class _Guard:
    """The process that ends all tasks when this one dies; told of each task's mount namespace."""

    def __init__(self, mark: str) -> None:
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}
        self._process = subprocess.Popen(
            [*LAUNCHER, "guard", mark],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def enter(self, descriptor: int) -> int:
        """The inode of a mount namespace that is open here: not given to another one until `leave`."""
        inode = os.fstat(descriptor).st_ino
        with self._lock:
            self._held[inode] = descriptor
        self._tell(f"+{inode}\n")
        return inode

    def watch(self, engine: str) -> None:
        """This container engine runs a task."""
        self._tell(f"!{engine}\n")

    def leave(self, inode: int) -> None:
        """Nothing of the task is left."""
        with self._lock:
            os.close(self._held.pop(inode))
        self._tell(f"-{inode}\n")

    def end(self) -> None:
        """Have it end what is left, and then itself."""
        assert self._process.stdin
        with self._lock:
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin
        with self._lock:
            if not self._process.stdin.closed:
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


class _Start(NamedTuple):
    spec: TaskSpec
    ended: Ended
    began: Began | None
    answer: queue.SimpleQueue[RunningTask | OSError]


class Tasks:
    """Starts tasks, all from one thread: the kernel ends a process with the thread that started it."""

    def __init__(self, mark: str) -> None:
        self._mark, self._guard = mark, _Guard(mark)
        self._starts: queue.SimpleQueue[_Start | None] = queue.SimpleQueue()
        self._running: set[RunningTask] = set()
        self._lock = threading.Lock()
        self._has_ended = False
        self._starter = threading.Thread(target=self._run, name="starter", daemon=True)
        self._starter.start()

    def start(self, spec: TaskSpec, ended: Ended, began: Began | None = None) -> RunningTask:
        """Start a task; returns when it has a process. Raises OSError where the machine has none left.

        A program that cannot be started is told by the outcome, as with container engines.
        """
        if self._has_ended:
            raise OSError(errno.ESHUTDOWN, "the sandbox ends")
        answer: queue.SimpleQueue[RunningTask | OSError] = queue.SimpleQueue()
        self._starts.put(_Start(spec, ended, began, answer))
        task = answer.get()
        if isinstance(task, OSError):
            raise task
        return task

    def running(self) -> list[RunningTask]:
        """All tasks that have not ended."""
        with self._lock:
            return list(self._running)

    def end(self) -> None:
        """SIGKILL to all, and return when nothing of them is left; no task can be started after it."""
        self._has_ended = True
        self._starts.put(None)
        self._starter.join()
        for task in (running := self.running()):
            task.kill()
        deadline = time.monotonic() + 20.0
        for task in running:
            task.wait(max(0.0, deadline - time.monotonic()))
        self._guard.end()

    def _run(self) -> None:
        while (start := self._starts.get()) is not None:
            try:
                start.answer.put(self._start(start))
            except OSError as error:
                start.answer.put(error)
        while not self._starts.empty():
            self._starts.get().answer.put(OSError(errno.ESHUTDOWN, "the sandbox ends"))  # type: ignore[union-attr]

    def _start(self, start: _Start) -> RunningTask:
        spec = start.spec
        if spec.remove:
            self._guard.watch(spec.remove[0])
        os.makedirs(spec.folder, exist_ok=True)
        path = os.path.join(spec.folder, "spec.json")
        environment = {**spec.environment, MARK: f"{self._mark}/{spec.name}"}
        # A role's token is in it.
        with open(path, "w", encoding="utf-8", opener=trust.private) as stream:
            json.dump(spec._replace(environment=environment)._asdict(), stream)
        listener, reports = socket.socketpair()
        try:
            with open(spec.log, "ab", buffering=0) as log:
                process = subprocess.Popen(
                    [*LAUNCHER, "start", path, str(os.getpid()), str(reports.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**ENVIRONMENT, MARK: environment[MARK]},
                    start_new_session=True,
                    pass_fds=(reports.fileno(),),
                )
        except BaseException:
            listener.close()
            raise
        finally:
            reports.close()
        task = RunningTask(spec, self._mark, process, listener, self._guard)
        with self._lock:
            self._running.add(task)
        threading.Thread(target=self._follow, args=(task, start), name=spec.name, daemon=True).start()
        return task

    def _follow(self, task: RunningTask, start: _Start) -> None:
        try:
            task.follow(start.ended, start.began)
        finally:
            with self._lock:
                self._running.discard(task)


def _last_line(path: str) -> str:
    """What a container engine has said last."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        return next((line.strip() for line in reversed(stream.readlines()[-5:]) if line.strip()), "")
