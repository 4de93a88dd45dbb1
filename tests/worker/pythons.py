"""Other Pythons of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def python_3_8() -> str:
    """The path of a Python 3.8; the test is skipped where there is none."""
    home = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    for path in (shutil.which("python3.8"), *home.glob("versions/3.8.*/bin/python")):
        # A shim of a version manager is there but does not run.
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(path)
    pytest.skip("no Python 3.8 on this machine")
