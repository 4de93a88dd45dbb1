"""Starts the sandbox's process and ends it, from a command. Light: the process alone imports what the extra
brings.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import NamedTuple

from ..core.errors import BadInput, TrainyardError
from ..core.files import trust
from ..machine import interpreters, processes
from . import address as sandbox_address
from .address import Address
from .tasks.spec import jobs_python

LOG = "server.log"
"""In the sandbox's folder: what the process has to say when something goes wrong."""
FILES = (sandbox_address.ADDRESS, LOG, sandbox_address.CONFIGURATION)
"""What lies in the folder besides the jobs' files, its lock and its mark."""
_NEEDED = ("botocore", "flask", "flask_cors", "moto", "werkzeug", "yaml")
_MARK = "TRAINYARD_TASK"
_TIMEOUT, _STEP = 90.0, 0.02
_LAST_WORDS = 2000


class SandboxOptions(NamedTuple):
    """How to start it: `port` 0 is any that is free, `slots` 0 as many jobs at once as there are cores."""

    port: int = 0
    slots: int = 0
    region: str = "us-east-1"


def start(options: SandboxOptions) -> Address:
    """Start the sandbox as a process of its own, and return once its stacks are deployed.

    Raises `BadInput` where the extra is not installed, another sandbox has the folder or another program the
    port, and where jobs can't run on this machine.
    """
    process, address = serve(options, detached=True)
    process.returncode = 0  # nobody waits for it
    return address


def serve(options: SandboxOptions, *, detached: bool = False) -> tuple[subprocess.Popen[bytes], Address]:
    """Start the sandbox as a child of this process that gets what its terminal sends, too, unless it is
    `detached`; as `start` does.
    """
    folder = _ready()
    process = _spawn(folder, options, detached=detached)
    return process, _awaited(process, folder)


def stop() -> bool:
    """End the sandbox with all its jobs, and remove its folder; False where none runs.

    Raises `TrainyardError` where it does not end.
    """
    folder = sandbox_address.folder()
    there = sandbox_address.is_held(folder)
    deadline = time.monotonic() + _TIMEOUT
    asked = None
    while sandbox_address.is_held(folder):
        holder = sandbox_address.holder(folder)
        if holder is not None and holder != asked:
            asked = holder
            processes.signal_one(holder, signal.SIGTERM)
        if time.monotonic() > deadline:
            raise TrainyardError(f"the sandbox does not end; its process is {holder}")
        time.sleep(_STEP)
    if there:
        _remove(folder)
    return there


def _ready() -> str:
    """The folder, fit for a sandbox that is to be started."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        problem = f"the sandbox needs {', '.join(missing)}, which {verb} not installed"
        raise BadInput(problem, cure='pip install "trainyard[sandbox]"')
    jobs_python()  # one that is none is told of here
    folder = sandbox_address.folder()
    if sandbox_address.is_held(folder):
        raise sandbox_address.runs_already(folder)
    return folder


def _spawn(folder: str, options: SandboxOptions, *, detached: bool) -> subprocess.Popen[bytes]:
    """The process, which has the folder's lock from its first moment: two that start at once are told apart,
    and one can be ended before it is ready."""
    lock = sandbox_address.hold(folder)
    try:
        # The process that stands there is another's by now.
        os.ftruncate(lock, 0)
        with open(os.path.join(folder, LOG), "wb", opener=trust.private) as log:
            process = subprocess.Popen(
                _command(folder, options, lock),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                cwd="/",
                start_new_session=detached,
                pass_fds=(lock,),
            )
        os.write(lock, f"{process.pid}\n".encode())
    finally:
        os.close(lock)
    return process


def _command(folder: str, options: SandboxOptions, lock: int) -> list[str]:
    values = {"folder": folder, "lock": lock, **options._asdict()}
    return [sys.executable, "-m", "trainyard.sandbox", *(f"--{name}={each}" for name, each in values.items())]


def _environment() -> Mapping[str, str]:
    """This process's variables, but for those that would send the sandbox itself to AWS."""
    packages = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    paths = [packages, *filter(None, [os.environ.get("PYTHONPATH")])]
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_") and name != _MARK
    }
    python = interpreters.chosen("", "", os.environ)  # a relative path is relative to this process's folder
    return {**kept, interpreters.VARIABLE: python, "PYTHONPATH": os.pathsep.join(paths)}


def _awaited(process: subprocess.Popen[bytes], folder: str) -> Address:
    deadline = time.monotonic() + _TIMEOUT
    while (status := process.poll()) is None:
        found = sandbox_address.running(folder)
        if found is not None and found.pid == process.pid:
            return found
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise TrainyardError(f"the sandbox did not start within {_TIMEOUT:.0f} s: see {folder}/{LOG}")
        time.sleep(_STEP)
    raise _failure(status, folder)


def _failure(status: int, folder: str) -> TrainyardError:
    path = os.path.join(folder, LOG)
    if status in (0, -signal.SIGTERM):
        return TrainyardError("the sandbox was stopped before it was ready")
    try:
        with open(path, "rb") as log:
            words = log.read()[-_LAST_WORDS:].decode(errors="replace").strip()
    except FileNotFoundError:
        words = ""
    if status == BadInput.exit_status and words:
        if not os.path.isdir(os.path.join(folder, "work")):  # what an earlier one lost is still to be told
            _remove(folder)
        return BadInput(words.splitlines()[-1])
    return TrainyardError(f"the sandbox could not start (status {status}): see {path}")


def _remove(folder: str) -> None:
    """Remove what the sandbox has put into its folder, and the folder, if nothing else is in it; nothing
    where another sandbox has it by now."""
    import shutil

    try:
        lock = os.open(os.path.join(folder, sandbox_address.LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(os.path.join(folder, "work"), ignore_errors=True)
        for name in (*FILES, sandbox_address.LOCK):
            _unlink(os.path.join(folder, name))
        mark = trust.mark_of(folder, sandbox_address.KIND)
        if os.listdir(folder) == [os.path.basename(mark)]:
            _unlink(mark)
            os.rmdir(folder)
    except OSError:  # somebody else has just begun to use it
        pass
    finally:
        os.close(lock)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
