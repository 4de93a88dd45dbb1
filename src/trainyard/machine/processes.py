"""Processes as the machine knows them: who is who after a crash or a reboot, and how to end them.

A process is known by its id, its start time and the boot's id together: ids alone are used again.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

from ..worker.process import procfs
from . import MARK

_LINUX = sys.platform == "linux"


def boot_id() -> str:
    """What changes at each boot of the machine."""
    if _LINUX:
        return procfs.read("/proc/sys/kernel/random/boot_id").decode().strip()
    return _output("sysctl", "-n", "kern.boottime")


def start_time(pid: int) -> str:
    """When the process started, in the system's own words; "" when it is gone or a zombie."""
    if not _LINUX:
        return _output("ps", "-o", "lstart=", "-p", str(pid))
    fields = procfs.stat(pid)
    return "" if not fields or fields[0] in (b"Z", b"X") else fields[19].decode()


def is_alive(pid: int, started: str, boot: str) -> bool:
    """Whether that very process still runs."""
    return bool(started) and boot == boot_id() and start_time(pid) == started


def signal_group(pid: int, number: int) -> None:
    """Signal the process group that `pid` leads; silent when it is gone."""
    with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(pid, number)


def marked(prefix: str) -> list[int]:
    """The processes of this user whose environment says that they belong to tasks of `prefix`."""
    if not _LINUX:
        return []
    wanted = f"{MARK}={prefix}"
    return [pid for pid in procfs.pids() if pid != os.getpid() and procfs.has_variable(pid, wanted)]


def is_marked(pid: int, mark: str) -> bool:
    """Whether the process says that it belongs to exactly this task."""
    return procfs.has_variable(pid, f"{MARK}={mark}\0")


def signal_one(pid: int, number: int = signal.SIGKILL) -> None:
    """Signal a process; silent when it is gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def memory_of_group(pid: int) -> int:
    """The resident bytes of all processes in the session that `pid` leads."""
    if not _LINUX:
        rows = (line.split() for line in _output("ps", "-axo", "pgid=,rss=").splitlines())
        return sum(int(rss) for group, rss in rows if int(group) == pid) * 1024
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(fields[21]) * page for fields in procfs.stats().values() if int(fields[3]) == pid)


def end_all(pids: list[int], prefix: str, seconds: float) -> list[int]:
    """SIGKILL the processes and all that belong to tasks of `prefix`, and wait until they are gone; those
    that are left after so many seconds."""
    deadline = time.monotonic() + seconds
    left = pids
    while left := wait_until_gone(left, 1.0) or marked(prefix):
        for pid in left:
            signal_one(pid)
        if time.monotonic() > deadline:
            return left
    return []


def wait_until_gone(alive: list[int], seconds: float) -> list[int]:
    """Wait for processes that are not our children; those that are left after so many seconds."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while alive and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
        alive = [pid for pid in alive if start_time(pid)]
    return alive


def children(pid: int) -> list[int]:
    """The processes whose parent that one is now, adopted ones included; [] where /proc can't tell."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as listed:
                found += map(int, listed.read().split())
    except OSError:
        # Kernels built without CONFIG_PROC_CHILDREN have no such list, which is fast.
        return procfs.children(pid)
    return sorted(found)


def _output(*command: str) -> str:
    # Only where there is no /proc.
    import subprocess

    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C"})
    return done.stdout.strip()
