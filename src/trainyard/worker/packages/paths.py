"""The PATH of a program that runs in an interpreter's environment."""

from __future__ import annotations

import os
from typing import Mapping


def on_path(python: str, variables: Mapping[str, str]) -> dict[str, str]:
    """The variables, with the commands of the interpreter's environment first on the PATH."""
    folder = os.path.dirname(python)
    kept = [each for each in variables.get("PATH", os.defpath).split(os.pathsep) if each and each != folder]
    found = {**variables, "PATH": os.pathsep.join([folder, *kept])}
    environment = os.path.dirname(folder)
    if os.path.isfile(os.path.join(environment, "pyvenv.cfg")):
        found["VIRTUAL_ENV"] = environment
    return found
