"""The rows of a finished part, counted by reading it again: nothing here shares code with what wrote it."""

from __future__ import annotations

import csv
import io
import json
from typing import IO, Any, NamedTuple

from ..errors import OutputError
from .inputs import open_plain
from .libraries import parquet


class Count(NamedTuple):
    """The rows of a part, and its shape: the header of CSV, the schema of Parquet, None for JSON Lines."""

    rows: int
    shape: Any


def count(path: str, form: str, compression: str, name: str = "") -> Count:
    """Count the rows of the part at `path`. Raises OutputError, which calls it `name` (else by its path), for
    a JSON line that is no object."""
    if form == "parquet":
        with parquet().ParquetFile(path) as file:
            return Count(file.metadata.num_rows, file.schema_arrow)
    with open_plain(path, compression) as stream:
        plain = _count_plain(stream) if form == "csv" else None
        if plain is not None:
            return plain
        stream.seek(0)
        newline = "" if form == "csv" else "\n"
        with io.TextIOWrapper(stream, encoding="utf-8", newline=newline) as text:
            return _count_csv(text) if form == "csv" else _count_json(text, name or path)


def _count_plain(stream: IO[bytes]) -> Count | None:
    """The count of CSV without a quote or a carriage return, where every line is a row; None for other."""
    header = stream.readline()
    rows, last, block = 0, b"\n", header
    while block:
        if b'"' in block or b"\r" in block:
            return None
        rows += block.count(b"\n")
        last = block[-1:]
        block = stream.read(1 << 20)
    rows += last != b"\n"
    names = next(csv.reader([header.decode("utf-8")]), [])
    return Count(rows - bool(header), names)


def _count_csv(text: io.TextIOWrapper) -> Count:
    reader = csv.reader(text)
    header = next(reader, [])
    return Count(sum(1 for _ in reader), header)


def _count_json(text: io.TextIOWrapper, name: str) -> Count:
    rows = 0
    for line in text:
        rows += 1
        if not line.endswith("\n") or not isinstance(json.loads(line), dict):
            raise OutputError(f"{name} line {rows} is not a JSON object; run it again")
    return Count(rows, None)
