"""A command's side of the socket: reach the supervisor of a home, starting it where there is none."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

from ...core.errors import DiskFull, SupervisorLost
from ...core.files.oserrors import no_room
from ...core.record import NOTHING
from ...version import __version__
from ..home.home import Home
from . import protocol, starting

_TIMEOUT = 40.0
_ATTEMPTS = 4


class Connection:
    """An open line to a supervisor."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._rest = b""

    def say(self, message: dict[str, Any]) -> None:
        self._socket.sendall(protocol.encode(message))

    def hear(self, timeout: float) -> dict[str, Any] | None:
        """The next message; None after so many seconds. Raises OSError when the line is cut."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._rest:
            if not _is_readable(self._socket.fileno(), max(0.0, deadline - time.monotonic())):
                return None
            received = self._socket.recv(65_536)
            if not received:
                raise ConnectionResetError("the supervisor has gone")
            self._rest += received
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def close(self) -> None:
        self._socket.close()


class Client:
    """Reaches the supervisor of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._starting: starting.Starting | None = None
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Have a supervisor ready to start where none listens; nothing is written before it does."""
        if self._starting is None and not protocol.is_listening(self._home):
            with suppress(OSError):
                starting.prepare(self._home.path)

    def start_early(self) -> None:
        """Start a supervisor where none listens, without waiting for it."""
        if self._starting is not None:
            # It may have come, and gone again, since it was started.
            self._started(timeout=0.0)
        if self._starting is None and not protocol.is_listening(self._home):
            self._start()

    def wake(self, run: str = "", values: Mapping[str, str] = NOTHING) -> None:
        """Have the supervisor read the ledger again; returns when it has. `values` are variables of a run
        that only its memory is to hold."""
        handed = {"run": run, "values": dict(values)} if values else {}
        self._ask({"do": "wake", **handed})

    def watch(self, runs: Sequence[str]) -> Connection:
        """A line on which the states of the runs are told, now and whenever they change."""
        connection = self._connect()
        try:
            connection.say({"do": "watch", "runs": list(runs)})
        except BaseException:
            connection.close()
            raise
        return connection

    def _ask(self, message: dict[str, Any]) -> None:
        for _ in range(_ATTEMPTS):
            connection = self._connect()
            try:
                connection.say(message)
                if connection.hear(_TIMEOUT):
                    return
            except OSError:
                # It went just then: the next one starts.
                continue
            finally:
                connection.close()
        raise self._lost()

    def _connect(self) -> Connection:
        deadline = time.monotonic() + _TIMEOUT
        starts = 0
        while time.monotonic() < deadline:
            connection = self._try()
            if connection is not None:
                return connection
            if starts >= _ATTEMPTS:
                break
            self._start()
            said = self._started()
            if said != protocol.READY:
                time.sleep(0.02)
            # Another one that holds the lock is on its way in or out, and is waited for; one that has said
            # that it listens may fail nonetheless.
            starts += said != protocol.HELD
        raise self._lost()

    def _try(self) -> Connection | None:
        self._started()
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.connect(protocol.socket_path(self._home))
            connection = Connection(line)
            greeting = connection.hear(_TIMEOUT)
            if greeting and is_older(greeting.get("version", "0")):
                connection.say({"do": "drain", "next": starting.command(self._home.path)})
                connection.hear(_TIMEOUT)
        except OSError:
            line.close()
            return None
        return connection

    def _start(self) -> None:
        with self._lock:
            if self._starting is not None:
                return
            self._home.create()
            try:
                self._starting = starting.start(self._home)
            except OSError as error:
                raise SupervisorLost(f"the supervisor could not be started: {error.strerror}") from None

    def _started(self, timeout: float = _TIMEOUT) -> bytes:
        """What the supervisor that was started says first; nothing where it ended instead or none was."""
        with self._lock:
            if self._starting is None or not _is_readable(self._starting.ready, timeout):
                return b""
            started, self._starting = self._starting, None
            try:
                return os.read(started.ready, 16)
            finally:
                os.close(started.ready)
                # A fork of this process has it for no child.
                with suppress(ChildProcessError):
                    os.waitpid(started.pid, 0)

    def _lost(self) -> SupervisorLost | DiskFull:
        if _is_full(self._home.path):
            return no_room(self._home.path)
        log = os.path.join(self._home.supervisor, "log")
        return SupervisorLost(f"the supervisor does not answer; {log} says why")


class Watch:
    """Waits for the states of runs to become others than the `known` ones, whatever happens to the
    supervisor meanwhile: when it was killed, the next one recovers the runs and tells."""

    def __init__(self, client: Client, known: Mapping[str, str]) -> None:
        self._client, self._known = client, dict(known)
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection:
            self._connection.close()

    def wait(self, seconds: float) -> None:
        """Return when one has changed, or after so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._connection = self._connection or self._client.watch(list(self._known))
                message = self._connection.hear(left)
            except OSError:
                if self._connection:
                    self._connection.close()
                self._connection = None
                continue
            if message and self._known.get(message["run"]) != message["state"]:
                self._known[message["run"]] = message["state"]
                return


def _is_readable(descriptor: int, seconds: float) -> bool:
    # Not select(2): a program with more than 1024 open files may be our caller.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _is_full(path: str) -> bool:
    try:
        return os.statvfs(path).f_bavail == 0
    except OSError:
        return False


def is_older(version: str) -> bool:
    """Whether a version comes before this one."""
    return _parts(version) < _parts(__version__)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
