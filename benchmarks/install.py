"""What `pip install trainyard`, without extras, brings along."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from figures import Amount
from setting import REPOSITORY, Setting

_PACKAGES, _MEGABYTES = 10, 30.0
_OF_VENV = {"pip", "setuptools", "wheel"}
_LONGEST = 300.0


def measure(setting: Setting) -> list[Amount]:
    """Packages (at most 10) and bytes (at most 30 MB) of the base install, beyond Python and pip."""
    folder = setting.folder / "install"
    _run(setting, setting.python, "-m", "venv", folder)
    before = _bytes(folder)
    python = folder / "bin" / "python"
    try:
        _run(setting, python, "-m", "pip", "install", "--quiet", "--no-input", REPOSITORY)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or ["no message"]
        setting.say(f"install is left out, the package could not be installed: {lines[-1]}")
        return []
    listed = json.loads(_run(setting, python, "-m", "pip", "list", "--format", "json"))
    names = {package["name"].lower() for package in listed} - _OF_VENV
    megabytes = (_bytes(folder) - before) / 1e6
    return [
        Amount("install", "base install: " + ", ".join(sorted(names)), len(names), "packages", _PACKAGES),
        Amount("install", "base install, bytecode included", megabytes, "MB", _MEGABYTES),
    ]


def _run(setting: Setting, *argv: str | Path) -> str:
    variables = setting.variables(PIP_DISABLE_PIP_VERSION_CHECK="1")
    done = subprocess.run(argv, env=variables, check=True, capture_output=True, text=True, timeout=_LONGEST)
    return done.stdout


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
