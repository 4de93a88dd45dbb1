"""Rows of CSV: Python's own dialect (double quote, doubled to escape), UTF-8, a delimiter, mostly a header.

Values are `str`, in every batch format: in "columns" a handler converts them with `.astype(float)`.
"""

from __future__ import annotations

import csv
import io
from itertools import islice
from typing import IO, Any, Iterator, Sequence

from ..errors import InputError
from .batches import Batch
from .csvscan import WITHOUT_HEADER, Dialect, hint, is_likely_a_row, scan
from .inputs import PlannedFile, open_plain, open_planned, readable, unchanged
from .libraries import numpy, pyarrow
from .partitions import constants, with_partitions
from .parts import Count, Rewrite
from .results import PREDICTION, Results, check_names, differing, result_names
from .splits import Extent, Offer, Options, Piece, Shape, Survey
from .text import survey_text, text_batches
from .values import csv_values, text_list

_CHUNK = 4096
"""Rows that are held at once when a part is written anew."""


def survey(files: Sequence[PlannedFile], shards: int, options: Options) -> Survey:
    """See `formats.Format`. Every file must have the same header, files without a line none at all.

    Without a header, columns are called "0", "1", …
    """
    dialect = Dialect(options.delimiter, options.header)
    found: dict[str, list[str]] = {}

    def scan_file(stream: IO[bytes], name: str, offer: Offer) -> Extent:
        first, extent = scan(stream, name, offer, dialect)
        if first:
            found.setdefault(name, first if dialect.header else [str(n) for n in range(len(first))])
            _check_alike(found, name, dialect)
            if len(found) == 1:
                warnings.extend(_warnings(first, name, dialect))
        return extent

    warnings: list[str] = []
    extents, splits = survey_text(files, shards, scan_file)
    if not found and dialect.header:
        raise InputError(f"{files[0]['name']}: no header; write the column names in the first line")
    own = next(iter(found.values()), [])
    columns = with_partitions(own, files)
    shape = Shape(columns=columns, own=len(own), delimiter=options.delimiter, header=options.header)
    return Survey(shape, extents, splits, warnings)


def _check_alike(found: dict[str, list[str]], name: str, dialect: Dialect) -> None:
    (first, columns), *_ = found.items()
    if found[name] == columns:
        return
    if not dialect.header:
        problem = f"{len(found[name])} fields in its first row where {first} has {len(columns)}"
        raise InputError(f"{name} has {problem}; give every file the same columns")
    problem = f"the columns {', '.join(found[name])} where {first} has {', '.join(columns)}"
    raise InputError(f"{name} has {problem}; give every file the same header")


def _warnings(first: list[str], name: str, dialect: Dialect) -> list[str]:
    found = []
    if dialect.header and is_likely_a_row(first):
        found.append(f"{name}: the header begins like a row, {', '.join(first[:3])}; {WITHOUT_HEADER}")
    other = hint(first, dialect)
    if other:
        found.append(f"{name}: has one column, {first[0]!r}; {other}")
    return found


def reader(shape: Shape) -> CsvReader:
    """See `formats.Format`."""
    return CsvReader(shape)


def writer(path: str, compression: str, shape: Shape) -> CsvWriter:
    """See `formats.Format`."""
    return CsvWriter(path, compression, shape)


def count(path: str, compression: str, name: str, shape: Shape) -> Count:
    """See `formats.Format`. Without a header only its shard can say what a part's columns are."""
    with open_plain(path, compression) as stream:
        plain = _count_plain(stream, shape)
        if plain is not None:
            return plain
        stream.seek(0)
        with io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
            rows = csv.reader(text, delimiter=shape["delimiter"])
            first = next(rows, [])
            return _counted(sum(1 for _ in rows) + bool(first), first, shape)


def _count_plain(stream: IO[bytes], shape: Shape) -> Count | None:
    """The count of CSV without a quote or a carriage return, where every line is a row; None for other."""
    first = stream.readline()
    rows, last, block = 0, b"\n", first
    while block:
        if b'"' in block or b"\r" in block:
            return None
        rows += block.count(b"\n")
        last = block[-1:]
        block = stream.read(1 << 20)
    rows += last != b"\n"
    names = next(csv.reader([first.decode("utf-8")], delimiter=shape["delimiter"]), [])
    return _counted(rows, names, shape)


def _counted(lines: int, first: list[str], shape: Shape) -> Count:
    return Count(lines - bool(first), first) if shape["header"] else Count(lines, None)


def unify(parts: Sequence[Count], compression: str, shape: Shape) -> dict[int, Rewrite]:
    """See `formats.Format`. Parts with rows must have the same columns; all take the order of the first."""
    filled = [shard for shard, part in enumerate(parts) if part.rows and part.shape is not None]
    if not filled:
        return {}
    columns = parts[filled[0]].shape
    for shard in filled:
        if sorted(parts[shard].shape) != sorted(columns):
            raise InputError(
                f"shard {shard} has the columns {', '.join(parts[shard].shape)} where shard {filled[0]} has "
                f"{', '.join(columns)}; return the same keys in every shard"
            )
    return {
        shard: _reordering(part, columns, compression, shape)
        for shard, part in enumerate(parts)
        if part.shape != columns and (shape["header"] or shard in filled)
    }


def _reordering(part: Count, columns: list[str], compression: str, shape: Shape) -> Rewrite:
    delimiter = shape["delimiter"]

    def rewrite(old: str, new: str) -> None:
        with open_plain(old, compression) as source, open_plain(new, compression, "wb") as stream:

            def write(rows: list[list[Any]]) -> None:
                stream.write(csv_text(rows, delimiter).encode("utf-8"))

            rows = csv.reader(io.TextIOWrapper(source, encoding="utf-8", newline=""), delimiter=delimiter)
            if shape["header"]:
                next(rows, None)
                write([columns])
            order = [part.shape.index(name) for name in columns] if part.rows else []
            while chunk := list(islice(rows, _CHUNK)):
                write([[row[index] for index in order] for row in chunk])

    return rewrite


class CsvReader:
    """Batches whose rows are lists of texts."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._columns = shape["columns"] or []

    def batches(self, files: Sequence[PlannedFile], pieces: Sequence[Piece], size: int) -> Iterator[Batch]:
        """The rows of the pieces. Raises InputError when a file is no longer the planned one."""
        return text_batches(files, pieces, size, self._read)

    def dicts(self, rows: list[list[str]]) -> list[dict[str, Any]]:
        """The batch as `batch_format = "rows"` gives it to the handler."""
        columns = self._columns
        return [dict(zip(columns, row)) for row in rows]

    def columns(self, rows: list[list[str]]) -> dict[str, Any]:
        """The batch as `batch_format = "columns"` gives it: NumPy arrays of objects, which are texts.

        NumPy's own texts would all take the room of the longest.
        """
        np = numpy()
        return {name: np.array(values, dtype=object) for name, values in zip(self._columns, zip(*rows))}

    def arrow(self, rows: list[list[str]]) -> Any:
        """The batch as `batch_format = "arrow"` gives it: a pyarrow.Table of string columns."""
        pa = pyarrow()
        arrays = [pa.array(values, pa.string()) for values in zip(*rows)]
        return pa.Table.from_arrays(arrays, names=self._columns)

    def _read(self, file: PlannedFile, piece: Piece) -> Iterator[list[str]]:
        # The plan has parsed every row: no row is checked twice, and all that follows runs in C.
        with unchanged(file), readable(file["name"]), open_planned(file, piece["end"]) as stream:
            stream.seek(piece["start"])
            with io.TextIOWrapper(stream, encoding="utf-8", newline="\n") as text:
                parsed = csv.reader(text, delimiter=self._shape["delimiter"])
                rows = islice(filter(None, parsed), piece["rows"])
                added = constants(self._columns[self._shape["own"] :], file)
                yield from rows if not added else (row + added for row in rows)


class CsvWriter:
    """One part being written: the input's columns and the results, LF after each row.

    A header where the input has one.
    """

    def __init__(self, path: str, compression: str, shape: Shape) -> None:
        self._columns = shape["columns"] or []
        self._shape = shape
        self._names: list[str] | None = None
        self._stream = open_plain(path, compression, "wb")

    def write(self, batch: Batch, results: Results) -> None:
        """Append a batch.

        Raises InputError when a result takes an input column's name or names differ by row.
        """
        names = result_names(results)
        if self._names is None:
            check_names(names, self._columns)
            self._begin(names)
        elif set(names) != set(self._names):
            raise differing(self._names, names)
        self._emit(_joined(batch.rows, results, self._names or []))

    def _begin(self, names: list[str]) -> None:
        self._names = names
        if self._shape["header"]:
            self._emit([[*self._columns, *names]])

    def _emit(self, rows: list[list[Any]]) -> None:
        try:
            self._stream.write(csv_text(rows, self._shape["delimiter"]).encode("utf-8"))
        except UnicodeEncodeError as error:
            text = error.object[error.start : error.end]
            raise InputError(f"a result holds {text!a}, which UTF-8 cannot; return valid text") from None

    def close(self) -> list[str]:
        """Finish the file; gives its columns. Without rows the result column is `prediction`."""
        if self._names is None:
            self._begin([PREDICTION])
        self._stream.close()
        return [*self._columns, *(self._names or [])]

    def discard(self) -> None:
        """Close the file, unfinished."""
        self._stream.close()


def csv_text(rows: list[list[Any]], delimiter: str) -> str:
    """Rows as CSV text that ends in LF."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, lineterminator="\n").writerows(rows)
    text = buffer.getvalue()
    if "\r" in text:
        # With this line end, Python before 3.13 leaves a lone CR unquoted, and then cannot read it back.
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
        text = buffer.getvalue()
    return text


def _joined(rows: list[list[str]], results: Results, names: list[str]) -> list[list[Any]]:
    if isinstance(results, dict):
        columns = [csv_values(text_list(results[name])) for name in names]
    else:
        # The names are the keys' texts, and every row has the same keys.
        keys = {str(key): key for key in results[0]}
        columns = [csv_values([row[keys[name]] for row in results]) for name in names]
    if len(columns) == 1:
        return [[*row, value] for row, value in zip(rows, columns[0])]
    if not columns:
        return rows
    return [[*row, *values] for row, values in zip(rows, zip(*columns))]
