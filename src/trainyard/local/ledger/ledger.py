"""The local ledger: what is remembered, read by everybody, and what submitters write.

What the supervisor alone writes is in `journal.py`. A home that does not exist yet reads as empty.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...core.files.oserrors import refusal
from ...core.ports.engine import RunQuery
from ...core.ports.ledger import DataSet, Model
from ...core.runs.run import Observation, Run
from ..home.home import Home
from . import database
from .rows import dataset_of, model_of, model_row, observation_of, run_of, spec_of

_LATEST_ATTEMPTS = "SELECT * FROM attempts WHERE run = ? ORDER BY started IS NULL, started, task, number"

_LEDGERS: weakref.WeakSet[SqliteLedger] = weakref.WeakSet()


class SqliteLedger:
    """The `Ledger` of a local yard. Safe to use from several threads: each has its own connection."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._local = threading.local()
        _LEDGERS.add(self)

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        vars(self._local).pop("held", None)

    def run(self, run_id: str) -> Run | None:
        with self._reading() as db:
            if db is None:
                return None
            row = db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
            return run_of(row, db.execute(_LATEST_ATTEMPTS, (run_id,)), self._home) if row else None

    def run_ids(self) -> list[str]:
        with self._reading() as db:
            return [row[0] for row in db.execute("SELECT id FROM runs ORDER BY seq DESC")] if db else []

    def runs(self, query: RunQuery) -> Iterator[Run]:
        """The runs that match, newest first."""
        sql = "SELECT * FROM runs WHERE name = ifnull(?, name) AND kind = ifnull(?, kind)"
        with self._reading() as db:
            if db is None:
                return
            rows = db.execute(
                sql + " ORDER BY seq DESC LIMIT ?",
                (query.name, query.kind, -1 if query.limit is None else query.limit),
            ).fetchall()
            for row in rows:
                yield run_of(row, db.execute(_LATEST_ATTEMPTS, (row["id"],)), self._home)

    def observe(self, run_ids: Sequence[str]) -> dict[str, Observation]:
        """What became of each run; one that is not known is left out."""
        found: dict[str, Observation] = {}
        with self._reading() as db:
            if db is None:
                return found
            for run_id in run_ids:
                row = db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
                if row:
                    found[run_id] = observation_of(row, db.execute(_LATEST_ATTEMPTS, (run_id,)))
        return found

    def submit(self, run: Run, submission: Mapping[str, Any]) -> bool:
        """Write down the run, or its next launch; False where that launch is written already."""
        spec = json.dumps(spec_of(run, submission))
        with self._writing() as db:
            known = db.execute("SELECT launch FROM runs WHERE id = ?", (run.id,)).fetchone()
            if known and known["launch"] >= run.launch:
                return False
            if known:
                db.execute(
                    "UPDATE runs SET launch = ?, spec = ?, stop = 0, state = 'queued', reason = '',"
                    " bad_input = 0, warnings = '[]', finished = NULL WHERE id = ?",
                    (run.launch, spec, run.id),
                )
            else:
                db.execute(
                    "INSERT INTO runs (id, name, kind, launch, created, spec, state)"
                    " VALUES (?, ?, ?, ?, ?, ?, 'queued')",
                    (run.id, run.name, run.kind, run.launch, run.created, spec),
                )
        return True

    def ask_to_stop(self, run_id: str) -> None:
        """Write down that the run is to stop; nothing where it has ended."""
        with self._writing() as db:
            db.execute(
                "UPDATE runs SET stop = 1 WHERE id = ? AND state NOT IN ('succeeded', 'failed', 'stopped')",
                (run_id,),
            )

    def add_dataset(self, staged: DataSet, address: str) -> DataSet:
        def row(version: int) -> tuple[Any, ...]:
            return (staged.name, version, staged.hash, staged.bytes, staged.files, staged.created)

        version, place = self._add("datasets", staged.name, self._home.dataset, row, address)
        return staged.replace(version=version, path=place)

    def add_model(self, staged: Model, address: str) -> Model:
        version, place = self._add(
            "models", staged.name, self._home.model, lambda version: model_row(staged, version), address
        )
        return staged.replace(version=version, path=place)

    def _add(
        self,
        table: str,
        name: str,
        place_of: Callable[[str, int], str],
        row: Callable[[int], tuple[Any, ...]],
        address: str,
    ) -> tuple[int, str]:
        """Give what lies at `address` the next version of its name, and its place; both."""
        with self._writing() as db:
            latest = db.execute(f"SELECT max(version) FROM {table} WHERE name = ?", (name,)).fetchone()[0]
            version = free_version(latest or 0, os.path.dirname(place_of(name, 1)))
            place, values = place_of(name, version), row(version)
            db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.rename(address, place)
        return version, place

    def datasets(self, name: str | None = None) -> list[DataSet]:
        sql = "SELECT * FROM datasets WHERE name = ifnull(?, name) ORDER BY name, version"
        with self._reading() as db:
            return [dataset_of(row, self._home) for row in db.execute(sql, (name,))] if db else []

    def models(self, name: str | None = None) -> list[Model]:
        sql = "SELECT * FROM models WHERE name = ifnull(?, name) ORDER BY name, version"
        with self._reading() as db:
            return [model_of(row, self._home) for row in db.execute(sql, (name,))] if db else []

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        if not self._home.exists:
            yield None
            return
        try:
            yield self._connection()
        except sqlite3.Error as error:
            raise database.plain_error(error, self._home.database) from None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._home.create()
        try:
            with database.transaction(self._connection()) as db:
                yield db
        except sqlite3.Error as error:
            raise database.plain_error(error, self._home.database) from None
        except OSError as error:
            raise refusal(error, self._home.path) from None

    def _connection(self) -> sqlite3.Connection:
        # A home that was removed and made anew under a long-lived Python is another file.
        inode = os.stat(self._home.database).st_ino if self._home.exists else 0
        held: _Held | None = vars(self._local).get("held")
        if held is None or held.inode != inode:
            self.close()
            held = self._local.held = _Held(self._home.database)
        return held.connection


class _Held:
    """A thread's connection, closed with the last reference to it: when its thread ends, or the ledger."""

    def __init__(self, path: str) -> None:
        self.connection = database.open_database(path)
        self.inode = os.stat(path).st_ino

    def __del__(self) -> None:
        connection = vars(self).get("connection")
        if connection is not None:
            connection.close()


def _close_before_fork() -> None:
    for ledger in list(_LEDGERS):
        ledger.close()


# A connection must not be carried across a fork, not even to be closed there (sqlite.org/howtocorrupt.html).
os.register_at_fork(before=_close_before_fork)


def free_version(latest: int, folder: str) -> int:
    """The version after `latest` whose folder does not exist: a crash between renaming and committing
    may have left one that the ledger does not know, and nothing is overwritten."""
    version = latest + 1
    while os.path.lexists(os.path.join(folder, str(version))):
        version += 1
    return version
