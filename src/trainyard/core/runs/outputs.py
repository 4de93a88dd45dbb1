"""The predictions of a run as content: what was committed is what is read later."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ...worker.protocol import SUMMARY_FILE
from ...worker.storage.content import Content
from ..errors import BadInput
from ..files import trees


def committed_hash(summary: Mapping[str, Any]) -> str:
    """The content hash (hex) of the parts that a commit has counted, as its summary lists them; "" for one
    that lists none."""
    parts = [Content(part["name"], part["bytes"], part["sha256"]) for part in summary.get("parts", ())]
    return trees.hash_of(parts).hash if parts else ""


def recorded_in(folder: str) -> str:
    """The `committed_hash` of a run by its folder on this machine; "" where none was committed or named."""
    import json  # for `pull` alone

    if not folder:
        return ""
    try:
        with open(os.path.join(folder, SUMMARY_FILE), encoding="utf-8") as stream:
            return committed_hash(json.load(stream))
    except FileNotFoundError:
        return ""


def check(folder: str, recorded: str, *, where: str) -> None:
    """Raise `BadInput` with both hashes where a copy of a run's output, which lay at `where`, has other parts
    than were committed (`recorded`, hex; "" for nothing).

    What a commit writes beside the parts has names that begin with `_`.
    """
    if not recorded:
        return
    files = [each for each in trees.hash_files(folder) if not each.relative.startswith((".", "_"))]
    trees.check_hash(trees.hash_of(files).hash, recorded, where=where, cure="nothing of it was copied")
    marker = os.path.join(folder, "_SUCCESS")
    if os.path.exists(marker):
        _check_marker(marker, recorded, where)


def _check_marker(path: str, recorded: str, where: str) -> None:
    import json

    try:
        with open(path, encoding="utf-8") as stream:
            said = committed_hash(json.load(stream))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput("its _SUCCESS is not what was written", where=where) from None
    trees.check_hash(said, recorded, where=f"{where.rstrip('/')}/_SUCCESS", cure="nothing of it was copied")
