"""The plan: one pass over the input that checks it, counts its rows and cuts them into shards."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, TypedDict

from ..errors import InputError
from ..rows import formats
from ..rows.inputs import PlannedFile, Source, changed, describe, find
from ..rows.splits import USUAL, Options, Piece, Shape, cut
from ..storage.places import exists, is_remote, read_json, write_json
from . import recorded


class PlannedShard(TypedDict):
    """What one shard reads: its number of rows and the pieces that hold them, in order."""

    rows: int
    pieces: list[Piece]


class Plan(TypedDict):
    """The plan document. `compression` is that of the parts: the files' common one, else "".

    `warnings` are of the input, one line each.
    """

    format: str
    compression: str
    shape: Shape
    rows: int
    files: list[PlannedFile]
    shards: list[PlannedShard]
    warnings: list[str]


def run(spec: dict[str, Any]) -> None:
    """Write the plan of `spec["input"]` in `spec["shards"]` shards to `spec["plan"]`.

    One that is on S3 already stays: shards may have been predicted by it.
    """
    if is_remote(spec["plan"]) and exists(spec["plan"]):
        return
    options = Options(**spec.get("csv", {}), wants_types=_may_want_columns(spec))
    tags = recorded.check_input(spec["input"], spec.get("input_hash", ""))
    plan = make(spec["input"], spec["shards"], options)
    recorded.check_planned(plan["files"], tags)
    for line in plan["warnings"]:
        sys.stderr.write(f"warning: {line}\n")
    write_json(spec["plan"], plan, new=True)


def read(address: str) -> Plan:
    """The plan at an address. Raises InputError for one of an earlier trainyard."""
    plan: Plan = read_json(address)
    if "shape" not in plan:
        raise InputError("the run was planned by an earlier version of trainyard; start a new one")
    return plan


def _may_want_columns(spec: dict[str, Any]) -> bool:
    """Whether the handler's text lets it be that batches are columns: the plan does not run it."""
    try:
        with open(os.path.join(spec["code"], spec["handler"]), "rb") as stream:
            return re.search(rb"\bbatch_format\b|\bimport\s*\(?\s*\*", stream.read()) is not None
    except (KeyError, OSError):
        # A handler that is not there is what its shards tell of.
        return False


def make(root: str, shards: int, options: Options = USUAL) -> Plan:
    """The plan of the input `root`, a file or a folder, in exactly `shards` shards, which may be empty.

    Raises InputError for an input that cannot be read to its end as rows of one table.
    """
    if shards < 1:
        raise InputError(f"shards is {shards}; it must be at least 1")
    sources = find(root)
    files = [describe(source) for source in sources]
    form = sources[0].format
    shape, extents, splits, warnings = formats.load(form).survey(files, shards, options)
    for file, extent, source in zip(files, extents, sources):
        _check_unchanged(file, source)
        file["rows"] = extent.rows
    compressions = {source.compression for source in sources}
    return Plan(
        format=form,
        compression=compressions.pop() if len(compressions) == 1 else "",
        shape=shape,
        rows=sum(extent.rows for extent in extents),
        files=files,
        shards=[PlannedShard(rows=sum(p["rows"] for p in ps), pieces=ps) for ps in cut(extents, splits)],
        warnings=warnings,
    )


def _check_unchanged(file: PlannedFile, source: Source) -> None:
    # What was read of an object on S3 was asked for on the condition that it is still the same.
    if not is_remote(file["path"]) and describe(source) != file:
        raise changed(source.name)
