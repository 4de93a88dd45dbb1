"""Where the benchmarks take place: a temporary folder, the interpreter, its trainyard, the variables."""

from __future__ import annotations

import compileall
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from timing import LONGEST, CommandFailed

REPOSITORY = Path(__file__).resolve().parent.parent
_PATIENCE = 10.0
_NOT_HANDED_ON = ("PYTHON", "TRAINYARD_", "METAFLOW_", "MLFLOW_", "AWS_", "CDK_", "JSII_")


@dataclass(frozen=True)
class Setting:
    """What every subject needs to know. `quick` means small and few: to see that it works, not how fast."""

    folder: Path
    python: Path
    runs: int
    quick: bool
    peers: Sequence[str]
    say: Callable[[str], None]

    @property
    def trainyard(self) -> list[str]:
        """The command as it is installed beside the interpreter."""
        script = self.python.with_name("trainyard")
        return [str(script)] if script.exists() else [str(self.python), "-m", "trainyard"]

    def variables(self, home: Path | None = None, **others: str) -> dict[str, str]:
        """This process's variables without those that change how Python, trainyard or a peer behave."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_HANDED_ON)}
        if home is not None:
            kept["TRAINYARD_HOME"] = str(home)
        return kept | others

    def size(self, full: int, quick: int) -> int:
        """How many of something: `full`, or `quick` where it only has to work."""
        return quick if self.quick else full

    def run(self, *argv: object, folder: Path, variables: Mapping[str, str]) -> str:
        """Run a command that is not timed; what it printed. Raises `CommandFailed` with its last line."""
        words = [str(word) for word in argv]
        try:
            done = subprocess.run(
                words,
                cwd=folder,
                env=dict(variables),
                capture_output=True,
                text=True,
                timeout=LONGEST,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandFailed(str(error)) from None
        if done.returncode != 0:
            raise CommandFailed((done.stderr.strip().splitlines() or ["no message"])[-1])
        return done.stdout

    def project(self, name: str, **files: str) -> Path:
        """A new folder with these files; `train_py="…"` makes train.py."""
        folder = self.folder / name
        folder.mkdir()
        for key, text in files.items():
            stem, _, extension = key.rpartition("_")
            (folder / f"{stem}.{extension}").write_text(text)
        return folder


@contextmanager
def prepared(
    *, runs: int, quick: bool, peers: Sequence[str], say: Callable[[str], None]
) -> Iterator[Setting]:
    """A setting with trainyard's bytecode compiled; afterwards its supervisors and files are gone."""
    compileall.compile_dir(_package(), quiet=1)
    # The name is short because a socket's path in it has to be.
    folder = Path(tempfile.mkdtemp(prefix="ty-")).resolve()
    try:
        # Not resolved: a virtual environment is known by the link to its interpreter.
        yield Setting(folder, Path(sys.executable), runs, quick, peers, say)
    finally:
        for database in folder.glob("*/ledger.sqlite"):
            stop_supervisor(database.parent)
        shutil.rmtree(folder, ignore_errors=True)


def stop_supervisor(home: Path) -> None:
    """End the supervisor of a home, if there is one, and wait until it has let go of it.

    Raises `CommandFailed` where it does not.
    """
    from trainyard.local.home.home import Home
    from trainyard.local.ipc.protocol import socket_path

    path = socket_path(Home(str(home.resolve())))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        try:
            line.connect(path)
            greeting = line.makefile("rb").readline()
        except OSError:
            return
    pid = int(json.loads(greeting)["pid"])
    os.kill(pid, signal.SIGTERM)
    _await_end(home)


def remove_home(home: Path) -> None:
    """The home is gone, and its supervisor too."""
    if home.exists():
        stop_supervisor(home)
        shutil.rmtree(home)


def _await_end(home: Path) -> None:
    # The lock and not the process id, which its parent may take a while to give back.
    deadline = time.monotonic() + _PATIENCE
    with (home / "supervisor" / "lock").open() as lock:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.002)
    raise CommandFailed(f"the supervisor of {home} did not end within {_PATIENCE:g} s")


def _package() -> Path:
    import trainyard

    return Path(trainyard.__file__).parent
