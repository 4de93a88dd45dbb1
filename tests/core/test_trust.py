"""Folders of ours: another user of the machine can neither write to them nor have us empty others."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

import pytest

from trainyard.core.errors import BadInput
from trainyard.core.files import trust

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_of_ours_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        trust.make_private(str(tmp_path / "above/home"), "home")
    finally:
        os.umask(before)
    assert mode(tmp_path / "above") == mode(tmp_path / "above/home") == 0o700
    assert trust.require_ours(str(tmp_path / "above/home"), "home")
    trust.require_private(str(tmp_path / "above/home"))


def test_an_empty_folder_is_taken_over_and_closed(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o775)
    assert not trust.require_ours(str(tmp_path / "home"), "home")
    assert mode(tmp_path / "home") == 0o775
    trust.make_private(str(tmp_path / "home"), "home")
    assert mode(tmp_path / "home") == 0o700


def test_a_folder_with_something_else_in_it_is_refused_and_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    trust.make_private(str(folder), "home")  # a home is no sandbox's folder either
    (folder / "work").mkdir()
    folder.chmod(0o755)
    with pytest.raises(BadInput, match=rf"{folder}: is not empty, and no sandbox that trainyard made"):
        trust.make_private(str(folder), "sandbox")
    assert mode(folder) == 0o755
    assert {path.name for path in folder.iterdir()} == {".trainyard-home", "work"}


def test_what_an_earlier_version_made_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(0o755)
    (tmp_path / "home/ledger.sqlite").touch()
    assert trust.require_ours(str(tmp_path / "home"), "home", earlier=["ledger.sqlite"])
    assert mode(tmp_path / "home") == 0o700


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o777])
def test_a_folder_that_others_may_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    trust.make_private(str(tmp_path / "home"), "home")
    (tmp_path / "home").chmod(bits)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("team", "x", gid, ["ann"])))
    for look in (trust.require_private, lambda path: trust.make_private(path, "home")):
        with pytest.raises(BadInput, match=r"home: can be written by others than you; .*chmod go-w"):
            look(str(tmp_path / "home"))
    (tmp_path / "home").chmod(0o755)
    trust.make_private(str(tmp_path / "home"), "home")


def test_a_group_of_the_users_own_is_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = pwd.getpwuid(os.geteuid())
    (tmp_path / "home").mkdir()
    (tmp_path / "home/ledger.sqlite").touch()
    (tmp_path / "home").chmod(0o775)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group((me.pw_name, "x", gid, [])))
    trust.make_private(str(tmp_path / "home"), "home", earlier=["ledger.sqlite"])
    assert mode(tmp_path / "home") == 0o700


@needs_root
def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(0o700)
    os.chown(tmp_path / "home", NOBODY, NOBODY)
    for look in (trust.require_private, lambda path: trust.make_private(path, "home")):
        with pytest.raises(BadInput, match="home: belongs to another user"):
            look(str(tmp_path / "home"))


@needs_root
@pytest.mark.parametrize("path", ["home", "above/home", "above/../home", "twice/home", "./relative/home"])
def test_another_users_link_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real/home").mkdir(parents=True)
    (tmp_path / "real").chmod(0o700)
    (tmp_path / "home").symlink_to("real/home")
    (tmp_path / "above").symlink_to(tmp_path / "real")
    (tmp_path / "twice").symlink_to("above")
    (tmp_path / "relative").symlink_to("./real")
    trust.require_own(path)  # one's own links are
    for link in ("home", "above", "relative"):
        os.lchown(tmp_path / link, NOBODY, NOBODY)
    with pytest.raises(BadInput, match=r"(home|above|relative): is another user's link"):
        trust.require_private(path)
    with pytest.raises(BadInput, match="another user's link"):
        trust.make_private(path, "home")
    with pytest.raises(BadInput, match="another user's link"):
        trust.make_private(f"{path}/new", "home")
    assert not list((tmp_path / "real/home").iterdir())


def test_a_link_in_circles_and_what_is_absent_are_nobodys(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert trust.foreign_link(str(tmp_path / "loop")) == ""
    assert trust.foreign_link(str(tmp_path / "absent/deep")) == ""
    with pytest.raises(FileNotFoundError):
        trust.require_private(str(tmp_path / "absent"))
