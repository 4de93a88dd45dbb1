"""How a forked child leaves its parent behind before it becomes a program."""

from __future__ import annotations

import os
import signal


def begin() -> None:
    """A session of its own, and signals that do what they do at a program's start."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def redirect(output: int) -> None:
    """Nothing to read, and all that is written goes to the descriptor `output`."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
