"""The home: where it is found, and what is refused as one, in a line and before anything is written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import trainyard
from conftest import PATIENCE, Project, becomes_true, end_home, supervisor_pid
from trainyard import BadInput, NotFound, State, Yard
from trainyard.core.errors import DiskFull, HomeRefused
from trainyard.local.home import home as home_home
from trainyard.local.home.home import Home
from trainyard.local.ipc import protocol
from trainyard.machine import mounts

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


class TestFinding:
    @pytest.fixture(autouse=True)
    def no_variable(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("TRAINYARD_HOME", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path / "user"))
        (tmp_path / "user/projects/deep").mkdir(parents=True)

    def test_the_variable_names_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TRAINYARD_HOME", "~/elsewhere")
        assert home_home.find(str(tmp_path)) == str((tmp_path / "user/elsewhere").resolve())

    def test_the_nearest_one_upwards_is_taken(self, tmp_path: Path) -> None:
        (tmp_path / "user/.trainyard").mkdir()
        assert home_home.find(str(tmp_path / "user/projects/deep")) == str(tmp_path / "user/.trainyard")
        (tmp_path / "user/projects/.trainyard").mkdir()
        assert home_home.find(str(tmp_path / "user/projects/deep")) == str(
            tmp_path / "user/projects/.trainyard"
        )

    def test_none_is_looked_for_above_the_users_folder(self, tmp_path: Path) -> None:
        (tmp_path / ".trainyard").mkdir()
        start = tmp_path / "user/projects"
        assert home_home.find(str(start)) == str(start / ".trainyard")

    def test_it_is_beside_the_start_where_there_is_none(self, tmp_path: Path) -> None:
        start = tmp_path / "user/projects"
        assert home_home.find(str(start)) == str(start / ".trainyard")
        assert not (start / ".trainyard").exists()

    def test_a_link_leads_to_one_home(self, tmp_path: Path) -> None:
        (tmp_path / "user/.trainyard").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "user/projects")
        assert home_home.find(str(tmp_path / "link")) == str(tmp_path / "user/.trainyard")


def test_looking_leaves_no_trace(local_yard: Yard, home: Path) -> None:
    assert (local_yard.runs(), local_yard.models(), local_yard.data()) == ([], [], [])
    with pytest.raises(NotFound):
        local_yard.get("absent")
    assert not home.exists()


def test_a_home_ignores_itself_in_version_control(local_yard: Yard, home: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    local_yard.push("x", str(tmp_path / "x"))
    assert (home / ".gitignore").read_text() == "*\n"


def test_the_supervisors_folder_is_the_users_alone(local_yard: Yard, home: Path, project: Project) -> None:
    local_yard.train(project.training("")).wait(timeout=PATIENCE)
    assert stat.S_IMODE((home / "supervisor").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "supervisor/socket").stat().st_mode) == 0o600


def test_another_yard_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "trainyard.toml").write_text("[environments.staging]\n")
    with pytest.raises(NotFound, match=r"--on: there is no yard 'stagin'; did you mean 'staging'"):
        trainyard.connect("stagin", start=str(tmp_path))
    with pytest.raises(NotFound, match=r"there is no yard 'x'; there is local, sandbox, dev, staging"):
        trainyard.connect("x", start=str(tmp_path))


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeRefused, match="is no folder"):
        trainyard.connect(home=str(tmp_path / "file"))


def test_a_home_by_a_newer_version_is_refused(home: Path) -> None:
    home.mkdir()
    with closing(sqlite3.connect(home / "ledger.sqlite")) as db, db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(HomeRefused, match=r"newer trainyard.*upgrade") as caught:
        trainyard.connect(home=str(home)).runs()
    assert caught.value.exit_status == 2
    with closing(sqlite3.connect(home / "ledger.sqlite")) as db, db:
        assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    db.close()


@pytest.mark.parametrize(
    "content", [b"this is a letter and no ledger" * 100, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_ledger_that_is_none_is_refused(home: Path, project: Project, content: bytes) -> None:
    home.mkdir()
    (home / "ledger.sqlite").write_bytes(content)
    yard = trainyard.connect(home=str(home))
    with pytest.raises(HomeRefused, match="is no ledger"):
        yard.runs()
    with pytest.raises(HomeRefused, match="is no ledger"):
        yard.train(project.training(""))
    assert (home / "ledger.sqlite").read_bytes() == content


def test_a_home_on_a_network_is_refused(
    home: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "network_kind", lambda path: "nfs4")
    with pytest.raises(HomeRefused, match=r"network file system \(nfs4\).*TRAINYARD_HOME"):
        trainyard.connect(home=str(home)).train(project.training(""))
    assert not home.exists()


@needs_root
def test_a_home_of_another_user_is_refused(home: Path) -> None:
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    with pytest.raises(HomeRefused, match="another user"):
        trainyard.connect(home=str(home))


@needs_root
class TestAnotherUser:
    """Who may write to a folder above the project, and to no more."""

    @pytest.fixture(autouse=True)
    def project_in_a_shared_folder(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        monkeypatch.delenv("TRAINYARD_HOME", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path / "user"))
        (tmp_path / "shared/project").mkdir(parents=True)
        return tmp_path / "shared/project"

    @pytest.mark.parametrize("plant", ["folder", "link to theirs", "link to mine"])
    def test_leaves_a_home_above_a_project_and_nobody_is_led_there_or_locked_out(
        self, tmp_path: Path, plant: str
    ) -> None:
        planted, other = tmp_path / "shared/.trainyard", tmp_path / "other"
        other.mkdir()
        if plant == "folder":
            planted.mkdir()
        else:
            planted.symlink_to(other)
        if plant != "link to mine":
            os.chown(other, NOBODY, NOBODY)
        os.lchown(planted, NOBODY, NOBODY)
        yard = trainyard.connect(start=str(tmp_path / "shared/project"))
        assert yard.home == str(tmp_path / "shared/project/.trainyard")
        (tmp_path / "rows.csv").write_text("1")
        yard.push("rows", str(tmp_path / "rows.csv"))
        assert not [*other.iterdir()]

    def test_leaves_a_home_in_the_project_itself_and_is_told_of(self, tmp_path: Path) -> None:
        planted = tmp_path / "shared/project/.trainyard"
        planted.symlink_to(tmp_path / "user")
        os.lchown(planted, NOBODY, NOBODY)
        with pytest.raises(
            HomeRefused, match=rf"{planted}: the home is another user's link; .*TRAINYARD_HOME"
        ):
            trainyard.connect(start=str(tmp_path / "shared/project"))

    def test_may_not_lead_a_named_home_elsewhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "shared/way").symlink_to(tmp_path / "user")
        monkeypatch.setenv("TRAINYARD_HOME", str(tmp_path / "shared/way/home"))
        trainyard.connect()
        os.lchown(tmp_path / "shared/way", NOBODY, NOBODY)
        with pytest.raises(HomeRefused, match=r"shared/way: the home is another user's link"):
            trainyard.connect()


def test_a_home_that_others_may_write_to_is_refused(local_yard: Yard, home: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("1")
    local_yard.push("rows", str(tmp_path / "rows.csv"))
    home.chmod(0o702)
    with pytest.raises(HomeRefused, match=r"home: the home can be written by others than you.*chmod go-w"):
        trainyard.connect(home=str(home))


def test_the_home_is_its_owners_alone_also_one_of_an_earlier_version(
    local_yard: Yard, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("1")
    local_yard.push("rows", str(tmp_path / "rows.csv"))
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    home.chmod(0o755)
    (home / ".trainyard-home").unlink()
    trainyard.connect(home=str(home))
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_folder_with_something_else_in_it_is_no_home_and_stays_as_it_is(home: Path, tmp_path: Path) -> None:
    (home / "aside/1-mine").mkdir(parents=True)  # what a sweep of ours would take for a killed command's
    os.utime(home / "aside/1-mine", (1, 1))
    home.chmod(0o755)
    with pytest.raises(HomeRefused, match=r"home: the home is not empty, and no home that trainyard made"):
        trainyard.connect(home=str(home))
    assert {path.name for path in home.rglob("*")} == {"aside", "1-mine"}
    assert stat.S_IMODE(home.stat().st_mode) == 0o755


def test_a_source_that_was_changed_after_it_was_kept_does_not_run(
    local_yard: Yard, home: Path, project: Project, tmp_path: Path
) -> None:
    run = local_yard.train(project.training(f"open({str(tmp_path / 'ran')!r}, 'a').write('x')"))
    assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED
    (snapshot,) = (home / "code").iterdir()
    with (snapshot / "train.py").open("a") as script:
        script.write(f"open({str(tmp_path / 'evil')!r}, 'w')\n")
    run = local_yard.train(project.training()).wait(timeout=PATIENCE)
    assert run.state is State.FAILED
    assert f"{snapshot}: the source was changed after it was kept: it hashes to " in run.reason
    assert (tmp_path / "ran").read_text() == "x"
    assert not (tmp_path / "evil").exists()


READ_ONLY = """
# Everything is imported first: an ordinary user may not read this interpreter's library.
import encodings.idna, hashlib, importlib, os, shutil, sqlite3, subprocess, sys
from trainyard import BadInput, connect
from trainyard.local import engine
from trainyard.local.home import home, store
from trainyard.local.ipc import client, starting
from trainyard.local.ledger import ledger
from trainyard.machine import copying, mounts
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    connect(home=sys.argv[1]).push("rows", sys.argv[2])
except BadInput as error:
    print(error)
    sys.exit(error.exit_status)
"""


@needs_root
@pytest.mark.parametrize("is_there", [True, False])
def test_a_home_that_cannot_be_written_is_refused(home: Path, is_there: bool) -> None:
    if is_there:
        home.mkdir()
        os.chown(home, NOBODY, NOBODY)
        home.chmod(0o500)
    home.parent.chmod(0o555)
    (home.parent / "rows.csv").write_text("n\n1\n")
    command = [sys.executable, "-c", READ_ONLY, str(home), str(home.parent / "rows.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (2, ""), done
    assert len(done.stdout.splitlines()) == 1
    assert str(home) in done.stdout and ("read-only" in done.stdout or "cannot be written" in done.stdout)


class TestSocket:
    def test_a_long_path_has_its_socket_elsewhere(self, home: Path, project: Project) -> None:
        deep = home / ("x" * 60) / ("y" * 60)
        assert len(str(deep)) > 108
        yard = trainyard.connect(home=str(deep))
        try:
            assert yard.train(project.training("")).wait(timeout=PATIENCE).state is State.SUCCEEDED
            place = Path(protocol.socket_path(Home(str(deep.resolve()))))
            assert place.exists() and deep not in place.parents
            assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
            pid = supervisor_pid(deep)
            assert pid
        finally:
            end_home(deep)
        assert becomes_true(lambda: not place.exists())

    @pytest.fixture
    def deep(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
        """A home whose path is too long for a socket, made; no folder for the socket is."""
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        found = Home(str(home.resolve() / ("x" * 60) / ("y" * 60)))
        found.create()
        return found

    def test_it_lies_in_the_runtime_folder_where_there_is_one_and_looking_makes_none(
        self, deep: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with tempfile.TemporaryDirectory(prefix="r-") as runtime:
            monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
            assert protocol.socket_path(deep) == ""
            assert not protocol.is_listening(deep)
            assert not [*Path(runtime).iterdir()]
            path = Path(protocol.place_socket(deep))
            assert path.parent.parent == Path(runtime)
            assert protocol.place_socket(deep) == protocol.socket_path(deep) == str(path)
            path.touch()
            protocol.remove_socket(deep, str(path))
            assert not [*Path(runtime).iterdir()]
            assert protocol.socket_path(deep) == ""

    @needs_root
    def test_nobody_is_locked_out_by_a_folder_of_somebody_elses(self, deep: Home, project: Project) -> None:
        planted = Path(protocol.place_socket(deep)).parent
        os.chown(planted, NOBODY, NOBODY)
        try:
            run = trainyard.connect(home=deep.path).train(project.training(""))
            assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED
            assert Path(protocol.socket_path(deep)).parent not in (planted, Path())
            assert not [*planted.iterdir()]
        finally:
            end_home(Path(deep.path))
            planted.rmdir()

    def test_it_is_made_anew_where_its_folder_is_cleaned_away(self, deep: Home, project: Project) -> None:
        yard = trainyard.connect(home=deep.path)
        try:
            yard.train(project.training("")).wait(timeout=PATIENCE)
            shutil.rmtree(Path(protocol.socket_path(deep)).parent)
            assert becomes_true(lambda: protocol.is_listening(deep))
            assert yard.train(project.training("")).wait(timeout=PATIENCE).state is State.SUCCEEDED
        finally:
            end_home(Path(deep.path))


@needs_root
class TestFullDisk:
    @pytest.fixture
    def tiny(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix="tiny-"))
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
        )
        if mounted.returncode:
            folder.rmdir()
            pytest.skip("no file system can be mounted here")
        yield folder
        try:
            end_home(folder / "home")
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
            shutil.rmtree(folder)

    def test_a_data_set_that_does_not_fit_leaves_nothing(self, tiny: Path, tmp_path: Path) -> None:
        (tmp_path / "big").write_bytes(b"x" * (4 << 20))
        yard = trainyard.connect(home=str(tiny / "home"))
        with pytest.raises(DiskFull, match="no space left") as caught:
            yard.push("big", str(tmp_path / "big"))
        assert caught.value.exit_status == 1
        assert yard.data() == []
        assert list((tiny / "home/aside").iterdir()) == []
        (tmp_path / "small").write_bytes(b"x" * 1000)
        assert yard.push("small", str(tmp_path / "small"))[0].ref == "small@1"

    def test_a_script_that_fills_the_disk_ends_with_that_reason(self, tiny: Path, project: Project) -> None:
        script = """
import os
with open(os.environ["SM_MODEL_DIR"] + "/big", "wb") as file:
    for _ in range(64): file.write(b"x" * (1 << 16)); file.flush()
"""
        yard = trainyard.connect(home=str(tiny / "home"))
        run = yard.train(project.training(script))
        run.wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert "no space left" in run.reason.lower()
        assert [attempt.state for attempt in run.attempts] == [State.FAILED]
        # Once there is room again, everything is as it was.
        for big in tiny.rglob("big"):
            big.unlink()
        run.stop()
        assert run.state.ended
        assert yard.train(project.training("")).wait(timeout=PATIENCE).state is State.SUCCEEDED

    def test_a_home_that_cannot_be_made_for_want_of_room_is_a_full_disk(
        self, tiny: Path, project: Project
    ) -> None:
        with (
            pytest.raises(OSError, match="No space left"),
            (tiny / "filler").open("wb", buffering=0) as filler,
        ):
            while True:
                filler.write(b"x" * 4096)
        with pytest.raises(DiskFull, match="no space left on the device") as caught:
            trainyard.connect(home=str(tiny / "home")).train(project.training(""))
        assert caught.value.exit_status == 1

    def test_a_run_in_a_full_home_is_refused_in_words(self, tiny: Path, project: Project) -> None:
        yard = trainyard.connect(home=str(tiny / "home"))
        assert yard.train(project.training("")).wait(timeout=PATIENCE).state is State.SUCCEEDED
        with (
            pytest.raises(OSError, match="No space left"),
            (tiny / "filler").open("wb", buffering=0) as filler,
        ):
            while True:
                filler.write(b"x" * 4096)
        project.write("more.py", "# new code\n" * 2000)
        with pytest.raises((DiskFull, BadInput), match=r"(?i)no space left") as caught:
            yard.train(project.training("# other\n")).wait(timeout=PATIENCE)
        assert caught.value.exit_status == 1
        (tiny / "filler").unlink()
        assert yard.train(project.training("# third\n")).wait(timeout=PATIENCE).state is State.SUCCEEDED
