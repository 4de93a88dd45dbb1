"""What a program leaves behind: the processes of its group, and those that are ours as their parents died."""

from __future__ import annotations

import os
import signal
import time
from typing import Iterator

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PATIENCE = 5.0


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
    deadline = time.monotonic() + _PATIENCE
    while _children_end(leader, mark) and time.monotonic() < deadline:
        time.sleep(0.001)


def _children_end(leader: int, mark: str) -> bool:
    """Kill and reap what there is; whether anything was, whose own children may be ours next."""
    found = False
    for pid in _children():
        try:
            if os.getpgid(pid) == leader or _has_mark(pid, mark):
                found = True
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, os.WNOHANG)
        except (ProcessLookupError, ChildProcessError, PermissionError):
            continue
    return found


def _children() -> list[int]:
    us, found = str(os.getpid()).encode(), []
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        # The fields of proc(5)'s stat after the program's name, which may hold anything: state, parent, …
        fields = read(f"/proc/{name}/stat").rpartition(b") ")[2].split() if name.isdigit() else []
        if len(fields) > 1 and fields[1] == us:
            found.append(int(name))
    return found


def _has_mark(pid: int, mark: str) -> bool:
    return bool(mark) and f"\0{mark}\0".encode() in b"\0" + read(f"/proc/{pid}/environ")


def read(path: str) -> bytes:
    """What a file of /proc holds; nothing where it, or its process, is gone."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return b""
