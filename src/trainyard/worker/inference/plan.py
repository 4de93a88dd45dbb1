"""The plan: one pass over the input that checks it, counts its rows and cuts them into shards."""

from __future__ import annotations

from typing import Any, Sequence, TypedDict

from ..errors import InputError
from ..rows import csv, jsonl, parquet
from ..rows.inputs import PlannedFile, Source, Streams, changed, describe, find, readable
from ..rows.splits import Extent, Mark, Marks, Piece, choose, cut, offer_to
from ..storage.places import exists, is_remote, over, write_json


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
    if form == "parquet":
        columns, extents, borders = _plan_parquet(sources, files, shards)
    else:
        columns, extents, borders = _plan_text(sources, files, shards)
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
        shards=[PlannedShard(rows=sum(p["rows"] for p in ps), pieces=ps) for ps in cut(extents, borders)],
    )


def _check_unchanged(file: PlannedFile, source: Source) -> None:
    # What was read of an object on S3 was asked for on the condition that it is still the same.
    if not is_remote(file["path"]) and describe(source) != file:
        raise changed(source.name)


def _plan_text(
    sources: Sequence[Source], files: Sequence[PlannedFile], shards: int
) -> tuple[list[str] | None, list[Extent], list[Mark]]:
    # At least 64 borders a shard to choose from keep the shards' sizes within 1 in 64 of each other.
    marks = Marks(max(65536, 64 * shards))
    header = _Header()
    extents: list[Extent] = []
    row = 0
    with Streams(files) as streams:
        for index, source in enumerate(sources):
            offer = offer_to(marks, index, row, divisible=not source.compression)
            with readable(source.name), streams.open(index) as stream:
                if source.format == "csv":
                    columns, extent = csv.scan(stream, source.name, offer)
                    header.match(columns, source.name)
                else:
                    extent = jsonl.scan(stream, offer)
            extents.append(extent)
            row += extent.rows
    if sources[0].format == "csv" and not header.columns:
        raise InputError(f"{sources[0].name}: no header; write the column names in the first line")
    return header.columns or None, extents, choose(marks, row, shards)


class _Header:
    """The header that every CSV file must have."""

    def __init__(self) -> None:
        self.columns: list[str] = []
        self._name = ""

    def match(self, columns: list[str], name: str) -> None:
        """Raises InputError when the columns are not those of the files before."""
        if not self.columns:
            self.columns, self._name = columns, name
        elif columns and columns != self.columns:
            raise InputError(
                f"{name} has the columns {', '.join(columns)} where {self._name} has "
                f"{', '.join(self.columns)}; "
                "give every file the same header"
            )


def _plan_parquet(
    sources: Sequence[Source], files: Sequence[PlannedFile], shards: int
) -> tuple[list[str] | None, list[Extent], list[Mark]]:
    schema, first = None, ""
    counts = []

    def scan(index: int) -> tuple[Any, int]:
        is_empty = files[index]["size"] == 0 and len(files) > 1
        return (None, 0) if is_empty else parquet.scan(files[index])

    for source, (found, rows) in zip(sources, over(scan, [0] * len(files), sources[0].path)):
        counts.append(rows)
        if found is None:
            continue
        if schema is None:
            schema, first = found, source.name
        difference = parquet.difference(found, schema)
        if difference:
            raise InputError(
                f"{source.name} and {first} differ: {difference}; give every file the same columns"
            )
    if schema is None:
        raise InputError(f"{sources[0].name}: every file is empty; write Parquet files with a schema")
    return list(schema.names), [Extent(rows, 0, 0, 0) for rows in counts], _even(counts, shards)


def _even(counts: Sequence[int], shards: int) -> list[Mark]:
    """Borders at equal shares of the rows: Parquet can be entered at any row."""
    total, file, before = sum(counts), 0, 0
    borders = []
    for index in range(1, shards):
        row = index * total // shards
        while file < len(counts) - 1 and row >= before + counts[file]:
            before += counts[file]
            file += 1
        borders.append(Mark(row, file, 0, 0))
    return borders
