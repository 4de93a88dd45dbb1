"""The supervisor: the one process of a home that starts jobs and sees them end.

Started by the first command that needs it, it outlives terminals; idle for a minute, or with its home gone,
it ends. It has one thread and never waits for anything but everything at once.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import socket
import sqlite3
import sys
import time
from typing import Any

from ...core.files.oserrors import no_room
from ...machine import namespace
from ...worker.process import orphans
from ..home.home import Home
from ..ipc import protocol, starting
from ..ipc.server import ClientConnection, Server
from ..ledger.journal import Journal
from . import reserve
from .recovery import recover
from .scheduler import Scheduler
from .timers import Timers

IDLE = 60.0
_LOOK = 2.0


class Supervisor:
    """The loop around a scheduler and a server."""

    def __init__(self, home: Home, journal: Journal, lock: int) -> None:
        self._home, self._lock = home, lock
        self._selector = selectors.DefaultSelector()
        self._timers = Timers()
        self._scheduler = Scheduler(home, journal, self._selector, self._timers, slots())
        self._server = Server(home, self._selector, self._handle)
        self._journal = journal
        self._last_busy = time.monotonic()
        self._next: list[str] = []
        self._home_is_gone = False
        self._was_told_to_go = False

    def listen(self) -> None:
        """Take commands from now on; what they ask for waits for `run`."""
        self._server.open()

    def run(self) -> list[str]:
        """Work until there has been nothing to do for a while; the command of the one to make way for."""
        self._wake_on_signals()
        self._timers.after(_LOOK, self._look_at_home)
        self._scheduler.load()
        while not self._home_is_gone:
            self._server.notify(self._scheduler.turn())
            if self._may_leave():
                break
            for key, _ in self._selector.select(self._timers.wait()):
                # What was done for the one before may have closed this one.
                if self._selector.get_map().get(key.fd) is key:
                    key.data()
            if self._was_told_to_go:
                self._was_told_to_go = False
                self._scheduler.interrupt_all()
            self._timers.run_due()
        return [] if self._home_is_gone else self._next

    def fail_all(self, reason: str) -> None:
        """End and write down as failed what runs now."""
        self._scheduler.fail_all(reason)

    def _may_leave(self) -> bool:
        """Whether to go: idle for long enough, with no command that has just asked for something."""
        if not self._scheduler.has_nothing_to_do():
            self._last_busy = time.monotonic()
            return False
        if not self._scheduler.is_draining and time.monotonic() - self._last_busy < IDLE:
            return False
        # From here on commands start a supervisor of their own; one that was quicker is heard.
        self._server.close()
        self._scheduler.load()
        if self._scheduler.has_nothing_to_do():
            return True
        self._server.open()
        return False

    def _handle(self, client: ClientConnection, message: dict[str, Any]) -> None:
        self._last_busy = time.monotonic()
        match message:
            case {"do": "wake"}:
                if "values" in message:
                    self._scheduler.hand_over(str(message["run"]), dict(message["values"]))
                self._scheduler.load()
                client.say({"ok": True})
            case {"do": "watch", "runs": [*runs]}:
                client.watches = {str(run) for run in runs}
                for run in client.watches:
                    client.say({"run": run, "state": self._scheduler.state_of(run)})
            case {"do": "drain", "next": [*command]}:
                self._scheduler.is_draining = True
                self._next = [str(part) for part in command]
                client.say({"ok": True})

    def _wake_on_signals(self) -> None:
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._told_to_go)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)

        def wake() -> None:
            reader.recv(4096)
            self._scheduler.reap()

        self._selector.register(reader, selectors.EVENT_READ, wake)
        self._wakers = (reader, writer)

    def _told_to_go(self, *_: Any) -> None:
        self._was_told_to_go = True

    def _look_at_home(self) -> None:
        self._home_is_gone = not _is_at(self._lock, lock_path(self._home))
        if self._home_is_gone:
            self._scheduler.kill_all()
            self._server.close()
        elif not self._server.is_reachable():
            self._server.close()
            self._server.open()
        self._timers.after(_LOOK, self._look_at_home)


def slots() -> int:
    """How many tasks run at a time: `TRAINYARD_SLOTS`, else as many as the cores this process may use."""
    named = os.environ.get("TRAINYARD_SLOTS", "")
    if named.isdecimal() and int(named) > 0:
        return int(named)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def lock_path(home: Home) -> str:
    """The file whose lock makes a process the supervisor of the home."""
    return os.path.join(home.supervisor, "lock")


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """`supervisor HOME`: supervise a home, after a word on stdin; says on stdout when it listens."""
    if not os.read(0, 1):
        return 0
    home = Home(arguments[0])
    ready = _take_descriptors(home)
    lock = os.open(lock_path(home), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _tell(ready, protocol.HELD)
        return 0
    try:
        journal = Journal(home)
        supervisor = Supervisor(home, journal, lock)
        supervisor.listen()
        _tell(ready, protocol.READY)
        namespace.load()
        orphans.adopt()
        recover(home, journal)
        namespace.refusal()
        reserve.reserve(home)
        try:
            following = supervisor.run()
        except (sqlite3.OperationalError, OSError) as error:
            if reserve.is_want_of_it(error):
                supervisor.fail_all(str(no_room(home.path)))
            raise
        journal.close()
        os.close(lock)
        if following:
            starting.start(home, following)
    except Exception:
        import traceback  # 8 ms that only a bug is worth

        sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {traceback.format_exc()}")
        return 1
    return 0


def _take_descriptors(home: Home) -> int:
    """Make the log of stdout and stderr, and nothing of stdin; what was stdout, to answer on."""
    ready = os.dup(1)
    log = os.open(os.path.join(home.supervisor, "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    os.close(nothing)
    os.close(log)
    return ready


def _tell(ready: int, word: bytes) -> None:
    try:
        os.write(ready, word)
    except OSError:
        pass
    os.close(ready)
