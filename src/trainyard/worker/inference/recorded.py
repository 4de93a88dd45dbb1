"""Objects on S3 held against what was recorded of them, before any of them is used."""

from __future__ import annotations

from typing import Mapping, Sequence

from ..errors import Unmet
from ..rows.inputs import PlannedFile, changed
from ..storage import content, places

_BLOCK = 1 << 20


def check_input(root: str, recorded: str) -> Mapping[str, str]:
    """The ETags of the objects at `root`, by their addresses, where together they are what was recorded; none
    for an input of which nothing was (""). Raises as `check` does."""
    # Keys that end in a slash are how S3's consoles mark folders.
    found = [each for each in places.objects(root) if not each.address.endswith("/")] if recorded else []
    check(found, recorded, f"the input {root}")
    return {each.address: each.etag for each in found}


def check(found: Sequence[places.Found], recorded: str, name: str) -> None:
    """Return where objects together are what was recorded ("" for nothing).

    Raises InputError with both hashes where they are not.
    """
    if recorded:
        sizes = [each.size for each in found]
        hashed = places.over(lambda index: _hashed(found[index]), sizes, found[0].address)
        content.check_hash(content.hash_of(hashed), recorded, name)


def check_planned(files: Sequence[PlannedFile], tags: Mapping[str, str]) -> None:
    """Raise InputError where a file that was planned is another than was checked."""
    for file in files:
        if tags and tags.get(file["path"]) != file["etag"]:
            raise changed(file["name"])


def _hashed(found: places.Found) -> content.Content:
    import hashlib

    digest = hashlib.sha256()
    try:
        with places.open_object(found.address, found.size, found.etag) as stream:
            while True:
                block = stream.read(_BLOCK)
                if not block:
                    break
                digest.update(block)
    except Unmet:
        raise changed(found.address) from None
    return content.Content(found.name, found.size, digest.hexdigest())
