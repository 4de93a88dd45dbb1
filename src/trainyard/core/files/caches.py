"""The folder below which trainyard keeps what can be made again."""

from __future__ import annotations

import os
import sys

from ..errors import BadInput
from . import trust

_KIND = "cache"
_EARLIER = ("environments", "sandbox", "templates", "wheels")


def cache_folder(*names: str) -> str:
    """The path `trainyard/<names>` in the user's cache folder, which need not exist: `XDG_CACHE_HOME`, else
    `~/Library/Caches` on macOS and `~/.cache` elsewhere."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # to be ignored, as the XDG base directory specification has it
        base = os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    return os.path.join(base, "trainyard", *names)


def private_cache(*names: str) -> str:
    """The same path, for what is trusted as it lies there: trainyard's folder in the user's cache folder is
    there then, the user's alone. Raises `BadInput` where it is not, and OSError where it cannot be made.
    """
    folder = cache_folder()
    try:
        trust.make_private(folder, _KIND, earlier=_EARLIER)
    except BadInput as error:
        cure = f"{error.cure}; or set XDG_CACHE_HOME to a folder of your own"
        raise BadInput(f"the cache {error.problem}", where=error.where, cure=cure) from None
    return os.path.join(folder, *names)
