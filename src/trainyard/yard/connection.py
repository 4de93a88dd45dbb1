"""The name of a yard -> the yard. The only module that names the engines.

Called `connection` and not `connect`, since a submodule of that name would hide `trainyard.connect()`.
Engines are imported when they are named: a command should not wait for more than it needs.
"""

from __future__ import annotations

import os

from ..core.errors import BadInput, HomeRefused, NotFound, nearest
from ..local.home.home import checked, find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from ..aws.account.deployment import Deployment
    from ..aws.account.session import Session
    from .yard import Yard

    Progress: TypeAlias = Callable[[int, int, int, int], None]

LOCAL, SANDBOX = "local", "sandbox"
JOB_FILE = "trainyard.toml"


def connect(
    yard: str = LOCAL,
    *,
    home: str | None = None,
    start: str = ".",
    progress: Progress | None = None,
) -> Yard:
    """The yard of that name: `local` is this machine, `sandbox` AWS emulated on it, any other the deployed
    environment `[environments.<name>]` of the nearest `trainyard.toml` from `start` upwards (`dev` needs no
    table in it). `start` is a folder or a job file.

    `home` is the folder that holds a local yard; None finds it: `TRAINYARD_HOME`, else `.trainyard` in
    the folder `start` or upwards. Nothing is created before it is needed. `progress` is told of what is sent
    and fetched, where the yard is not this machine: bytes done, bytes in all, files done, files in all.

    Raises `NotFound` for another name, and for an environment that is not deployed; `BadInput` for what is
    wrong with it or with the credentials; `HomeRefused` for a home that is read-only, another user's or
    written by a newer version.
    """
    if yard == LOCAL:
        return _local(home, start)
    return on_aws(*environment(yard, start=start), progress)


def environment(yard: str, *, start: str = ".") -> tuple[Session, Deployment]:
    """The credentials and the deployment of a yard that is `sandbox` or a deployed environment, found as
    `connect` finds it. Raises as that does, and `BadInput` for `local`."""
    if yard == LOCAL:
        cure = "name an environment of the job file, such as --on dev"
        raise BadInput(f"the yard {LOCAL!r} is this machine, and no environment", key="--on", cure=cure)
    session, account = _sandbox() if yard == SANDBOX else _deployed(yard, start)
    from ..aws.account import deployment

    return session, deployment.read(session, yard, account=account)


def is_found_here(yard: str, start: str) -> bool:
    """Whether `connect(yard)` in the current folder finds the yard that `connect(yard, start=start)` does."""
    if yard == LOCAL:
        return find(_folder(start)) == find(".")
    here = _job_file(".")
    return yard == SANDBOX or (here is not None and os.path.exists(start) and os.path.samefile(here, start))


def warm_up(yard: str = LOCAL, *, start: str = ".") -> None:
    """Make ready, in the background, for a run that is likely to be started in a moment.

    Promises nothing and refuses nothing: `connect` does. Leaves no trace where no run is started.
    """
    if yard != LOCAL:
        return
    from ..local.ipc import protocol, starting

    try:
        home = checked(find(start))
        if not protocol.is_listening(home):
            starting.prepare(home.path)
    except (HomeRefused, OSError):
        return


def _local(home: str | None, start: str) -> Yard:
    from ..local.engine import LocalEngine
    from ..local.home.store import FolderStore
    from ..local.ledger.ledger import SqliteLedger
    from .yard import Yard

    found = checked(os.path.expanduser(home) if home else find(_folder(start)))
    ledger = SqliteLedger(found)
    return Yard(LOCAL, LocalEngine(found, ledger), ledger, FolderStore(found), home=found.path)


def _sandbox() -> tuple[Session, str]:
    from ..aws.account.session import Session
    from ..sandbox import address

    found = address.find()
    keys = (found.access_key, found.secret_key)
    return Session(found.region, endpoint=found.endpoint, credentials=keys), ""


def _deployed(name: str, start: str) -> tuple[Session, str]:
    """The session of an environment of the job file, and the account that it has to be in."""
    from ..core.environments.file import environment_names, load_environment  # for this yard alone

    file = _job_file(start)
    if file is None:
        cure = f"environments are written in {JOB_FILE}, and there is none here or above"
        raise NotFound(f"there is no yard {name!r}", key="--on", cure=cure)
    try:
        found = load_environment(file, name)
    except NotFound:
        raise _no_such_yard(name, environment_names(file)) from None
    from ..aws.account.session import Session

    return Session(found.region), found.account


def on_aws(session: Session, found: Deployment, progress: Progress | None = None) -> Yard:
    """The yard of a deployment, with the credentials of a session; `connect` finds both."""
    from ..aws.engine import AwsEngine
    from ..aws.s3.ledger import S3Ledger
    from ..aws.s3.store import S3Store
    from .yard import Yard

    ledger, store = S3Ledger(session, found), S3Store(session, found, progress)
    engine = AwsEngine(session, found, ledger, store)
    ledger.settle_open = engine.settle_open
    return Yard(found.name, engine, ledger, store, cloud=engine)


def _no_such_yard(name: str, environments: list[str]) -> NotFound:
    known = [LOCAL, SANDBOX, *sorted(environments)]
    return NotFound(f"there is no yard {name!r}", key="--on", cure=nearest(name, known))


def _folder(start: str) -> str:
    return os.path.dirname(os.path.abspath(start)) if os.path.isfile(start) else start


def _job_file(start: str) -> str | None:
    """The job file `start`, or the nearest `trainyard.toml` upwards, as far as $HOME or the end of a file
    system."""
    if os.path.isfile(start):
        return start
    folder = os.path.realpath(start)
    boundary = os.path.realpath(os.path.expanduser("~"))
    while True:
        candidate = os.path.join(folder, JOB_FILE)
        if os.path.isfile(candidate):
            return os.path.relpath(candidate) if os.path.isdir(".") else candidate
        if folder == boundary or os.path.ismount(folder):
            return None
        folder = os.path.dirname(folder)
