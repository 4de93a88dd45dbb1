"""Rows of CSV: Python's own dialect (comma, double quote, doubled to escape), UTF-8, a header in every file.

Values are `str`, in every batch format: in "columns" a handler converts them with `.astype(float)`.

`scan` is the plan's pass: Python's own parser judges where a row ends, so that a stray quote shifts nothing.
A block of the file in which it would have nothing to judge (no quotes, no odd line ends, every line with as
many commas as the header) is counted without it, ten times as fast.
"""

from __future__ import annotations

import csv
import io
from itertools import accumulate, chain, islice
from operator import methodcaller
from typing import IO, Any, Iterable, Iterator, Sequence

from ..errors import InputError
from .batches import Batch
from .inputs import PlannedFile, open_plain, open_planned, readable, unchanged
from .libraries import numpy, pyarrow
from .parts import Count, Rewrite
from .results import PREDICTION, Results, as_list, check_names, differing, result_names
from .splits import Extent, Offer, Piece, Survey
from .text import BOM, survey_text, text_batches
from .values import csv_values

# A quote that is never closed would otherwise take the rest of the file into memory.
LONGEST_FIELD = 64 * 1024 * 1024
csv.field_size_limit(LONGEST_FIELD)
_BLOCK = 1 << 16
_COMMAS = methodcaller("count", b",")


def survey(files: Sequence[PlannedFile], shards: int) -> Survey:
    """See `formats.Format`. Every file must have the same header, files without a line none at all."""
    columns: list[str] = []
    first = ""

    def scan_file(stream: IO[bytes], name: str, offer: Offer) -> Extent:
        nonlocal columns, first
        header, extent = scan(stream, name, offer)
        if not columns:
            columns, first = header, name
        elif header and header != columns:
            raise InputError(
                f"{name} has the columns {', '.join(header)} where {first} has {', '.join(columns)}; "
                "give every file the same header"
            )
        return extent

    survey = survey_text(files, shards, scan_file)
    if not columns:
        raise InputError(f"{files[0]['name']}: no header; write the column names in the first line")
    return survey._replace(columns=columns)


def reader(columns: Sequence[str]) -> CsvReader:
    """See `formats.Format`."""
    return CsvReader(columns)


def writer(path: str, compression: str, columns: Sequence[str], files: Sequence[PlannedFile]) -> CsvWriter:
    """See `formats.Format`."""
    return CsvWriter(path, compression, columns)


def count(path: str, compression: str, name: str) -> Count:
    """See `formats.Format`."""
    with open_plain(path, compression) as stream:
        plain = _count_plain(stream)
        if plain is not None:
            return plain
        stream.seek(0)
        with io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
            rows = csv.reader(text)
            header = next(rows, [])
            return Count(sum(1 for _ in rows), header)


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


def unify(parts: Sequence[Count], compression: str) -> dict[int, Rewrite]:
    """See `formats.Format`. Parts with rows must have one header; the others take it."""
    filled = [shard for shard, part in enumerate(parts) if part.rows]
    if not filled:
        return {}
    header = parts[filled[0]].shape
    for shard in filled:
        if parts[shard].shape != header:
            raise InputError(
                f"shard {shard} has the columns {', '.join(parts[shard].shape)} where shard {filled[0]} has "
                f"{', '.join(header)}; return the same keys in every shard"
            )

    def rewrite(_: str, new: str) -> None:
        with open_plain(new, compression, "wb") as stream:
            stream.write(csv_text([header]).encode("utf-8"))

    return {shard: rewrite for shard, part in enumerate(parts) if part.shape != header}


class CsvReader:
    """Batches whose rows are lists of texts."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)

    def batches(self, files: Sequence[PlannedFile], pieces: Sequence[Piece], size: int) -> Iterator[Batch]:
        """The rows of the pieces. Raises InputError when a file is no longer the planned one."""
        return text_batches(files, pieces, size, _read)

    def dicts(self, rows: list[list[str]]) -> list[dict[str, Any]]:
        """The batch as `batch_format = "rows"` gives it to the handler."""
        columns = self._columns
        return [dict(zip(columns, row)) for row in rows]

    def columns(self, rows: list[list[str]]) -> dict[str, Any]:
        """The batch as `batch_format = "columns"` gives it: NumPy arrays of texts."""
        np = numpy()
        return {name: np.array(values) for name, values in zip(self._columns, zip(*rows))}

    def arrow(self, rows: list[list[str]]) -> Any:
        """The batch as `batch_format = "arrow"` gives it: a pyarrow.Table of string columns."""
        pa = pyarrow()
        arrays = [pa.array(values, pa.string()) for values in zip(*rows)]
        return pa.Table.from_arrays(arrays, names=self._columns)


def _read(file: PlannedFile, piece: Piece) -> Iterator[list[str]]:
    # The plan has parsed every row: no row is checked twice, and all that follows runs in C.
    with unchanged(file), readable(file["name"]), open_planned(file, piece["end"]) as stream:
        stream.seek(piece["start"])
        with io.TextIOWrapper(stream, encoding="utf-8", newline="\n") as text:
            yield from islice(filter(None, csv.reader(text)), piece["rows"])


class CsvWriter:
    """One part being written: the input's columns and the results, LF after each row, always a header."""

    def __init__(self, path: str, compression: str, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._names: list[str] | None = None
        self._stream = open_plain(path, compression, "wb")

    def write(self, rows: list[list[str]], results: Results) -> None:
        """Append a batch.

        Raises InputError when a result takes an input column's name or names differ by row.
        """
        names = result_names(results)
        if self._names is None:
            check_names(names, self._columns)
            self._begin(names)
        elif set(names) != set(self._names):
            raise differing(self._names, names)
        self._emit(_joined(rows, results, self._names or []))

    def _begin(self, names: list[str]) -> None:
        self._names = names
        self._emit([[*self._columns, *names]])

    def _emit(self, rows: list[list[Any]]) -> None:
        try:
            self._stream.write(csv_text(rows).encode("utf-8"))
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


def csv_text(rows: list[list[Any]]) -> str:
    """Rows as CSV text that ends in LF."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    text = buffer.getvalue()
    if "\r" in text:
        # With this line end, Python before 3.13 leaves a lone CR unquoted, and then cannot read it back.
        buffer = io.StringIO(newline="")
        csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
        text = buffer.getvalue()
    return text


def _joined(rows: list[list[str]], results: Results, names: list[str]) -> list[list[Any]]:
    if isinstance(results, dict):
        columns = [csv_values(as_list(results[name])) for name in names]
    else:
        # The names are the keys' texts, and every row has the same keys.
        keys = {str(key): key for key in results[0]}
        columns = [csv_values([row[keys[name]] for row in results]) for name in names]
    if len(columns) == 1:
        return [[*row, value] for row, value in zip(rows, columns[0])]
    if not columns:
        return rows
    return [[*row, *values] for row, values in zip(rows, zip(*columns))]


class Lines:
    """The text lines of a file, split at LF alone as the parser needs; knows how far it has come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.offset = 0
        self.number = 0
        self.ended = False

    def over(self, stream: Iterable[bytes]) -> Iterator[str]:
        """The lines of the next stretch of the file, as text."""
        try:
            for line in stream:
                self.offset += len(line)
                self.number += 1
                if self.number == 1 and line.startswith(BOM):
                    line = line[len(BOM) :]
                yield line.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{self.name} line {self.number}: not UTF-8; save the file as UTF-8") from None
        self.ended = True


def scan(stream: IO[bytes], name: str, offer: Offer) -> tuple[list[str], Extent]:
    """Check and count the rows of one file, offering their splits.

    Gives the header ([] for a file without one) and the extent of its rows. Raises InputError, with the line,
    for a bad header, a row with more or fewer fields, a quote that is never closed and bytes that are not
    UTF-8.
    """
    lines = Lines(name)
    try:
        header = _header(csv.reader(lines.over(stream)), lines)
        start, line = lines.offset, lines.number + 1
        rows = _count(stream, lines, len(header), offer) if header else 0
    except csv.Error as error:
        raise _malformed(error, stream, lines) from None
    return header, Extent(rows, start, line, lines.offset)


def _header(reader: Iterator[list[str]], lines: Lines) -> list[str]:
    header = next(filter(None, reader), [])
    where = f"{lines.name} line {lines.number}"
    if header and lines.ended:
        raise _unclosed(header, lines)
    for position, column in enumerate(header, 1):
        if not column.strip():
            raise InputError(f"{where}: column {position} has no name; name every column in the header")
        if header.index(column) != position - 1:
            raise InputError(f"{where}: two columns are named {column!r}; give each a name of its own")
    return header


def _count(stream: IO[bytes], lines: Lines, width: int, offer: Offer) -> int:
    rows = 0
    due = offer(0, lines.offset, lines.number + 1)
    while True:
        block = stream.read(_BLOCK)
        if not block:
            return rows
        block += stream.readline()
        plain = _plain_lines(block, width)
        if plain is None:
            rows, due = _count_parsed(block, stream, lines, width, offer, rows, due)
            continue
        ends = list(accumulate(map(len, plain)))
        while rows < due <= rows + len(plain):
            index = due - rows
            due = offer(due, lines.offset + ends[index - 1], lines.number + index + 1)
        rows += len(plain)
        lines.offset += len(block)
        lines.number += len(plain)


def _plain_lines(block: bytes, width: int) -> list[bytes] | None:
    """The lines of a block where each is a row of `width` fields beyond doubt; None where there is any."""
    if b'"' in block or b"\0" in block or len(block) > LONGEST_FIELD:
        return None
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        return None
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        return None
    plain = block.splitlines(keepends=True)
    if set(map(_COMMAS, plain)) != {width - 1} or b"\n" in plain or b"\r\n" in plain:
        return None
    return plain


def _count_parsed(
    block: bytes, stream: IO[bytes], lines: Lines, width: int, offer: Offer, rows: int, due: int
) -> tuple[int, int]:
    """Count with the parser to the end of the row in which the block ends."""
    end = lines.offset + len(block)
    for row in csv.reader(lines.over(chain(io.BytesIO(block), stream))):
        if row:
            # A row is handed out with its last line; only one cut short by the file's end comes later.
            if lines.ended:
                raise _unclosed(row, lines)
            if len(row) != width:
                raise _ragged(row, lines, width)
            rows += 1
            if rows == due:
                due = offer(rows, lines.offset, lines.number + 1)
        if lines.offset >= end:
            break
    return rows, due


def _unclosed(row: list[str], lines: Lines) -> InputError:
    opened = lines.number - row[-1].count("\n") + row[-1].endswith("\n")
    return InputError(
        f"{lines.name} line {opened}: a quote is opened and never closed; close it or double it"
    )


def _ragged(row: list[str], lines: Lines, width: int) -> InputError:
    first = lines.number - sum(field.count("\n") for field in row)
    where = f"line {first}" if first == lines.number else f"lines {first} to {lines.number}"
    fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
    return InputError(
        f"{lines.name} {where}: {fields} where the header has {width}; quote fields that hold commas"
    )


def _malformed(error: csv.Error, stream: IO[bytes], lines: Lines) -> InputError:
    if "field limit" in str(error):
        line = _last_good_line(stream) + 1
        return InputError(
            f"{lines.name} line {line}: a field of more than {LONGEST_FIELD >> 20} MiB begins here; "
            "close its quote"
        )
    cure = "end lines with LF or CRLF" if "new-line" in str(error) else "correct or remove the line"
    return InputError(f"{lines.name} line {lines.number}: {str(error).split(' - ')[0]}; {cure}")


def _last_good_line(stream: IO[bytes]) -> int:
    stream.seek(0)
    lines = Lines("")
    last = 0
    try:
        for _ in csv.reader(lines.over(stream)):
            last = lines.number
    except csv.Error:
        pass
    return last
