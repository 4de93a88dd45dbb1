"""Peers: other tools, each in a virtual environment of its own that is made once and kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from setting import Setting
from timing import CommandFailed

from trainyard.core.errors import BadInput
from trainyard.core.files.trust import make_private

VERSIONS = {"awscli": "1.46.3", "metaflow": "2.19.39", "sagemaker": "2.257.0", "mlflow": "3.18.0"}
"""The peers that are Python packages."""
DEFAULT = ("awscli", "metaflow")
ALL = tuple(VERSIONS)
_INSTALLED = ".installed"


def python_of(name: str, setting: Setting) -> Path | None:
    """The interpreter of a peer's environment; None, after saying why, where there can't be one."""
    if name not in setting.peers:
        return None
    folder = _cache() / f"{name}-{VERSIONS[name]}"
    if not (folder / _INSTALLED).exists():
        setting.say(f"installing {name} {VERSIONS[name]} for comparison")
        try:
            # Only in a folder of ours is anything removed.
            make_private(
                str(folder.parent), "benchmarks", earlier=[f"{each}-{VERSIONS[each]}" for each in ALL]
            )
            problem = _install(name, folder, setting)
        except BadInput as refusal:
            problem = str(refusal)
        if problem:
            setting.say(f"{name} is left out, it could not be installed: {problem}")
            return None
    return folder / "bin" / "python"


def _install(name: str, folder: Path, setting: Setting) -> str:
    """Make the environment; what went wrong, in a line."""
    shutil.rmtree(folder, ignore_errors=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-input"]
    wanted = f"{name}=={VERSIONS[name]}"
    variables = setting.variables(PIP_DISABLE_PIP_VERSION_CHECK="1")
    try:
        setting.run(setting.python, "-m", "venv", folder, folder=folder.parent, variables=variables)
        setting.run(*pip, wanted, folder=folder.parent, variables=variables)
    except CommandFailed as failure:
        return str(failure)
    (folder / _INSTALLED).touch()
    return ""


def _cache() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "trainyard-benchmarks"
