"""Where the rows of an input are cut into shards. Pure: no files.

A scan of the input offers splits between rows to `Candidates`, which keeps a bounded number of them; `choose`
takes the ones nearest to equal shares, and `cut` says which pieces of which files each shard reads.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Callable, NamedTuple, Sequence, TypedDict


class Split(NamedTuple):
    """Where to cut: before row `row` (counted over all files from 0), at a byte and a line of a file."""

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


class Options(NamedTuple):
    """What the plan is told beside the files: `delimiter` and `header` of CSV, and whether it matters of what
    types JSON's values are, as it does to a handler of columns."""

    delimiter: str = ","
    header: bool = True
    wants_types: bool = False


USUAL = Options()


class Shape(TypedDict, total=False):
    """What all rows of an input have in common, for readers and writers; each format has its own keys.

    `columns` is None where names differ by row. CSV: `own` of the columns stand in the files, the others in
    the names of their folders. JSON Lines: `types` are the kinds of each name's values, None where nobody
    asked. Parquet: `schema` in base64, and the columns that are `objects` for NumPy.
    """

    columns: list[str] | None
    own: int
    delimiter: str
    header: bool
    types: dict[str, list[str]] | None
    constants: list[dict[str, int | str | None]]
    schema: str
    objects: list[str]


class Survey(NamedTuple):
    """What one pass over all files found: the shape of their rows, each file's extent, the inner splits of
    the shards, and what is allowed of the input and likely not meant, one line each."""

    shape: Shape
    extents: list[Extent]
    splits: list[Split]
    warnings: list[str]


# A scan offers the split after its n-th row: offer(rows, byte, line) gives the number of rows after which
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


class Candidates:
    """Splits in the order of the rows, at most `limit`: beyond it every other one is dropped.

    `due` is the row number from which on the next split is welcome; earlier ones would crowd the list.
    """

    def __init__(self, limit: int = 65536) -> None:
        self.limit = max(2, limit)
        self.stride = 1
        self.due = 0
        self._fields = [array("q") for _ in Split._fields]

    def __len__(self) -> int:
        return len(self._fields[0])

    def __getitem__(self, index: int) -> Split:
        return Split(*(field[index] for field in self._fields))

    @property
    def rows(self) -> Sequence[int]:
        """The row numbers of the candidates, ascending."""
        return self._fields[0]

    def add(self, row: int, file: int, byte: int, line: int) -> int:
        """Keep a split whose row is at least `due`; gives the new `due`."""
        for field, value in zip(self._fields, (row, file, byte, line)):
            field.append(value)
        if len(self) > self.limit:
            self._fields = [field[::2] for field in self._fields]
            self.stride *= 2
        self.due = self.rows[-1] + self.stride
        return self.due


def offer_to(candidates: Candidates, file: int, row: int, *, divisible: bool) -> Offer:
    """What the scan of file number `file`, whose first row is number `row`, calls with its splits.

    Of a file that is not divisible (compressed text) only the beginning is a split.
    """

    def offer(rows: int, byte: int, line: int) -> int:
        due = candidates.due
        if row + rows >= due:
            due = candidates.add(row + rows, file, byte, line)
        return due - row if divisible else NEVER

    return offer


def choose(candidates: Candidates, rows: int, shards: int) -> list[Split]:
    """The `shards - 1` inner splits, ascending, each the candidate nearest to an equal share of `rows`.

    Without a candidate (CSV without a header) there are none.
    """
    chosen: list[Split] = []
    for index in range(1, shards if len(candidates) else 1):
        ideal = index * rows // shards
        at = bisect_left(candidates.rows, ideal)
        if at == len(candidates) or (
            at > 0 and ideal - candidates.rows[at - 1] <= candidates.rows[at] - ideal
        ):
            at -= 1
        chosen.append(candidates[at])
    return chosen


def cut(extents: Sequence[Extent], splits: Sequence[Split]) -> list[list[Piece]]:
    """The pieces of `len(splits) + 1` shards: every row once, in order, no piece without rows."""
    first = [0]
    for extent in extents:
        first.append(first[-1] + extent.rows)
    whole = [Split(0, 0, extents[0].start, extents[0].line), *splits, _end(extents, first[-1])]
    return [_between(whole[i], whole[i + 1], extents, first) for i in range(len(whole) - 1)]


def _end(extents: Sequence[Extent], rows: int) -> Split:
    return Split(rows, len(extents) - 1, extents[-1].end, 0)


def _between(start: Split, end: Split, extents: Sequence[Extent], first: Sequence[int]) -> list[Piece]:
    pieces: list[Piece] = []
    for file in range(start.file, end.file + 1):
        extent = extents[file]
        here = start if file == start.file else Split(first[file], file, extent.start, extent.line)
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
