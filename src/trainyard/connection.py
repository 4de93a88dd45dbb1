"""The name of a yard -> the yard. The only module that names the engines.

Called `connection` and not `connect`, since a submodule of that name would hide `trainyard.connect()`.
"""

from __future__ import annotations

import os

from .local import home as homes
from .local.engine import LocalEngine
from .local.ledger import SqliteLedger
from .local.store import FolderStore
from .yard import Yard


def connect(yard: str = "local", *, home: str | None = None, start: str = ".") -> Yard:
    """The yard of that name; `local` is this machine, and all there is in this version.

    `home` is the folder that holds a local yard; None finds it: `TRAINYARD_HOME`, else `.trainyard` in
    the folder `start` or upwards. Nothing is created before it is needed.

    Raises `NotFound` for another name; `HomeRefused` for a home that is read-only, another user's or
    written by a newer version.
    """
    if yard != LocalEngine.name:
        raise homes.no_such_yard(yard)
    found = homes.checked(os.path.expanduser(home) if home else homes.find(start))
    ledger = SqliteLedger(found)
    return Yard(yard, LocalEngine(found, ledger), ledger, FolderStore(found), home=found.path)
