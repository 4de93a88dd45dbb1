"""The packages that a source requires, on top of what an interpreter has: the same here and in the cloud."""

from __future__ import annotations

import os


def may_be_needed(source: str) -> bool:
    """Whether the folder has a file that may require packages; most have none, and then nothing else of this
    package is loaded."""
    names = ("requirements.txt", "setup.py", "pyproject.toml")
    return any(os.path.isfile(os.path.join(source, name)) for name in names)
