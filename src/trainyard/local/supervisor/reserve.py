"""Room on the disk for the last words: when it is full, the ledger could not even say so."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

from ...worker.errors import is_disk_full
from ..home.home import Home

_SIZE = 1 << 19


def reserve(home: Home) -> None:
    """Keep some room in a file of the home; nothing where there is none to keep."""
    path = _path(home)
    if os.path.exists(path):
        return
    try:
        with open(path, "wb") as stream:
            stream.write(bytes(_SIZE))
    except OSError:
        release(home)


def release(home: Home) -> None:
    """Give the room back."""
    with suppress(OSError):
        os.unlink(_path(home))


def is_want_of_it(error: Exception) -> bool:
    """Whether the error says that the disk, or what the user may have of it, is full."""
    if isinstance(error, sqlite3.Error):
        return "disk is full" in str(error)
    return is_disk_full(error)


def _path(home: Home) -> str:
    return os.path.join(home.supervisor, "room")
