"""The plan's pass over CSV: rows checked and counted, and where they may be cut.

Python's own parser judges where a row ends, so that a stray quote shifts nothing. A block of the file in
which it would have nothing to judge (no quotes, no odd line ends, every line with as many delimiters as the
first) is counted without it, ten times as fast.
"""

from __future__ import annotations

import csv
import io
import re
from itertools import accumulate, chain
from operator import methodcaller
from typing import IO, Callable, Iterable, Iterator, NamedTuple, Sequence

from ..errors import InputError
from .splits import Extent, Offer
from .text import BOM

# A quote that is never closed would otherwise take the rest of the file into memory.
LONGEST_FIELD = 64 * 1024 * 1024
csv.field_size_limit(LONGEST_FIELD)
_BLOCK = 1 << 16
_NUMBER = re.compile(r"\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*", re.ASCII)
_OTHER_DELIMITERS = (";", "\t", "|", ",")


class Dialect(NamedTuple):
    """What `[infer]` says of the CSV files: what stands between fields, and whether they have a header."""

    delimiter: str = ","
    header: bool = True


USUAL = Dialect()
WITHOUT_HEADER = "if the file has no header, write header = false in [infer]"


class Lines:
    """The text lines of a file, split at LF alone as the parser needs; knows how far it has come."""

    def __init__(self, name: str, offset: int = 0) -> None:
        self.name = name
        self.offset = offset
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


def scan(stream: IO[bytes], name: str, offer: Offer, dialect: Dialect = USUAL) -> tuple[list[str], Extent]:
    """Check and count the rows of one file, offering their splits.

    Gives the first row, which is the header where there is one ([] for a file without a row), and the extent
    of the rows. Raises InputError, with the line, for a bad header, a row with more or fewer fields, a quote
    that is never closed and bytes that are not UTF-8.
    """
    lines = Lines(name)
    try:
        first = next(filter(None, csv.reader(lines.over(stream), delimiter=dialect.delimiter)), [])
        if dialect.header:
            _check_header(first, lines)
        else:
            lines = _from_the_first(stream, name)
        start, line = lines.offset, lines.number + 1
        has_rows = bool(first) or not dialect.header
        rows = _Counter(stream, lines, first, dialect).count(offer) if has_rows else 0
    except csv.Error as error:
        raise _malformed(error, stream, lines, dialect) from None
    return first, Extent(rows, start, line, lines.offset)


def _from_the_first(stream: IO[bytes], name: str) -> Lines:
    stream.seek(0)
    start = len(BOM) if stream.read(len(BOM)) == BOM else 0
    stream.seek(start)
    return Lines(name, start)


def _check_header(header: list[str], lines: Lines) -> None:
    where = f"{lines.name} line {lines.number}"
    if header and lines.ended:
        raise _unclosed(header, lines)
    for position, column in enumerate(header, 1):
        if not column.strip():
            cure = "name every column in the header"
            if position == 1 and len(header) > 1:
                cure += "; if it is the index that pandas writes, leave it out: to_csv(..., index=False)"
            if is_likely_a_row(list(filter(None, header))):
                cure += f"; {WITHOUT_HEADER}"
            raise InputError(f"{where}: column {position} has no name; {cure}")
        if header.index(column) != position - 1:
            cure = WITHOUT_HEADER if is_likely_a_row(header) else "give each a name of its own"
            raise InputError(f"{where}: two columns are named {column!r}; {cure}")


def is_likely_a_row(header: Sequence[str]) -> bool:
    """Whether fields are no names: all of them numbers, or one with a point. Years may well be names."""
    numbers = list(filter(_NUMBER.fullmatch, header))
    return bool(numbers) and (len(numbers) == len(header) or "." in "".join(numbers))


def hint(row: Sequence[str], dialect: Dialect) -> str:
    """The cure for a file whose only field seems to be several, with another delimiter; else ""."""
    for each in _OTHER_DELIMITERS if len(row) == 1 else ():
        if each in row[0] and each != dialect.delimiter:
            shown = "\\t" if each == "\t" else each
            return f'if that separates fields, write delimiter = "{shown}" in [infer]'
    return ""


class _Counter:
    """Counts the rows of one file behind its header, if it has one."""

    def __init__(self, stream: IO[bytes], lines: Lines, first: list[str], dialect: Dialect) -> None:
        self._stream, self._lines, self._first, self._dialect = stream, lines, first, dialect
        self._width = len(first)
        self._delimiters: Callable[[bytes], int] = methodcaller("count", dialect.delimiter.encode())

    def count(self, offer: Offer) -> int:
        """The number of rows, whose splits are offered."""
        stream, lines, rows = self._stream, self._lines, 0
        due = offer(0, lines.offset, lines.number + 1)
        while True:
            block = stream.read(_BLOCK)
            if not block:
                return rows
            block += stream.readline()
            plain = self._plain_lines(block)
            if plain is None:
                rows, due = self._count_parsed(block, offer, rows, due)
                continue
            ends = list(accumulate(map(len, plain)))
            while rows < due <= rows + len(plain):
                index = due - rows
                due = offer(due, lines.offset + ends[index - 1], lines.number + index + 1)
            rows += len(plain)
            lines.offset += len(block)
            lines.number += len(plain)

    def _plain_lines(self, block: bytes) -> list[bytes] | None:
        """The lines of a block where each is beyond doubt a row of the right width; else None."""
        if b'"' in block or b"\0" in block or len(block) > LONGEST_FIELD:
            return None
        if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
            return None
        try:
            block.decode("utf-8")
        except UnicodeDecodeError:
            return None
        plain = block.splitlines(keepends=True)
        if set(map(self._delimiters, plain)) != {self._width - 1} or b"\n" in plain or b"\r\n" in plain:
            return None
        return plain

    def _count_parsed(self, block: bytes, offer: Offer, rows: int, due: int) -> tuple[int, int]:
        """Count with the parser to the end of the row in which the block ends."""
        lines = self._lines
        end = lines.offset + len(block)
        texts = lines.over(chain(io.BytesIO(block), self._stream))
        for row in csv.reader(texts, delimiter=self._dialect.delimiter):
            if row:
                # A row is handed out with its last line; only one cut short by the file's end comes later.
                if lines.ended:
                    raise _unclosed(row, lines)
                if len(row) != self._width:
                    raise self._ragged(row)
                rows += 1
                if rows == due:
                    due = offer(rows, lines.offset, lines.number + 1)
            if lines.offset >= end:
                break
        return rows, due

    def _ragged(self, row: list[str]) -> InputError:
        lines = self._lines
        first = lines.number - sum(field.count("\n") for field in row)
        where = f"line {first}" if first == lines.number else f"lines {first} to {lines.number}"
        fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
        model = "the header" if self._dialect.header else "the first row"
        cure = f"quote fields that hold {'commas' if self._dialect.delimiter == ',' else 'the delimiter'}"
        other = hint(self._first, self._dialect)
        if other:
            cure = f"{model} is {self._first[0]!r}: {other}"
        return InputError(f"{lines.name} {where}: {fields} where {model} has {self._width}; {cure}")


def _unclosed(row: list[str], lines: Lines) -> InputError:
    opened = lines.number - row[-1].count("\n") + row[-1].endswith("\n")
    return InputError(
        f"{lines.name} line {opened}: a quote is opened and never closed; close it or double it"
    )


def _malformed(error: csv.Error, stream: IO[bytes], lines: Lines, dialect: Dialect) -> InputError:
    if "field limit" in str(error):
        line = _last_good_line(stream, dialect) + 1
        return InputError(
            f"{lines.name} line {line}: a field of more than {LONGEST_FIELD >> 20} MiB begins here; "
            "close its quote"
        )
    cure = "end lines with LF or CRLF" if "new-line" in str(error) else "correct or remove the line"
    return InputError(f"{lines.name} line {lines.number}: {str(error).split(' - ')[0]}; {cure}")


def _last_good_line(stream: IO[bytes], dialect: Dialect) -> int:
    stream.seek(0)
    lines = Lines("")
    last = 0
    try:
        for _ in csv.reader(lines.over(stream), delimiter=dialect.delimiter):
            last = lines.number
    except csv.Error:
        pass
    return last
