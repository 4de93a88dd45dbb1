"""Starts the supervisor of a home as a process of its own.

A supervisor takes longer to import than a command takes to find out what it is asked. So a command may
prepare one as soon as it is likely to need it: it waits, with nothing opened or written, for a word, and goes
away when the command ends without one.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from typing import NamedTuple

from ...machine import MARK
from ..home.home import Home

_PROGRAM = os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "supervisor", "__main__.py"
)


class Starting(NamedTuple):
    """A supervisor on its way. `ready` gives a line when it listens, and ends when it ends before; `go`
    takes the word; `pid` is its first process, which forks and ends at once, so that the supervisor is
    nobody's child, and is to be waited for."""

    home: str
    ready: int
    go: int
    pid: int


_prepared: Starting | None = None


def command(home: str) -> list[str]:
    """The supervisor's command line.

    The file is executed by its path, without the site module: that halves the start.
    """
    return [sys.executable, "-S", "-E", _PROGRAM, home]


def prepare(home: str) -> None:
    """Have a supervisor of the home at that path ready to start; it need not exist yet."""
    global _prepared
    if _prepared is None:
        _prepared = _spawn(command(home), home)


def start(home: Home, arguments: list[str] | None = None) -> Starting:
    """Start a supervisor: the prepared one, or that of another command line."""
    global _prepared
    started, _prepared = _prepared, None
    if started is not None and (arguments or started.home != home.path):
        _dismiss(started)
        started = None
    started = started or _spawn(arguments or command(home.path), home.path)
    os.write(started.go, b"go")
    os.close(started.go)
    return started


def _dismiss(started: Starting) -> None:
    os.close(started.go)
    os.close(started.ready)
    os.waitpid(started.pid, 0)


def _spawn(arguments: list[str], home: str) -> Starting:
    ready, ready_end = _pipe()
    go_end, go = _pipe()
    actions = [
        (os.POSIX_SPAWN_DUP2, go_end, 0),
        (os.POSIX_SPAWN_DUP2, ready_end, 1),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    # What a job may have of our own variables must not make its supervisor one of its processes.
    variables = {name: value for name, value in os.environ.items() if name != MARK}
    try:
        # What our caller ignores or blocks is no business of the supervisor.
        pid = os.posix_spawn(
            arguments[0],
            arguments,
            variables,
            file_actions=actions,
            setpgroup=0,
            setsigmask=(),
            setsigdef=(signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP),
        )
    except OSError:
        os.close(ready)
        os.close(go)
        raise
    finally:
        os.close(ready_end)
        os.close(go_end)
    return Starting(home, ready, go, pid)


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are none of the standard descriptors, even in a program that has closed those."""
    ends = os.pipe()
    reader, writer = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends)
    for end in ends:
        os.close(end)
    return reader, writer
