"""Projects to run the real command in, on a pipe or on a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import PATIENCE, end_home

_OURS = ("TRAINYARD_", "NO_COLOR", "TERM", "COLUMNS", "PYTHONDONTWRITEBYTECODE")

# Tells when it is up, then waits to be told to end; on SIGTERM it says so and goes, or goes on.
WAITER = """
import os, signal, sys, time
def asked(number, frame):
    print("asked to end", flush=True)
    if "obey" in sys.argv:
        sys.exit(1)
signal.signal(signal.SIGTERM, asked)
print("score=0.5", flush=True)
print("ready", flush=True)
while not os.path.exists(sys.argv[sys.argv.index("--until") + 1]):
    time.sleep(0.01)
print("done", flush=True)
"""

# Makes the terminal the one whose Ctrl-C and hangup reach the command.
_ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Project:
    """A folder with job files, and the command run in it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def script(self, name: str, text: str, *, more: str = "") -> str:
        """Write a script and its job file; the job file's name."""
        self.write(f"{name}.py", text)
        self.write(f"{name}.toml", f'[train]\nname = "{name}"\nentry_script = "{name}.py"\n{more}')
        return f"{name}.toml"

    def waiter(self, name: str, *, obeys: bool = True, grace: int = 60, more: str = "") -> str:
        """A job that runs until `end(name)`; the job file's name."""
        mode = "obey" if obeys else "ignore"
        until = self.folder / f"{name}.end"
        parts = f'grace = {grace}\n[train.hyperparameters]\nuntil = "{until}"\nmode = "{mode}"\n'
        return self.script(name, WAITER, more=f"{parts}[train.metrics]\nscore = 'score=([0-9.]+)'\n{more}")

    def end(self, name: str) -> None:
        self.write(f"{name}.end", "")

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """The command, run to its end."""
        return subprocess.run(
            command(argv),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def ask(self, *argv: str) -> list[dict[str, Any]]:
        """The objects that the command prints with `--json`."""
        result = self.run(*argv, "--json")
        assert result.stdout or result.returncode == 0, result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()]

    def latest(self) -> dict[str, Any]:
        return self.ask("show", "latest")[0]

    def start(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        """The command, started, in a process group of its own."""
        return subprocess.Popen(
            command(argv),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    def terminal(self, *argv: str, columns: int = 100) -> Terminal:
        return Terminal(command(argv), self.folder, self.environment, columns)


class Terminal:
    """The command on a terminal of its own: what it shows, and keys to press."""

    def __init__(self, argv: Sequence[str], folder: Path, environment: dict[str, str], columns: int) -> None:
        environment = {**environment, "TERM": environment.get("TERM", "xterm")}
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._master = master
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, *argv],
            cwd=folder,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.shown = ""

    def wait_for(self, pattern: str) -> None:
        """Return as soon as what is shown matches."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.shown):
            assert time.monotonic() < deadline, f"never shown: {pattern!r} in {self.shown!r}"
            assert self._read(deadline), f"ended without {pattern!r}: {self.shown!r}"

    def press_ctrl_c(self) -> None:
        os.write(self._master, b"\x03")

    def hang_up(self) -> int:
        """Close the terminal, as a window or an SSH connection does; the exit status."""
        os.close(self._master)
        self._master = -1
        return self._process.wait(PATIENCE)

    def finish(self) -> int:
        """Read to the end; the exit status."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        if self._master >= 0:
            os.close(self._master)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"silent for too long: {self.shown!r}"
        try:
            content = os.read(self._master, 65_536)
        except OSError:  # how Linux says that the other side is closed
            return False
        self.shown += content.decode()
        return bool(content)


def command(argv: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "trainyard", *argv]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
    return {**kept, "PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("bytecode"))}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Project]:
    """A folder for the tests of a module, with one home and one supervisor; each test has its own jobs."""
    folder = tmp_path_factory.mktemp("project")
    yield Project(folder, environment)
    end_home(folder / ".trainyard")


@pytest.fixture
def open_terminal(project: Project) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals in the project, and closes them at the end."""
    opened: list[Terminal] = []

    def start(*argv: str, columns: int = 100) -> Terminal:
        opened.append(project.terminal(*argv, columns=columns))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()
