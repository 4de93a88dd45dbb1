"""What the supervisor alone writes into the ledger: transitions of runs, attempts, processes, new models.

Writes are gathered in one transaction until `commit`, so that a turn of the supervisor costs one.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from ...core.ports.ledger import Model
from ..home.home import Home
from . import database
from .ledger import free_version
from .rows import model_row


class Journal:
    """The supervisor's side of the ledger."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._db = database.open_database(home.database)

    def commit(self) -> None:
        """Make durable what was written since the last time."""
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def close(self) -> None:
        self.commit()
        self._db.close()

    def open_runs(self) -> list[sqlite3.Row]:
        """The rows of runs that have not ended, in the order of their submission."""
        return self._db.execute(
            "SELECT * FROM runs WHERE state NOT IN ('succeeded', 'failed', 'stopped') ORDER BY seq"
        ).fetchall()

    def open_ids(self) -> list[tuple[str, bool]]:
        """The ids of runs that have not ended, and whether each is to stop."""
        rows = self._db.execute(
            "SELECT id, stop FROM runs WHERE state NOT IN ('succeeded', 'failed', 'stopped') ORDER BY seq"
        )
        return [(row["id"], bool(row["stop"])) for row in rows]

    def run(self, run: str) -> sqlite3.Row:
        """The row of a run."""
        row: sqlite3.Row = self._db.execute("SELECT * FROM runs WHERE id = ?", (run,)).fetchone()
        return row

    def attempts(self, run: str) -> list[sqlite3.Row]:
        """All attempts of a run."""
        return self._db.execute(
            "SELECT * FROM attempts WHERE run = ? ORDER BY task, number", (run,)
        ).fetchall()

    def processes(self) -> list[sqlite3.Row]:
        """The processes that were started and not seen to end."""
        return self._db.execute("SELECT * FROM processes").fetchall()

    def set_run(self, run: str, **columns: Any) -> None:
        """Write the columns of a run and note a change of its state in the run's folder."""
        self._begin()
        names = ", ".join(f"{name} = ?" for name in columns)
        self._db.execute(f"UPDATE runs SET {names} WHERE id = ?", (*columns.values(), run))
        if "state" in columns:
            self.note(run, columns)

    def note(self, run: str, what: Mapping[str, Any]) -> None:
        """Append an event to `events.jsonl` in the run's folder, for people and after a power loss."""
        line = json.dumps({"time": round(time.time(), 3), **what})
        # A run whose folder somebody removed is no reason for all the others to end.
        with (
            suppress(FileNotFoundError),
            open(os.path.join(self._home.run(run), "events.jsonl"), "a", encoding="utf-8") as stream,
        ):
            stream.write(line + "\n")

    def set_attempt(self, run: str, task: str, number: int, launch: int, **columns: Any) -> None:
        """Write the columns of an attempt, a new one or a known one."""
        self._begin()
        names = ", ".join(columns)
        marks = ", ".join("?" for _ in columns)
        updates = ", ".join(f"{name} = excluded.{name}" for name in columns)
        self._db.execute(
            f"INSERT INTO attempts (run, task, number, launch, {names}) VALUES (?, ?, ?, ?, {marks})"
            f" ON CONFLICT DO UPDATE SET {updates}",
            (run, task, number, launch, *columns.values()),
        )
        self.note(run, {"task": task, "attempt": number, **columns})

    def fail_running(self, reason: str) -> None:
        """Write every run that has begun, and its unfinished attempts, down as failed; what was about to be
        written is not."""
        with suppress(sqlite3.OperationalError):
            self._db.execute("ROLLBACK")
        now = time.time()
        with database.transaction(self._db) as db:
            db.execute(
                "UPDATE attempts SET state = 'failed', reason = ?, finished = ?"
                " WHERE state IN ('starting', 'running')",
                (reason, now),
            )
            db.execute(
                "UPDATE runs SET state = 'failed', reason = ?, finished = ?"
                " WHERE state IN ('starting', 'running', 'interrupted')",
                (reason, now),
            )
            db.execute("DELETE FROM processes")

    def add_process(
        self, run: str, task: str, number: int, host: str, identity: tuple[int, str, str]
    ) -> None:
        """Remember a process (its id, start time and the boot's id) until it is seen to end."""
        self._begin()
        self._db.execute(
            "INSERT OR REPLACE INTO processes VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run, task, number, host, *identity),
        )

    def forget_processes(self, keys: Iterable[tuple[str, str, int, str]]) -> None:
        """Forget processes that have ended."""
        self._begin()
        self._db.executemany(
            "DELETE FROM processes WHERE run = ? AND task = ? AND number = ? AND host = ?", keys
        )

    def add_model(self, model: Model, folder: str, link: str) -> int:
        """Give what lies in `folder` the next version of `model.name`, and its place, where the symbolic
        link `link` will lead; the version.

        The link is made first, so that this can be done again after a crash at any point of it.
        """
        self._begin()
        is_moved = os.path.islink(link) and not os.path.isdir(folder)
        version = int(os.path.basename(os.readlink(link))) if is_moved else self._next_version(model.name)
        place = self._home.model(model.name, version)
        self._db.execute(
            "INSERT OR IGNORE INTO models VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", model_row(model, version)
        )
        if not is_moved:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with suppress(FileNotFoundError):
                os.unlink(link)
            os.symlink(os.path.relpath(place, os.path.dirname(link)), link)
            os.rename(folder, place)
        return version

    def _next_version(self, name: str) -> int:
        found = self._db.execute("SELECT max(version) FROM models WHERE name = ?", (name,)).fetchone()
        return free_version(found[0] or 0, os.path.dirname(self._home.model(name, 1)))

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")
