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
from contextlib import suppress
from typing import Any

from ...core.errors import BadInput, HomeRefused
from ...core.files import trust
from ..home.home import Home

READY, HELD = b"ready\n", b"held\n"
"""What a supervisor says to whoever started it: it listens; another one holds the lock of the home."""

LONGEST = 100
"""Bytes of a socket's path that every system takes (Linux 107, macOS 103; unix(7), unix(4))."""


def socket_path(home: Home) -> str:
    """Where the socket of a home is: in the home, or where its path is too long for that, in the folder that
    `place_socket` has made; "" where there is none."""
    inside = os.path.join(home.supervisor, "socket")
    if len(os.fsencode(inside)) <= LONGEST:
        return inside
    try:
        with open(_place_file(home), encoding="utf-8", errors="surrogateescape") as stream:
            folder = stream.read()
        # One that is gone after a reboot may be anybody's by now.
        trust.require_private(folder)
    except (OSError, BadInput):
        return ""
    return os.path.join(folder, "socket")


def place_socket(home: Home) -> str:
    """The same for the supervisor that is to listen: where there is none, a folder is made for it.

    Its name is a random one, which nobody can have taken before, and is written down in the home.
    """
    known = socket_path(home)
    if known:
        return known
    for base in (os.environ.get("XDG_RUNTIME_DIR", ""), os.environ.get("TMPDIR", ""), "/tmp"):
        path = os.path.join(base, f"trainyard-{os.urandom(8).hex()}", "socket")
        if not os.path.isabs(base) or len(os.fsencode(path)) > LONGEST:
            continue
        try:
            os.mkdir(os.path.dirname(path), 0o700)
        except OSError:
            continue
        with open(_place_file(home), "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(os.path.dirname(path))
        return path
    cure = "use a home with a shorter path"
    raise HomeRefused("there is no folder for its supervisor's socket", where=home.path, cure=cure)


def remove_socket(home: Home, path: str) -> None:
    """Remove a socket that nobody listens to any more, and the folder that was made for it."""
    os.unlink(path)
    if os.path.dirname(path) != home.supervisor:
        with suppress(OSError):
            os.rmdir(os.path.dirname(path))
        with suppress(OSError):
            os.unlink(_place_file(home))


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


def _place_file(home: Home) -> str:
    return os.path.join(home.supervisor, "socket-folder")
