"""What CSV and JSON Lines share: their rows stand in lines of text, whose files are planned in one pass."""

from __future__ import annotations

from itertools import islice
from typing import IO, Any, Callable, Iterator, Sequence

from .batches import Batch, Take, gather
from .inputs import PlannedFile, Streams, readable
from .splits import Candidates, Extent, Offer, Piece, Split, choose, offer_to

BOM = b"\xef\xbb\xbf"


def survey_text(
    files: Sequence[PlannedFile], shards: int, scan: Callable[[IO[bytes], str, Offer], Extent]
) -> tuple[list[Extent], list[Split]]:
    """Read every file once, with `scan(stream, name, offer)`; the files' extents and the inner splits."""
    # At least 64 splits a shard to choose from keep the shards' sizes within 1 in 64 of each other.
    candidates = Candidates(max(65536, 64 * shards))
    extents: list[Extent] = []
    row = 0
    with Streams(files) as streams:
        for index, file in enumerate(files):
            offer = offer_to(candidates, index, row, divisible=not file["compression"])
            with readable(file["name"]), streams.open(index) as stream:
                extents.append(scan(stream, file["name"], offer))
            row += extents[-1].rows
    return extents, choose(candidates, row, shards)


def text_batches(
    files: Sequence[PlannedFile],
    pieces: Sequence[Piece],
    size: int,
    read: Callable[[PlannedFile, Piece], Iterator[Any]],
) -> Iterator[Batch]:
    """The rows that `read(file, piece)` gives one by one, in batches that are lists."""

    def opened(file: PlannedFile, piece: Piece) -> Take:
        rows = read(file, piece)
        return lambda count: list(islice(rows, count))

    return gather(files, pieces, size, opened, _joined)


def _joined(chunks: Sequence[list[Any]]) -> list[Any]:
    return chunks[0] if len(chunks) == 1 else [row for chunk in chunks for row in chunk]
