"""Where what can be made again is kept."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from trainyard.core.errors import BadInput
from trainyard.core.files.caches import cache_folder, private_cache


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path


@pytest.mark.parametrize(("platform", "folder"), [("linux", ".cache"), ("darwin", "Library/Caches")])
def test_the_cache_lies_where_the_system_has_it(
    platform: str, folder: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder("wheels", "1") == str(home / folder / "trainyard" / "wheels" / "1")


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_xdg_cache_home_moves_it(platform: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "elsewhere"))
    assert cache_folder() == str(home / "elsewhere" / "trainyard")


@pytest.mark.parametrize("path", ["", "elsewhere", "./elsewhere"])
def test_an_xdg_cache_home_that_is_relative_is_ignored(
    path: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", path)
    assert cache_folder() == str(home / ".cache" / "trainyard")


def test_what_is_trusted_lies_in_a_folder_of_the_users_alone(home: Path) -> None:
    folder = Path(cache_folder())
    (folder / "wheels").mkdir(parents=True)
    folder.chmod(0o755)  # as earlier versions made it
    assert private_cache("wheels", "1") == cache_folder("wheels", "1")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o702)
    with pytest.raises(BadInput, match=r"trainyard: the cache can be written by others.*XDG_CACHE_HOME"):
        private_cache("wheels")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_cache_that_somebody_else_planted_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "shared"))
    (home / "shared/trainyard/environments").mkdir(parents=True)
    os.chown(home / "shared/trainyard", 65534, 65534)
    with pytest.raises(BadInput, match="the cache belongs to another user"):
        private_cache("environments")
