"""What a program leaves behind: the processes of its group, and those that are ours as their parents died."""

from __future__ import annotations

import os
import signal
import time
from typing import Iterator

from . import procfs

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_GRACE = 5.0


def adopt() -> None:
    """Become the parent of descendants whose own parent ends, as process 1 of a container is already."""
    if os.getpid() == 1:
        return
    try:
        # Takes 3 to 6 ms, and an image's Python may come without it.
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass


def ended() -> Iterator[tuple[int, int]]:
    """Children that have ended, each with its wait status, as long as there are any; none is waited for."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        yield pid, status


def end(leader: int, mark: str) -> None:
    """SIGKILL the process group of `leader`, and those children of ours that have the variable `mark`.

    Waits for children, at most a few seconds: one that hangs in the kernel is given up.
    """
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    deadline = time.monotonic() + _GRACE
    while _children_end(leader, mark) and time.monotonic() < deadline:
        time.sleep(0.001)


def _children_end(leader: int, mark: str) -> bool:
    """Kill and reap what there is; whether anything was, whose own children may be ours next."""
    found = False
    for pid in procfs.children(os.getpid()):
        try:
            if os.getpgid(pid) == leader or (mark and procfs.has_variable(pid, f"{mark}\0")):
                found = True
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, os.WNOHANG)
        except (ProcessLookupError, ChildProcessError, PermissionError):
            continue
    return found
