"""Where the rows of an input are cut into shards. Pure: no files.

A scan of the input offers borders between rows to `Marks`, which keeps a bounded number of them; `choose`
takes the ones nearest to equal shares, and `cut` says which pieces of which files each shard reads.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Callable, NamedTuple, Sequence, TypedDict


class Mark(NamedTuple):
    """A border: the start of row `row` (counted over all files from 0), in a file, at a byte and a line."""

    row: int
    file: int
    byte: int
    line: int


class Extent(NamedTuple):
    """What a scan found in one file: its rows, and where they begin and end.

    Bytes are those of the plain text.
    """

    rows: int
    start: int
    line: int
    end: int


class Survey(NamedTuple):
    """What one pass over all files found: the columns (None where they differ by row), each file's extent,
    and the inner borders of the shards."""

    columns: list[str] | None
    extents: list[Extent]
    borders: list[Mark]


# A scan offers the border after its n-th row: offer(rows, byte, line) gives the number of rows after which
# the next one is welcome, NEVER when none is.
Offer = Callable[[int, int, int], int]
NEVER = -1


class Piece(TypedDict):
    """A run of rows of one file. `row` counts from 0 within the file, `line` from 1; `end` is exclusive."""

    file: int
    row: int
    rows: int
    line: int
    start: int
    end: int


class Marks:
    """Borders in the order of the rows, at most `limit`: beyond it every other one is dropped.

    `due` is the row number from which on the next mark is welcome; earlier ones would crowd the list.
    """

    def __init__(self, limit: int = 65536) -> None:
        self.limit = max(2, limit)
        self.stride = 1
        self.due = 0
        self._fields = [array("q") for _ in Mark._fields]

    def __len__(self) -> int:
        return len(self._fields[0])

    def __getitem__(self, index: int) -> Mark:
        return Mark(*(field[index] for field in self._fields))

    @property
    def rows(self) -> Sequence[int]:
        """The row numbers of the marks, ascending."""
        return self._fields[0]

    def add(self, row: int, file: int, byte: int, line: int) -> int:
        """Keep a border whose row is at least `due`; gives the new `due`."""
        for field, value in zip(self._fields, (row, file, byte, line)):
            field.append(value)
        if len(self) > self.limit:
            self._fields = [field[::2] for field in self._fields]
            self.stride *= 2
        self.due = self.rows[-1] + self.stride
        return self.due


def offer_to(marks: Marks, file: int, row: int, *, divisible: bool) -> Offer:
    """What the scan of file number `file`, whose first row is number `row`, calls with its borders.

    Of a file that is not divisible (compressed text) only the beginning is a border.
    """

    def offer(rows: int, byte: int, line: int) -> int:
        due = marks.due
        if row + rows >= due:
            due = marks.add(row + rows, file, byte, line)
        return due - row if divisible else NEVER

    return offer


def choose(marks: Marks, rows: int, shards: int) -> list[Mark]:
    """The `shards - 1` inner borders, ascending, each the mark nearest to an equal share of `rows`.

    Without a mark (CSV without a header) there are none.
    """
    chosen: list[Mark] = []
    for index in range(1, shards if len(marks) else 1):
        ideal = index * rows // shards
        at = bisect_left(marks.rows, ideal)
        if at == len(marks) or (at > 0 and ideal - marks.rows[at - 1] <= marks.rows[at] - ideal):
            at -= 1
        chosen.append(marks[at])
    return chosen


def cut(extents: Sequence[Extent], borders: Sequence[Mark]) -> list[list[Piece]]:
    """The pieces of `len(borders) + 1` shards: every row once, in order, no piece without rows."""
    first = [0]
    for extent in extents:
        first.append(first[-1] + extent.rows)
    whole = [Mark(0, 0, extents[0].start, extents[0].line), *borders, _end(extents, first[-1])]
    return [_between(whole[i], whole[i + 1], extents, first) for i in range(len(whole) - 1)]


def _end(extents: Sequence[Extent], rows: int) -> Mark:
    return Mark(rows, len(extents) - 1, extents[-1].end, 0)


def _between(start: Mark, end: Mark, extents: Sequence[Extent], first: Sequence[int]) -> list[Piece]:
    pieces: list[Piece] = []
    for file in range(start.file, end.file + 1):
        extent = extents[file]
        here = start if file == start.file else Mark(first[file], file, extent.start, extent.line)
        rows = min(end.row, first[file + 1]) - here.row
        if rows > 0:
            pieces.append(
                Piece(
                    file=file,
                    row=here.row - first[file],
                    rows=rows,
                    line=here.line,
                    start=here.byte,
                    end=end.byte if file == end.file else extent.end,
                )
            )
    return pieces
