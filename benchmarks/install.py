"""What `pip install trainyard`, without extras, brings along."""

from __future__ import annotations

import json
from pathlib import Path

from figures import Amount
from setting import REPOSITORY, Setting
from timing import CommandFailed

_PACKAGES, _MEGABYTES = 10, 30.0
_OF_VENV = {"pip", "setuptools", "wheel"}


def measure(setting: Setting) -> list[Amount]:
    """Packages (at most 10) and bytes (at most 30 MB) of the base install, beyond Python and pip."""
    folder = setting.folder / "install"
    pip = [folder / "bin" / "python", "-m", "pip"]
    try:
        _run(setting, setting.python, "-m", "venv", folder)
        before = _bytes(folder)
        _run(setting, *pip, "install", "--quiet", "--no-input", REPOSITORY)
        listed = json.loads(_run(setting, *pip, "list", "--format", "json"))
    except CommandFailed as failure:
        setting.say(f"install is left out, the package could not be installed: {failure}")
        return []
    names = {package["name"].lower() for package in listed} - _OF_VENV
    megabytes = (_bytes(folder) - before) / 1e6
    return [
        Amount("install", "base install: " + ", ".join(sorted(names)), len(names), "packages", _PACKAGES),
        Amount("install", "base install, bytecode included", megabytes, "MB", _MEGABYTES),
    ]


def _run(setting: Setting, *argv: object) -> str:
    variables = setting.variables(PIP_DISABLE_PIP_VERSION_CHECK="1")
    return setting.run(*argv, folder=setting.folder, variables=variables)


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
