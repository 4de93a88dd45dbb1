"""The plan: one pass over the input that checks it, counts its rows and cuts them into shards."""

from __future__ import annotations

from typing import Any, TypedDict

from ..errors import InputError
from ..rows import formats
from ..rows.inputs import PlannedFile, Source, changed, describe, find
from ..rows.splits import Piece, cut
from ..storage.places import exists, is_remote, write_json


class PlannedShard(TypedDict):
    """What one shard reads: its number of rows and the pieces that hold them, in order."""

    rows: int
    pieces: list[Piece]


class Plan(TypedDict):
    """The plan document. `compression` is that of the parts: the files' common one, else "".

    `columns` is None for JSON Lines.
    """

    format: str
    compression: str
    columns: list[str] | None
    rows: int
    files: list[PlannedFile]
    shards: list[PlannedShard]


def run(spec: dict[str, Any]) -> None:
    """Write the plan of `spec["input"]` in `spec["shards"]` shards to `spec["plan"]`.

    One that is on S3 already stays: shards may have been predicted by it.
    """
    if not (is_remote(spec["plan"]) and exists(spec["plan"])):
        write_json(spec["plan"], make(spec["input"], spec["shards"]), new=True)


def make(root: str, shards: int) -> Plan:
    """The plan of the input `root`, a file or a folder, in exactly `shards` shards, which may be empty.

    Raises InputError for an input that cannot be read to its end as rows of one table.
    """
    if shards < 1:
        raise InputError(f"shards is {shards}; it must be at least 1")
    sources = find(root)
    files = [describe(source) for source in sources]
    form = sources[0].format
    columns, extents, splits = formats.load(form).survey(files, shards)
    for file, extent, source in zip(files, extents, sources):
        _check_unchanged(file, source)
        file["rows"] = extent.rows
    compressions = {source.compression for source in sources}
    return Plan(
        format=form,
        compression=compressions.pop() if len(compressions) == 1 else "",
        columns=columns,
        rows=sum(extent.rows for extent in extents),
        files=files,
        shards=[PlannedShard(rows=sum(p["rows"] for p in ps), pieces=ps) for ps in cut(extents, splits)],
    )


def _check_unchanged(file: PlannedFile, source: Source) -> None:
    # What was read of an object on S3 was asked for on the condition that it is still the same.
    if not is_remote(file["path"]) and describe(source) != file:
        raise changed(source.name)
