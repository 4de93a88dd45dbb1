"""Peers: other tools, each in a folder of its own that is made once and kept: a virtual environment, or the
TypeScript app with the packages that npm installs for it."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from setting import REPOSITORY, Setting
from timing import CommandFailed

VERSIONS = {"awscli": "1.46.3", "metaflow": "2.19.39", "sagemaker": "2.257.0", "mlflow": "3.18.0"}
"""The peers that are Python packages."""
TYPESCRIPT = "typescript"
DEFAULT = ("awscli", "metaflow", TYPESCRIPT)
ALL = (*VERSIONS, TYPESCRIPT)
APP = REPOSITORY / "benchmarks" / "typescript"
_INSTALLED = ".installed"
_SOURCES = ("package.json", "tsconfig.json", "cdk.json", "bin/*.ts", "lib/*.ts")


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


def typescript_app(setting: Setting) -> Path | None:
    """A copy of the TypeScript app that is ready to run; None, after saying why, where there can't be one."""
    if TYPESCRIPT not in setting.peers:
        return None
    missing = [tool for tool in ("npm", "npx") if shutil.which(tool) is None]
    if missing:
        setting.say(f"the TypeScript app is left out: there is no {missing[0]} on the PATH")
        return None
    folder = _cache() / f"{TYPESCRIPT}-{app_fingerprint(APP)}"
    if not (folder / _INSTALLED).exists():
        setting.say("installing the TypeScript app's packages for comparison")
        problem = _install_app(folder, setting)
        if problem:
            setting.say(f"the TypeScript app is left out, it could not be installed: {problem}")
            return None
    return folder


def app_fingerprint(app: Path) -> str:
    """Names the app by what its files say: one that has changed has another name."""
    hasher = hashlib.sha256()
    for path in _sources(app):
        hasher.update(f"{path.relative_to(app)}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return hasher.hexdigest()[:12]


def _sources(app: Path) -> list[Path]:
    return sorted(path for pattern in _SOURCES for path in app.glob(pattern))


def _install_app(folder: Path, setting: Setting) -> str:
    """Copy the app and have npm install what it needs; what went wrong, in a line."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in _sources(APP):
        target = folder / path.relative_to(APP)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    options = ("--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
    try:
        setting.run("npm", "install", *options, folder=folder, variables=setting.variables())
    except CommandFailed as failure:
        return str(failure)
    (folder / _INSTALLED).touch()
    return ""


def _install(name: str, folder: Path, setting: Setting) -> str:
    """Make the environment; what went wrong, in a line."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
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
