"""What lies in the home is still what the ledger has recorded of it.

Reading a large data set at the start of every task would take longer than many tasks do. So what large files
were like when they were hashed (size, times, inode) is noted in the home; one that is the same in all of
these is not read again. Content that was changed has another time of change, which only the system sets. A
home that others can write to is none (`home.checked`); where it has become one, nothing noted in it counts.
"""

from __future__ import annotations

import json
import os
import stat
import time
from contextlib import suppress
from typing import Any

from ...core.errors import BadInput
from ...core.files import trees, trust
from ...core.files.whole import written
from .home import Home

LARGE = 1 << 20
"""Bytes from which on a file is not read again; smaller ones take hardly longer to read than to look up."""
_SETTLED = 2.0
"""Seconds after which another change of a file has another time on any file system."""


def check(home: Home, folder: str, recorded: str) -> None:
    """Return where the folder of a data set's or model's version has the content that was recorded.

    `recorded` is `sha256:…`, or "" where nothing was. Raises `BadInput` with both hashes, or for a
    folder that is gone, and OSError.
    """
    if not recorded:
        return
    if not os.path.isdir(folder):
        raise BadInput("is gone", where=folder)
    place = os.path.join(home.path, "hashes", f"{recorded.removeprefix('sha256:')}.json")
    noted = _noted(home, place, folder)
    entries = [entry for entry in trees.walk(folder) if not stat.S_ISDIR(entry.status.st_mode)]
    begun, files, found = time.time(), [], {}
    for entry in entries:
        known = noted.get(entry.relative, {})
        state = _state(entry.status)
        if entry.status.st_size < LARGE or known.get("state") != state:
            digest, size = trees.hash_file(entry.path)
            known = {"state": state, "sha256": digest}
            # One that changes in the very moment in which it is read would look as if it had not.
            if size >= LARGE and max(entry.status.st_ctime, entry.status.st_mtime) < begun - _SETTLED:
                found[entry.relative] = known
        files.append(
            trees.HashedFile(entry.relative, entry.path, entry.status.st_size, known["sha256"], entry.status)
        )
    trees.check_hash(trees.hash_of(files).hash, recorded, where=folder)
    if found:
        _note(home, place, folder, {**noted, **found})


def _state(status: os.stat_result) -> list[int]:
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _noted(home: Home, place: str, folder: str) -> dict[str, dict[str, Any]]:
    """What was noted of the large files of a folder; nothing where others than the user could have."""
    try:
        for path in (home.path, os.path.dirname(place), place):
            trust.require_private(path)
        with open(place, encoding="utf-8") as stream:
            found = json.load(stream)
        files: dict[str, dict[str, Any]] = found["files"]
        return files if found["folder"] == os.path.relpath(folder, home.path) else {}
    except (BadInput, OSError, ValueError, KeyError, TypeError):
        return {}


def _note(home: Home, place: str, folder: str, files: dict[str, dict[str, Any]]) -> None:
    # Where it cannot be, it is hashed again the next time.
    with suppress(OSError):
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        with written(place, 0o600) as stream:
            json.dump({"folder": os.path.relpath(folder, home.path), "files": files}, stream)
