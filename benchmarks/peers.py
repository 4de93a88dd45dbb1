"""Peers: other tools, each in a virtual environment of its own that is made once and kept."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from setting import Setting

VERSIONS = {"metaflow": "2.19.39", "sagemaker": "2.257.0", "mlflow": "3.18.0"}
DEFAULT = ("metaflow",)
ALL = tuple(VERSIONS)
_INSTALLED = ".installed"
_LONGEST = 900.0


def python_of(name: str, setting: Setting) -> Path | None:
    """The interpreter of a peer's environment; None, after saying why, where there can't be one."""
    if name not in setting.peers:
        return None
    folder = _cache() / f"{name}-{VERSIONS[name]}"
    if not (folder / _INSTALLED).exists():
        setting.say(f"installing {name} {VERSIONS[name]} for comparison")
        problem = _install(name, folder, setting)
        if problem:
            setting.say(f"{name} is left out, it could not be installed: {problem}")
            return None
    return folder / "bin" / "python"


def _install(name: str, folder: Path, setting: Setting) -> str:
    """Make the environment; what went wrong, in a line."""
    shutil.rmtree(folder, ignore_errors=True)
    pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-input"]
    pip += ["--disable-pip-version-check", f"{name}=={VERSIONS[name]}"]
    venv: list[str | Path] = [setting.python, "-m", "venv", folder]
    try:
        for argv in (venv, pip):
            done = subprocess.run(
                argv, env=setting.variables(), capture_output=True, text=True, timeout=_LONGEST, check=False
            )
            if done.returncode != 0:
                return (done.stderr.strip().splitlines() or ["no message"])[-1]
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    (folder / _INSTALLED).touch()
    return ""


def _cache() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "trainyard-benchmarks"
