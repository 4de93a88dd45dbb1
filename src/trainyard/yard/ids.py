"""Ids of runs: made, and found by their beginnings."""

from __future__ import annotations

import os

from ..core.errors import NotFound, nearest

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_LENGTH = 7


def new(name: str) -> str:
    """An id for a run of the job of that name."""
    suffix = "".join(_ALPHABET[byte & 31] for byte in os.urandom(_LENGTH))
    return f"{name}-{suffix}"


def begun(word: str, known: list[str]) -> str:
    """The one id that begins so. Raises `NotFound`, with near ids or with those that do."""
    starts = [each for each in known if each.startswith(word)] if word else []
    if len(starts) == 1:
        return starts[0]
    if starts:
        shown = ", ".join(starts[:4]) + (", …" if len(starts) > 4 else "")
        raise NotFound(f"{len(starts)} runs begin with {word!r}", cure=f"name one: {shown}")
    raise NotFound(f"no run is called {word!r}", cure=nearest(word, known) or "there are no runs yet")
