"""The ledger on this machine: what is written is whole, and versions are never used twice."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import trainyard
from conftest import Project
from trainyard import Model, Yard
from trainyard.core.errors import DiskFull, HomeRefused
from trainyard.core.ports.engine import RunQuery
from trainyard.core.ports.ledger import DataSet
from trainyard.local.home.home import Home
from trainyard.local.ledger import database
from trainyard.local.ledger.journal import Journal
from trainyard.local.ledger.ledger import SqliteLedger, free_version


@pytest.fixture
def where(home: Path) -> Home:
    place = Home(os.path.realpath(home))
    place.create()
    return place


@pytest.fixture
def ledger(where: Home) -> Iterator[SqliteLedger]:
    opened = SqliteLedger(where)
    yield opened
    opened.close()


@pytest.fixture
def journal(where: Home) -> Iterator[Journal]:
    opened = Journal(where)
    yield opened
    opened.close()


def staged(where: Home, name: str = "rows", content: str = "x") -> tuple[DataSet, str]:
    folder = Path(where.aside) / os.urandom(4).hex()
    folder.mkdir()
    (folder / "file").write_text(content)
    record = DataSet(name=name, version=0, hash=f"sha256:{content}", bytes=1, files=1, created=1.0)
    return record, str(folder)


def merged(where: Home) -> Path:
    folder = Path(where.path) / "merged"
    folder.mkdir()
    (folder / "weights").write_text("w")
    return folder


RECORD = Model(name="toy", version=0, run="toy-1", path="", created=1.0, hash="sha256:w", bytes=1, files=1)


def test_a_home_that_does_not_exist_reads_as_empty(home: Path) -> None:
    ledger = SqliteLedger(Home(os.path.realpath(home)))
    assert (ledger.run("x"), ledger.run_ids(), ledger.datasets(), ledger.models()) == (None, [], [], [])
    assert (list(ledger.runs(RunQuery())), ledger.observe(["x"])) == ([], {})
    assert not home.exists()


def test_versions_count_from_one_for_each_name(where: Home, ledger: SqliteLedger) -> None:
    made = [ledger.add_dataset(*staged(where, name)).ref for name in ("a", "b", "a", "a")]
    assert made == ["a@1", "b@1", "a@2", "a@3"]
    assert [version.ref for version in ledger.datasets()] == ["a@1", "a@2", "a@3", "b@1"]
    assert [version.ref for version in ledger.datasets("b")] == ["b@1"]


def test_two_pushes_at_once_have_two_versions(where: Home, ledger: SqliteLedger) -> None:
    made: list[str] = []

    def push() -> None:
        mine = SqliteLedger(where)
        made.append(mine.add_dataset(*staged(where)).ref)
        mine.close()

    threads = [threading.Thread(target=push) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [f"rows@{n}" for n in range(1, 9)]
    assert all((Path(version.path) / "file").exists() for version in ledger.datasets())


def test_a_folder_that_a_crash_left_is_not_overwritten(where: Home, ledger: SqliteLedger) -> None:
    left = Path(where.dataset("rows", 1))
    left.mkdir(parents=True)
    (left / "file").write_text("of a crash")
    assert ledger.add_dataset(*staged(where)).ref == "rows@2"
    assert (left / "file").read_text() == "of a crash"
    assert free_version(0, str(left.parent)) == 3


def test_what_cannot_be_moved_is_not_written_down(where: Home, ledger: SqliteLedger) -> None:
    record, _ = staged(where)
    with pytest.raises(trainyard.BadInput):
        ledger.add_dataset(record, f"{where.aside}/absent")
    assert ledger.datasets() == []


def test_a_model_is_added_again_after_a_crash_at_any_point(where: Home, ledger: SqliteLedger) -> None:
    folder, link = merged(where), Path(where.path) / "model"
    crashed = Journal(where)
    assert crashed.add_model(RECORD, str(folder), str(link)) == 1
    crashed._db.rollback()  # moved, and never written down
    crashed.close()
    assert ledger.models() == [] and not folder.exists()
    for _ in range(2):
        journal = Journal(where)
        assert journal.add_model(RECORD, str(folder), str(link)) == 1
        journal.close()
        assert [model.ref for model in ledger.models()] == ["toy@1"]
    assert (link / "weights").read_text() == "w"
    assert link.resolve() == Path(where.model("toy", 1)).resolve()


def test_a_model_that_was_linked_and_not_moved_has_a_version_of_its_own(
    where: Home, journal: Journal, ledger: SqliteLedger
) -> None:
    folder, link = merged(where), Path(where.path) / "model"
    link.symlink_to("models/toy/1")
    Path(where.model("toy", 1)).mkdir(parents=True)
    assert journal.add_model(RECORD, str(folder), str(link)) == 2
    journal.commit()
    assert (link / "weights").exists()


def test_a_block_that_fails_is_undone(where: Home) -> None:
    db = database.open_database(where.database)
    with pytest.raises(ZeroDivisionError), database.transaction(db):
        db.execute("INSERT INTO datasets VALUES ('a', 1, 'h', 1, 1, 1.0)")
        _ = 1 / 0
    assert db.execute("SELECT count(*) FROM datasets").fetchone()[0] == 0
    db.close()


def test_the_ledger_outlives_a_kill_and_is_read_beside_a_writer(where: Home) -> None:
    db = database.open_database(where.database)
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert db.execute("PRAGMA synchronous").fetchone()[0] == 1
    db.close()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("database or disk is full", DiskFull),
        ("attempt to write a readonly database", HomeRefused),
        ("unable to open database file", HomeRefused),
        ("file is not a database", HomeRefused),
        ("database disk image is malformed", HomeRefused),
        ("no such table: runs", sqlite3.OperationalError),
    ],
)
def test_what_sqlite_says_is_told_in_words(text: str, kind: type[Exception]) -> None:
    told = database.plain_error(sqlite3.OperationalError(text), "/home/ledger.sqlite")
    assert type(told) is kind
    if kind is not sqlite3.OperationalError:
        assert "/home/" in str(told)


def test_a_home_whose_path_is_too_long_for_sqlite_is_refused_in_words(tmp_path: Path) -> None:
    folder = tmp_path
    while len(str(folder)) < 500:
        folder /= "x" * 60
    folder.mkdir(parents=True)
    with pytest.raises(HomeRefused, match="no path longer than 500 bytes; set TRAINYARD_HOME"):
        database.open_database(str(folder / "ledger.sqlite"))


def test_each_thread_has_a_connection_of_its_own(where: Home, ledger: SqliteLedger) -> None:
    ledger.add_dataset(*staged(where))
    names: list[str] = []
    connections: list[sqlite3.Connection] = []

    def look() -> None:
        names.extend(version.ref for version in ledger.datasets())
        connections.append(ledger._connection())
        ledger.close()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert names == ["rows@1"]
    assert connections[0] is not ledger._connection()


def test_no_connection_is_carried_into_a_fork(where: Home, ledger: SqliteLedger) -> None:
    ledger.add_dataset(*staged(where))
    before = ledger._connection()

    def push(name: str) -> None:
        assert ledger._connection() is not before
        ledger.add_dataset(*staged(where, name))

    assert in_forks(push, ["a", "b", "c"]) == [0, 0, 0]
    assert [version.ref for version in ledger.datasets()] == ["a@1", "b@1", "c@1", "rows@1"]
    with pytest.raises(sqlite3.ProgrammingError):
        before.execute("SELECT 1")


def in_forks(work: Callable[[str], None], names: list[str]) -> list[int | None]:
    """The exit statuses of forked processes that do the work, each with its name."""
    context = multiprocessing.get_context("fork")
    forks = [context.Process(target=work, args=(name,)) for name in names]
    for fork in forks:
        fork.start()
    for fork in forks:
        fork.join(30)
    return [fork.exitcode for fork in forks]


def test_a_home_made_anew_is_another_ledger(
    local_yard: Yard, home: Path, project: Project, tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("x")
    local_yard.push("x", str(tmp_path / "x"))
    shutil.rmtree(home)
    assert local_yard.data() == []
    assert local_yard.push("x", str(tmp_path / "x"))[0].ref == "x@1"
