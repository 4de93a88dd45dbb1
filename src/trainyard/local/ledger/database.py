"""The SQLite file behind the local ledger: its schema, and connections to it.

WAL with synchronous NORMAL: a killed process loses nothing, a power loss may lose the last transitions but
leaves the file whole (sqlite.org/wal.html, sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...core.errors import HomeRefused
from ...core.files.oserrors import no_room

SCHEMA = 1

_LONGEST = 500
"""Bytes of a path: SQLite's MAX_PATHNAME for Unix is 512, the names of its own files beside included."""

_TABLES = """
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    launch INTEGER NOT NULL,
    created REAL NOT NULL,
    spec TEXT NOT NULL,
    stop INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    bad_input INTEGER NOT NULL DEFAULT 0,
    metrics TEXT NOT NULL DEFAULT '{}',
    warnings TEXT NOT NULL DEFAULT '[]',
    model TEXT,
    started REAL,
    finished REAL,
    rows_in INTEGER,
    rows_out INTEGER
);
CREATE INDEX open_runs ON runs (seq) WHERE state NOT IN ('succeeded', 'failed', 'stopped');
CREATE INDEX runs_by_name ON runs (name, seq);
CREATE TABLE attempts (
    run TEXT NOT NULL,
    task TEXT NOT NULL,
    number INTEGER NOT NULL,
    launch INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    started REAL,
    finished REAL,
    lost REAL,
    PRIMARY KEY (run, task, number)
) WITHOUT ROWID;
CREATE TABLE processes (
    run TEXT NOT NULL,
    task TEXT NOT NULL,
    number INTEGER NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started TEXT NOT NULL,
    boot TEXT NOT NULL,
    PRIMARY KEY (run, task, number, host)
) WITHOUT ROWID;
CREATE TABLE datasets (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    hash TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    files INTEGER NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
CREATE TABLE models (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    run TEXT NOT NULL,
    hash TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    files INTEGER NOT NULL,
    created REAL NOT NULL,
    code TEXT NOT NULL,
    data TEXT NOT NULL,
    hyperparameters TEXT NOT NULL,
    metrics TEXT NOT NULL,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
"""


def open_database(path: str) -> sqlite3.Connection:
    """A connection in autocommit mode; creates the tables where there are none.

    Raises `HomeRefused` for a file that a newer trainyard wrote or that is no ledger.
    """
    try:
        # Each thread has its own; one is only closed from another, where that drops the last reference.
        connection = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
    except sqlite3.DatabaseError as error:
        raise plain_error(error, path) from None
    try:
        connection.row_factory = sqlite3.Row
        if connection.execute("PRAGMA user_version").fetchone()[0] != SCHEMA:
            _prepare(connection, path)
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise plain_error(error, path) from None
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of the block or nothing of it; nested blocks belong to the outermost one."""
    if connection.in_transaction:
        yield connection
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # SQLite rolls back by itself where the disk is full.
        with suppress(sqlite3.OperationalError):
            connection.execute("ROLLBACK")
        raise


def plain_error(error: sqlite3.Error, path: str) -> Exception:
    """SQLite's error in our words, or itself where it is a bug."""
    text = str(error)
    if "disk is full" in text:
        return no_room(path)
    if "unable to open" in text and len(os.fsencode(path)) > _LONGEST:
        cure = "set TRAINYARD_HOME to a shorter one"
        return HomeRefused(f"SQLite takes no path longer than {_LONGEST} bytes", where=path, cure=cure)
    if "readonly" in text or "unable to open" in text:
        return HomeRefused("the ledger cannot be written", where=path, cure="make its folder writable")
    if "not a database" in text or "malformed" in text:
        return HomeRefused("is no ledger", where=path, cure="set TRAINYARD_HOME to another folder")
    return error


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    with transaction(connection):
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > SCHEMA:
            raise HomeRefused(
                f"the home was written by a newer trainyard (schema {found}, this one knows {SCHEMA})",
                where=os.path.dirname(path),
                cure="upgrade trainyard, or set TRAINYARD_HOME to another folder",
            )
        if found == 0:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
