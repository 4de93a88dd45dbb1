"""The plan's pass over CSV: Python's own parser judges where a row ends: a stray quote shifts nothing."""

from __future__ import annotations

import csv
from typing import IO, Iterable, Iterator

from .borders import Extent, Offer
from .errors import InputError

BOM = b"\xef\xbb\xbf"
# A quote that is never closed would otherwise take the rest of the file into memory.
LONGEST_FIELD = 64 * 1024 * 1024
csv.field_size_limit(LONGEST_FIELD)


class Lines:
    """The text lines of a binary stream, split at LF alone as the parser needs; knows how far it has come."""

    def __init__(self, stream: Iterable[bytes], name: str) -> None:
        self.name = name
        self.offset = 0
        self.number = 0
        self.ended = False
        self._stream = stream

    def __iter__(self) -> Iterator[str]:
        try:
            for line in self._stream:
                self.offset += len(line)
                self.number += 1
                if self.number == 1 and line.startswith(BOM):
                    line = line[len(BOM) :]
                yield line.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{self.name} line {self.number}: not UTF-8; save the file as UTF-8") from None
        self.ended = True


def scan(stream: IO[bytes], name: str, offer: Offer) -> tuple[list[str], Extent]:
    """Check and count the rows of one file, offering their borders.

    Gives the header ([] for a file without one) and the extent of its rows. Raises InputError, with the line,
    for a bad header, a row with more or fewer fields, a quote that is never closed and bytes that are not
    UTF-8.
    """
    lines = Lines(stream, name)
    reader = csv.reader(lines)
    try:
        header = _header(reader, lines)
        start, line = lines.offset, lines.number + 1
        rows = _count(reader, lines, len(header), offer) if header else 0
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


def _count(reader: Iterator[list[str]], lines: Lines, width: int, offer: Offer) -> int:
    rows = 0
    due = offer(0, lines.offset, lines.number + 1)
    for row in reader:
        if not row:
            continue
        # A row is handed out at the end of its last line; only one cut short by the file's end comes later.
        if lines.ended:
            raise _unclosed(row, lines)
        if len(row) != width:
            raise _ragged(row, lines, width)
        rows += 1
        if rows == due:
            due = offer(rows, lines.offset, lines.number + 1)
    return rows


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
    lines = Lines(stream, "")
    last = 0
    try:
        for _ in csv.reader(lines):
            last = lines.number
    except csv.Error:
        pass
    return last
