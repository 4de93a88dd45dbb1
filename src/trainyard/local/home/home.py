"""The home: the one folder that holds a local yard, and how it is found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ...core.errors import BadInput, HomeRefused
from ...core.files import trust
from ...core.files.oserrors import no_room
from ...worker.errors import is_disk_full

FOLDER = ".trainyard"
VARIABLE = "TRAINYARD_HOME"
_KIND = "home"
_LEDGER = "ledger.sqlite"
_ELSEWHERE = f"set {VARIABLE} to a folder of your own"


class Home:
    """The paths of a home. `path` is its real path; nothing is created by naming it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.database = os.path.join(path, _LEDGER)
        self.runs = os.path.join(path, "runs")
        self.models = os.path.join(path, "models")
        self.data = os.path.join(path, "data")
        self.code = os.path.join(path, "code")
        self.aside = os.path.join(path, "aside")
        self.supervisor = os.path.join(path, "supervisor")

    def run(self, run_id: str) -> str:
        """The folder of a run."""
        return os.path.join(self.runs, run_id)

    def model(self, name: str, version: int) -> str:
        """The folder of a model's version."""
        return os.path.join(self.models, name, str(version))

    def dataset(self, name: str, version: int) -> str:
        """The folder of a data set's version."""
        return os.path.join(self.data, name, str(version))

    @property
    def exists(self) -> bool:
        return os.path.exists(self.database)

    def create(self) -> None:
        """Make the folders, the home's own for its owner alone; raises `HomeRefused` where that cannot be,
        `DiskFull` where there is no room."""
        try:
            if not os.path.isdir(self.supervisor):
                _refuse_network(self.path)
                with _as_home():
                    trust.make_private(self.path, _KIND, earlier=[_LEDGER])
            for folder in (self.runs, self.models, self.data, self.code, self.aside):
                os.makedirs(folder, exist_ok=True)
            os.makedirs(self.supervisor, mode=0o700, exist_ok=True)
            ignore = os.path.join(self.path, ".gitignore")
            if not os.path.exists(ignore):
                with open(ignore, "w", encoding="utf-8") as stream:
                    stream.write("*\n")
        except OSError as error:
            if is_disk_full(error):
                raise no_room(self.path) from None
            raise HomeRefused(
                f"the home cannot be written: {error.strerror}",
                where=self.path,
                cure=f"make it writable or {_ELSEWHERE}",
            ) from None


def find(start: str) -> str:
    """The home's path for work that starts in the folder `start`.

    `TRAINYARD_HOME`; else the nearest `.trainyard` upwards that is the user's own, as far as $HOME or the
    boundary of a file system; else `.trainyard` in `start`, where it may have to be created. Anybody may have
    left one in a folder that is open to all, which is no reason to use it, and none to stop.
    """
    named = os.environ.get(VARIABLE, "")
    if named:
        return os.path.expanduser(named)
    start = os.path.realpath(start)
    boundary = os.path.realpath(os.path.expanduser("~"))
    folder = start
    while True:
        candidate = os.path.join(folder, FOLDER)
        if os.path.isdir(candidate) and _is_own(candidate):
            return candidate
        if folder == boundary or os.path.ismount(folder):
            return os.path.join(start, FOLDER)
        folder = os.path.dirname(folder)


def checked(path: str) -> Home:
    """The home at `path`, absent or fit for use; what an earlier version left open to others is closed.

    Raises `HomeRefused` for one that is another user's or reached through another's link, that others may
    write to, that is read-only or no folder, and for a folder with something else in it.
    """
    try:
        with _as_home():
            trust.require_ours(path, _KIND, earlier=[_LEDGER])
    except FileNotFoundError:
        return Home(os.path.realpath(path))
    except NotADirectoryError:
        raise HomeRefused("the home is no folder", where=path, cure=_ELSEWHERE) from None
    except OSError as error:
        raise HomeRefused(
            f"the home cannot be reached: {error.strerror}", where=path, cure=_ELSEWHERE
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise HomeRefused("the home is read-only", where=path, cure=f"make it writable or {_ELSEWHERE}")
    return Home(os.path.realpath(path))


@contextmanager
def _as_home() -> Iterator[None]:
    try:
        yield
    except BadInput as error:
        cure = f"{error.cure}; or {_ELSEWHERE}"
        raise HomeRefused(f"the home {error.problem}", where=error.where, cure=cure) from None


def _is_own(path: str) -> bool:
    try:
        trust.require_own(path)
    except (BadInput, OSError):
        return False
    return True


def _refuse_network(path: str) -> None:
    # Reading the mount table is only worth its time once, when the home is made.
    from ...machine.mounts import network_kind

    folder = path
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    kind = network_kind(folder)
    if kind:
        raise HomeRefused(
            f"the home would lie on a network file system ({kind}), where the ledger cannot be kept",
            where=path,
            cure=f"set {VARIABLE} to a folder on a local disk",
        )
