"""How much memory the processes of jobs have."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import NamedTuple

from ..worker.process import procfs
from . import processes

_PROC = "/proc"
_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Process(NamedTuple):
    parent: int
    session: int
    resident: int


def resident(leaders: Collection[int]) -> dict[int, int]:
    """The resident bytes of each leader, its session and all their descendants, in one pass over /proc.

    Pages that several processes share are counted for each of them.
    """
    if not os.path.isdir(_PROC):
        return {leader: processes.memory_of_group(leader) for leader in leaders}
    table = _table()
    children = _children(table)
    return {
        leader: sum(table[pid].resident for pid in _family(leader, table, children)) for leader in leaders
    }


def proportional(leader: int) -> int:
    """The same, with pages that several processes share counted once, and with what was swapped out.

    Takes long for large processes: ask only where `resident` says too much.
    """
    if not os.path.isdir(_PROC):
        return processes.memory_of_group(leader)
    table = _table()
    return sum(_proportional_of(pid) for pid in _family(leader, table, _children(table)))


def _table() -> dict[int, _Process]:
    return {
        pid: _Process(int(fields[1]), int(fields[3]), int(fields[21]) * _PAGE)
        for pid, fields in procfs.stats().items()
    }


def _children(table: dict[int, _Process]) -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for pid, process in table.items():
        children.setdefault(process.parent, []).append(pid)
    return children


def _family(leader: int, table: dict[int, _Process], children: dict[int, list[int]]) -> set[int]:
    found: set[int] = set()
    left = [pid for pid, process in table.items() if pid == leader or process.session == leader]
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left += children.get(pid, ())
    return found


def _proportional_of(pid: int) -> int:
    try:
        with open(f"{_PROC}/{pid}/smaps_rollup", "rb") as stream:
            lines = [line.split() for line in stream]
    except OSError:
        return 0
    return sum(int(line[1]) * 1024 for line in lines if line[0] in (b"Pss:", b"SwapPss:"))
