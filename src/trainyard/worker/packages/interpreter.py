"""What an interpreter is and has. Run by its path with another one, it prints that one's facts as JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Iterator, NamedTuple

_SITES = ("site-packages", "dist-packages")
_METADATA = (".dist-info", ".egg-info", ".egg-link", ".egg")


class Facts(NamedTuple):
    """`identity`: its real path, version, ABI and platform. `below`: the folders of the packages it has.
    `distributions`: where each lies, which its name and version are part of."""

    python: str
    identity: tuple[str, ...]
    below: tuple[str, ...]
    has_pip: bool
    distributions: tuple[str, ...]


def own_facts() -> Facts:
    """The facts of the interpreter that runs this."""
    from importlib.util import find_spec

    abi, tag = getattr(sys, "abiflags", ""), str(sys.implementation.cache_tag)
    identity = (os.path.realpath(sys.executable), sys.version, tag, abi, sys.platform, os.uname().machine)
    folders = [path for path in sys.path if os.path.isdir(path)]
    return Facts(
        sys.executable,
        identity,
        tuple(os.path.abspath(path) for path in folders if os.path.basename(path) in _SITES),
        find_spec("pip") is not None,
        tuple(sorted(place for path in folders for place in _distributions(path))),
    )


def from_json(text: str) -> Facts:
    """The facts that this file prints."""
    found: Any = json.loads(text)
    lists = {key: tuple(value) for key, value in found.items() if isinstance(value, list)}
    return Facts(**{**found, **lists})


def _distributions(folder: str) -> Iterator[str]:
    for name in os.listdir(folder):
        if name.endswith(_METADATA):
            place = os.path.join(os.path.abspath(folder), name)
            # A package developed in place has no version in the name of its metadata.
            yield place if "-" in name else place + _version(place)


def _version(place: str) -> str:
    try:
        with open(os.path.join(place, "PKG-INFO"), encoding="utf-8", errors="replace") as stream:
            return next((line.strip() for line in stream if line.startswith("Version:")), "")
    except OSError:
        return ""


if __name__ == "__main__":
    # The folder of this file, which Python puts first, is none of the interpreter's own.
    del sys.path[0]
    print(json.dumps(own_facts()._asdict()))
