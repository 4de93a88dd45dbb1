"""How much memory the processes of jobs have."""

from __future__ import annotations

import os
from collections.abc import Collection

from ..worker.process import procfs
from . import processes

_PROC = "/proc"
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(leaders: Collection[int]) -> dict[int, int]:
    """The resident bytes of each leader, its session and all their descendants, in one pass over /proc.

    Pages that several processes share are counted for each of them.
    """
    if not os.path.isdir(_PROC):
        return {leader: processes.memory_of_group(leader) for leader in leaders}
    return {
        leader: sum(int(fields[21]) for fields in each.values()) * _PAGE
        for leader, each in families(leaders).items()
    }


def proportional(leader: int) -> int:
    """The same, with pages that several processes share counted once, and with what was swapped out.

    Takes long for large processes: ask only where `resident` says too much.
    """
    if not os.path.isdir(_PROC):
        return processes.memory_of_group(leader)
    return sum(map(_proportional_of, families([leader])[leader]))


def families(leaders: Collection[int]) -> dict[int, dict[int, list[bytes]]]:
    """By leader: it, its session and all their descendants, by id, each with the fields of proc(5)'s stat
    from the third on. In one pass over /proc; nothing where there is none."""
    stats = procfs.stats()
    children: dict[int, list[int]] = {}
    for pid, fields in stats.items():
        children.setdefault(int(fields[1]), []).append(pid)
    found: dict[int, dict[int, list[bytes]]] = {leader: {} for leader in leaders}
    for leader, family in found.items():
        left = [pid for pid, fields in stats.items() if pid == leader or fields[3] == b"%d" % leader]
        while left:
            pid = left.pop()
            if pid not in family:
                family[pid] = stats[pid]
                left += children.get(pid, ())
    return found


def _proportional_of(pid: int) -> int:
    try:
        with open(f"{_PROC}/{pid}/smaps_rollup", "rb") as stream:
            lines = [line.split() for line in stream]
    except OSError:
        return 0
    return sum(int(line[1]) * 1024 for line in lines if line[0] in (b"Pss:", b"SwapPss:"))
