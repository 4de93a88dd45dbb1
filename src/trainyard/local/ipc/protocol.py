"""How commands and the supervisor of a home talk: lines of JSON over a socket that only the user can reach.

The supervisor greets with `{"version", "pid"}`. A command says `{"do": "wake"}` after it has written to the
ledger and gets `{"ok": true}` (with `"run"` and `"values"`, variables of the submitter's shell that are
written down nowhere); `{"do": "watch", "runs": […]}` and gets `{"run", "state"}` for each at once
and again whenever it changes; `{"do": "drain", "next": […]}` to have an older supervisor end what it runs,
start nothing more, and make way for the command `next`.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from typing import Any

from ...core.errors import HomeRefused
from ..home.home import Home

READY, HELD = b"ready\n", b"held\n"
"""What a supervisor says to whoever started it: it listens; another one holds the lock of the home."""

LONGEST = 100
"""Bytes of a socket's path that every system takes (Linux 107, macOS 103; unix(7), unix(4))."""


def socket_path(home: Home) -> str:
    """Where the socket of a home is: in the home, or where its path is too long for that, in a folder of
    the user's own below the system's folder for temporary files."""
    inside = os.path.join(home.supervisor, "socket")
    if len(os.fsencode(inside)) <= LONGEST:
        return inside
    folder = os.path.join("/tmp", f"trainyard-{os.geteuid()}")  # the same for every program of the user
    _own_folder(folder)
    import hashlib  # 4 ms, for long paths alone

    return os.path.join(folder, hashlib.sha256(os.fsencode(home.path)).hexdigest()[:24])


def is_listening(home: Home) -> bool:
    """Whether a supervisor listens; one that was killed leaves its socket behind."""
    path = socket_path(home)
    if not os.path.exists(path):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        return line.connect_ex(path) == 0


def encode(message: dict[str, Any]) -> bytes:
    """A message as it goes over the socket."""
    return json.dumps(message).encode() + b"\n"


def _own_folder(folder: str) -> None:
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    status = os.lstat(folder)
    if (
        not stat.S_ISDIR(status.st_mode)
        or status.st_uid != os.geteuid()
        or stat.S_IMODE(status.st_mode) & 0o077
    ):
        raise HomeRefused(
            "is not a folder of yours alone",
            where=folder,
            cure="remove it, or use a home with a shorter path",
        )
