"""Which Python of this machine runs a job's program."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from ..core.errors import BadInput

VARIABLE = "TRAINYARD_PYTHON"
OLDEST = (3, 8)
"""What the worker, which runs beside a handler, can do with."""

_WHICH = "import sys; print(*sys.version_info[:2], sys.executable)"


def chosen(python: str, key: str, environ: Mapping[str, str]) -> str:
    """The path of the Python for a job that asks for `python`, or of our own where nobody asks.

    TRAINYARD_PYTHON, which is this machine's, comes before `python`, which is the project's and everybody's.
    Either is a path or the name of a command. Raises BadInput, naming the variable or `key`, for one that is
    not there, does not run or is too old.
    """
    where, asked = (VARIABLE, environ[VARIABLE]) if environ.get(VARIABLE) else (key, python)
    if not asked:
        return sys.executable
    path = _found(os.path.expanduser(asked), environ)
    if not path:
        inside = os.path.join(asked, "bin", "python")
        there = os.path.exists(os.path.expanduser(inside))
        cure = f"write {inside}" if there else "write the path of an interpreter, or a command on the PATH"
        raise BadInput(f"{asked} is no Python that could be started", key=where, cure=cure)
    return _checked(path, where)


def proposed(python: str, environ: Mapping[str, str]) -> str:
    """The Python of the environment that is active, where `python` is another's; "" where none is."""
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        folder = environ.get(variable)
        path = os.path.join(folder, "bin", "python") if folder else ""
        if folder and os.access(path, os.X_OK):
            own = os.path.dirname(os.path.dirname(python))
            return "" if os.path.realpath(folder) == os.path.realpath(own) else path
    return ""


def _found(asked: str, environ: Mapping[str, str]) -> str:
    if os.sep in asked:
        path = os.path.abspath(asked)
        return path if os.path.isfile(path) and os.access(path, os.X_OK) else ""
    from shutil import which  # for those alone who name a command

    return which(asked, path=environ.get("PATH")) or ""


def prefix(python: str) -> str:
    """The folder of the environment that the interpreter belongs to."""
    if python == sys.executable:
        return sys.prefix
    return _told(python, "import sys; print(sys.prefix)", "")


def _told(python: str, program: str, key: str) -> str:
    import subprocess  # for those alone who name another Python

    command = [python, "-I", "-c", program]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        cure = "write the path of an interpreter"
        raise BadInput(f"{python} is no Python that could be started", key=key, cure=cure) from None
    return os.fsdecode(done.stdout).rstrip("\n")


def _checked(path: str, key: str) -> str:
    """The interpreter itself, where the path is of a version manager's stand-in for it."""
    try:
        major, minor, itself = _told(path, _WHICH, key).split(" ", 2)
        version = int(major), int(minor)
    except ValueError:
        cure = "write the path of an interpreter"
        raise BadInput(f"{path} is no Python", key=key, cure=cure) from None
    if version < OLDEST:
        said, oldest = (".".join(map(str, each)) for each in (version, OLDEST))
        raise BadInput(f"{path} is Python {said}", key=key, cure=f"name one of {oldest} or later")
    return itself
