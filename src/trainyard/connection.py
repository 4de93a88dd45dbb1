"""The name of a yard -> the yard. The only module that names the engines.

Called `connection` and not `connect`, since a submodule of that name would hide `trainyard.connect()`.
Engines are imported when they are named: a command should not wait for more than it needs.
"""

from __future__ import annotations

import os

from .errors import HomeRefused
from .local import home as homes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .yard import Yard

LOCAL = "local"


def connect(yard: str = LOCAL, *, home: str | None = None, start: str = ".") -> Yard:
    """The yard of that name; `local` is this machine, and all there is in this version.

    `home` is the folder that holds a local yard; None finds it: `TRAINYARD_HOME`, else `.trainyard` in
    the folder `start` or upwards. Nothing is created before it is needed.

    Raises `NotFound` for another name; `HomeRefused` for a home that is read-only, another user's or
    written by a newer version.
    """
    if yard != LOCAL:
        raise homes.no_such_yard(yard)
    from .local.engine import LocalEngine
    from .local.ledger import SqliteLedger
    from .local.store import FolderStore
    from .yard import Yard

    found = homes.checked(os.path.expanduser(home) if home else homes.find(start))
    ledger = SqliteLedger(found)
    return Yard(yard, LocalEngine(found, ledger), ledger, FolderStore(found), home=found.path)


def warm_up(yard: str = LOCAL, *, start: str = ".") -> None:
    """Make ready, in the background, for a run that is likely to be started in a moment.

    Promises nothing and refuses nothing: `connect` does. Leaves no trace where no run is started.
    """
    if yard != LOCAL:
        return
    from .local import protocol, starting

    try:
        home = homes.checked(homes.find(start))
        if not protocol.is_listening(home):
            starting.prepare(home.path)
    except (HomeRefused, OSError):
        return
