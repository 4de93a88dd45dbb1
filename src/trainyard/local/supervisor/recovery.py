"""What a new supervisor does first: a free lock does not mean that the old one's children are dead.

Every process of an unfinished attempt is ended and awaited before anything is started again: by process
group, start time and boot, then by the mark in its environment, for one that left its group.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time

from ...core.errors import SupervisorLost
from ...core.runs.run import State
from ...machine import processes
from ...worker import reasons
from ...worker.contract import contract
from ..home.home import Home
from ..home.runfolder import RunPaths
from ..ledger.journal import Journal
from ..runs.work import home_mark
from ..tasks.follower import Follower

_TIMEOUT = 30.0
_FEWEST, _SHORT = 20, 10.0
"""So many attempts in a row, each so short (seconds), that took the supervisor along are no accident."""
_LOST = reasons.SUPERVISOR_LOST.words


def recover(home: Home, journal: Journal) -> None:
    """End what an earlier supervisor left running, and write its attempts down as interrupted.

    Raises `SupervisorLost` when a process does not go away.
    """
    rows = journal.open_runs()
    if all(row["state"] == State.QUEUED for row in rows):
        return
    _end_processes(home, journal)
    for row in rows:
        if row["state"] != State.QUEUED:
            _interrupt(row, home, journal)
    journal.forget_processes(
        [(row["run"], row["task"], row["number"], row["host"]) for row in journal.processes()]
    )
    journal.commit()


def _end_processes(home: Home, journal: Journal) -> None:
    known = [
        row["pid"]
        for row in journal.processes()
        if processes.is_alive(row["pid"], row["started"], row["boot"])
    ]
    for pid in known:
        processes.signal_group(pid, signal.SIGKILL)
        processes.signal_one(pid)
    left = processes.end_all(known, f"{home_mark(home)}/", _TIMEOUT)
    if left:
        raise SupervisorLost(f"process {left[0]} of an earlier attempt does not end; end it, then try again")


def _interrupt(row: sqlite3.Row, home: Home, journal: Journal) -> None:
    run, paths = row["id"], RunPaths(home.run(row["id"]))
    for attempt in journal.attempts(run):
        if attempt["state"] not in (State.STARTING, State.RUNNING):
            continue
        ended = _last_sign_of_life(paths, attempt)
        for host in _names(paths.attempt(attempt["number"])):
            contract.forget_words(contract.Layout(os.path.join(paths.task(attempt["number"], host), "ml")))
        lost = None
        if row["kind"] == "training" and attempt["started"]:
            newest = contract.newest_checkpoint(paths.checkpoints) or 0.0
            lost = max(0.0, ended - max(attempt["started"], newest))
        journal.set_attempt(
            run,
            attempt["task"],
            attempt["number"],
            attempt["launch"],
            state=str(State.INTERRUPTED),
            reason=_LOST,
            finished=ended,
            lost=lost,
        )
    if not row["stop"] and _only_takes_down(journal.attempts(run), row["launch"]):
        reason = reasons.GIVEN_UP.of(_FEWEST, _LOST).reason
        journal.set_run(run, state=str(State.FAILED), reason=reason, finished=time.time())
        return
    journal.set_run(run, state=str(State.INTERRUPTED), reason=_LOST)


def _only_takes_down(attempts: list[sqlite3.Row], launch: int) -> bool:
    """Whether the run does little but end its supervisor: going on with it would never end."""
    last = [row for row in attempts if row["launch"] == launch]
    last = sorted(last, key=lambda row: row["finished"] or 0.0)[-_FEWEST:]
    return len(last) == _FEWEST and all(
        row["reason"] == _LOST
        and (row["finished"] or 0.0) - (row["started"] or row["finished"] or 0.0) < _SHORT
        for row in last
    )


def _last_sign_of_life(paths: RunPaths, attempt: sqlite3.Row) -> float:
    """When the attempt is last known to have run, which is when its log was last written."""
    times = [attempt["started"] or 0.0]
    folder = paths.attempt(attempt["number"])
    names = [name for name in _names(folder) if name.endswith(".log")]
    if attempt["task"] != "train":
        names = [name for name in names if name == f"{attempt['task']}.log"]
    for name in names:
        log = os.path.join(folder, name)
        written = os.stat(log).st_mtime
        Follower(log, wants_lines=False).read(written)
        times.append(written)
    return max(times) or time.time()


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
