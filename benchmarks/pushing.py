"""How long it takes to push data, beside copying it and hashing the copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from figures import SECONDS, Figure
from setting import Setting, remove_home
from timing import Command, interleave

_OURS, _BARE = "trainyard data push", "cp -R, sha256sum"
_MEBIBYTE = 1 << 20


def measure(setting: Setting) -> list[Figure]:
    """Many small files, then one large one; each time into a home that is new."""
    files, size = setting.size(10_000, 100), setting.size(512, 4)
    small, large = setting.folder / "small-files", setting.folder / "large-file"
    write_small(small, files)
    write_large(large, size)
    return [
        _measure(setting, f"{files:,} files of 1 KiB", small),
        _measure(setting, f"one file of {size} MiB", large),
    ]


def _measure(setting: Setting, what: str, source: Path) -> Figure:
    home, copy = setting.folder / "push-home", setting.folder / "push-copy"
    hasher = "sha256sum" if shutil.which("sha256sum") else "shasum -a 256"
    line = f'cp -R "$0" "$1" && find "$1" -type f -print0 | xargs -0 {hasher} >"$1.sums"'

    def clear() -> None:
        shutil.rmtree(copy, ignore_errors=True)

    commands = [
        Command(_BARE, ["sh", "-c", line, source, copy], setting.folder, setting.variables(), clear),
        Command(
            _OURS,
            [*setting.trainyard, "data", "push", "pushed", source],
            setting.folder,
            setting.variables(home),
            lambda: remove_home(home),
        ),
    ]
    samples = interleave(commands, max(1, setting.runs // 2), setting.say)
    clear()
    remove_home(home)
    return Figure("push", what, samples, _OURS, _BARE, SECONDS)


def write_small(folder: Path, count: int) -> None:
    """Write so many files of 1 KiB, in a hundred folders."""
    for number in range(count):
        place = folder / f"{number % 100:02d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:05d}.bin").write_bytes(os.urandom(1024))


def write_large(folder: Path, size: int) -> None:
    """Write a file of so many MiB."""
    folder.mkdir()
    with (folder / "large.bin").open("wb") as stream:
        for _ in range(size):
            stream.write(os.urandom(_MEBIBYTE))
