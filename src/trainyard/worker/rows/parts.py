"""Parts of the output: how one is written, and what reading it again finds."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Protocol

from .batches import Batch
from .results import Results

# rewrite(old, new) writes to the path `new` what shall stand in the place of the part at the path `old`.
Rewrite = Callable[[str, str], None]


class Count(NamedTuple):
    """The rows of a part, and what it has of columns: the header of CSV, the schema of Parquet; None for JSON
    Lines, and where nobody knows."""

    rows: int
    shape: Any


class Writer(Protocol):
    """A part being written. `close` gives its columns (JSON Lines: None), `discard` leaves it unfinished."""

    def write(self, batch: Batch, results: Results) -> None: ...

    def close(self) -> list[str] | None: ...

    def discard(self) -> None: ...
