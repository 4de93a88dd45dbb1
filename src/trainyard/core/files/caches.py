"""The folder below which trainyard keeps what can be made again."""

from __future__ import annotations

import os
import sys


def cache_folder(*names: str) -> str:
    """The path `trainyard/<names>` in the user's cache folder, which need not exist: `XDG_CACHE_HOME`, else
    `~/Library/Caches` on macOS and `~/.cache` elsewhere."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # to be ignored, as the XDG base directory specification has it
        base = os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    return os.path.join(base, "trainyard", *names)
