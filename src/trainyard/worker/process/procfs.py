"""What Linux says about processes (proc(5)); nothing of one that is gone, or where there is no /proc."""

from __future__ import annotations

import os


def read(path: str) -> bytes:
    """What a file of /proc holds; nothing where it, or its process, is gone."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def pids() -> list[int]:
    """All processes that are seen from here."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def stat(pid: int) -> list[bytes]:
    """The fields of a process's `stat` from the third, `state`, on: the second may hold spaces."""
    return read(f"/proc/{pid}/stat").rpartition(b") ")[2].split()


def stats() -> dict[int, list[bytes]]:
    """`stat` of every process, by its id."""
    return {pid: fields for pid in pids() for fields in [stat(pid)] if fields}


def children(parent: int) -> list[int]:
    """The processes whose parent that one is now, adopted ones included."""
    wanted = str(parent).encode()
    return [pid for pid, fields in stats().items() if fields[1] == wanted]


def has_variable(pid: int, start: str) -> bool:
    """Whether a variable that the process was started with begins so; a NUL at the end asks for all of it."""
    return f"\0{start}".encode() in b"\0" + read(f"/proc/{pid}/environ")
