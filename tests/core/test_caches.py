"""Where what can be made again is kept."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trainyard.core.files.caches import cache_folder


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
