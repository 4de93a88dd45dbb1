"""Rows of several pieces as batches of one size, in bounded memory."""

from __future__ import annotations

from typing import Any, Callable, Iterator, NamedTuple, Protocol, Sequence

from .inputs import PlannedFile, changed
from .splits import Piece

# take(n) gives the next 1 to n rows of a piece as a chunk, a chunk of length 0 at its end.
Take = Callable[[int], Any]


class Span(NamedTuple):
    """Rows of one file that are in a batch; `row` counts from 0."""

    name: str
    row: int
    rows: int


class Batch(NamedTuple):
    """Rows in the format's own form, how many, and where they come from."""

    rows: Any
    size: int
    spans: Sequence[Span]

    @property
    def origin(self) -> str:
        """Where the rows come from as messages say it: `input.csv rows 8 to 11`, counted from 1."""
        first, last = self.spans[0], self.spans[-1]
        start, end = first.row + 1, last.row + last.rows
        if len(self.spans) > 1:
            return f"{first.name} row {start} to {last.name} row {end}"
        return f"{first.name} row {start}" if start == end else f"{first.name} rows {start} to {end}"

    def place(self, index: int) -> str:
        """Where the row with this index in the batch comes from: `input.csv row 8`."""
        for span in self.spans:
            if index < span.rows:
                return f"{span.name} row {span.row + index + 1}"
            index -= span.rows
        return self.origin


def gather(
    files: Sequence[PlannedFile],
    pieces: Sequence[Piece],
    size: int,
    opened: Callable[[PlannedFile, Piece], Take],
    join: Callable[[Sequence[Any]], Any],
) -> Iterator[Batch]:
    """Batches of `size` rows (the last may be smaller) across pieces, in order.

    Raises InputError when a piece does not hold the rows that were planned.
    """
    chunks: list[Any] = []
    spans: list[Span] = []
    count = 0
    for piece in pieces:
        file = files[piece["file"]]
        row, end = piece["row"], piece["row"] + piece["rows"]
        take = opened(file, piece)
        while True:
            chunk = take(size - count)
            if not len(chunk):
                break
            chunks.append(chunk)
            spans.append(Span(file["name"], row, len(chunk)))
            row += len(chunk)
            count += len(chunk)
            if count == size:
                yield Batch(join(chunks), count, spans)
                chunks, spans, count = [], [], 0
        if row != end:
            raise changed(file["name"])
    if count:
        yield Batch(join(chunks), count, spans)


class Reader(Protocol):
    """The reading side of a format: its rows in batches, and a batch as each `batch_format` gives it out."""

    def batches(
        self, files: Sequence[PlannedFile], pieces: Sequence[Piece], size: int
    ) -> Iterator[Batch]: ...

    def dicts(self, rows: Any) -> Any: ...

    def columns(self, rows: Any) -> Any: ...

    def arrow(self, rows: Any) -> Any: ...
