"""An entry script as a command, as the SageMaker training toolkit makes one of it (its `ProcessRunner`).

`.py` files run in Python: by their path, or with `-m` where the source is a package and the file a module of
it. All else, `.sh` among it, is a program.
"""

from __future__ import annotations

import os
from typing import Sequence


def command(python: str, code: str, script: str, arguments: Sequence[str]) -> list[str]:
    """The command line of `script`, a path relative to the folder `code`, in which it is started.

    A program is made executable, as the toolkit does it, and has no need of a `#!` line: a shell starts it
    and is no process of its own. Raises OSError for a script that is not there.
    """
    path = os.path.join(code, script)
    if not script.endswith(".py"):
        os.chmod(path, os.stat(path).st_mode | 0o111)
        return ["/bin/sh", "-c", 'exec "$0" "$@"', os.path.join(os.curdir, script), *arguments]
    module = _module(code, script)
    if module:
        from ..packages.requirements import is_package  # 10 ms for its regular expressions

        if is_package(code):
            return [python, "-m", module, *arguments]
    # A name that begins as an option does is a path all the same.
    return [python, os.path.join(os.curdir, script) if script.startswith("-") else script, *arguments]


def _module(code: str, script: str) -> str:
    """The dotted name of a file in a Python package; "" for one in no package."""
    folder, name = os.path.split(os.path.normpath(script))
    names = [name[: -len(".py")]]
    while folder and os.path.isfile(os.path.join(code, folder, "__init__.py")):
        folder, name = os.path.split(folder)
        names.insert(0, name)
    return ".".join(names) if len(names) > 1 else ""
