"""Starts the supervisor of a home as a process of its own."""

from __future__ import annotations

import os
import sys

from . import processes
from .home import Home

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def command(home: Home) -> list[str]:
    """The supervisor's command line but for its last argument, the descriptor it answers on.

    The file is executed by its path, without the site module: that halves the start.
    """
    return [sys.executable, "-S", "-E", os.path.join(_PACKAGE, "local", "supervise.py"), home.path]


def spawn(arguments: list[str], home: Home) -> tuple[int, int]:
    """Start a supervisor. Gives a descriptor that has a line when it listens, and ends when it ends before;
    and the process that was started, to be waited for: it forks and ends at once, so that the supervisor is
    nobody's child.
    """
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    log = os.path.join(home.supervisor, "log")
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # What a job may have of our own variables must not make its supervisor one of its processes.
    variables = {name: value for name, value in os.environ.items() if name != processes.MARK}
    try:
        pid = os.posix_spawn(
            arguments[0], [*arguments, str(writer)], variables, file_actions=actions, setpgroup=0
        )
    finally:
        os.close(writer)
    return reader, pid
