"""The formats of rows: one interface, and the one place where a format is chosen by its name.

Each format is a module. Only the one that is asked for is imported.
"""

from __future__ import annotations

from typing import Protocol, Sequence

from .batches import Reader
from .inputs import PlannedFile
from .parts import Count, Rewrite, Writer
from .splits import Options, Shape, Survey


class Format(Protocol):
    """What the plan, a shard and the commit need of a format."""

    def survey(self, files: Sequence[PlannedFile], shards: int, options: Options) -> Survey:
        """Check and count the rows of all files. Raises InputError when they do not make one table."""

    def reader(self, shape: Shape) -> Reader:
        """What reads rows that were planned with this shape."""

    def writer(self, path: str, compression: str, shape: Shape) -> Writer:
        """What writes a part of rows of this shape to `path`."""

    def count(self, path: str, compression: str, name: str, shape: Shape) -> Count:
        """Count the rows of a finished part by reading it again, sharing no code with what wrote it.

        Raises OutputError, which calls the part `name`, for what no shard can have written.
        """

    def unify(self, parts: Sequence[Count], compression: str, shape: Shape) -> dict[int, Rewrite]:
        """What has to be rewritten, by its shard, so that all parts (one a shard, in order) make one table.

        Raises InputError when parts with rows cannot.
        """


def load(name: str) -> Format:
    """The format called `name` in a plan: "csv", "jsonl" or "parquet"."""
    if name == "csv":
        from . import csv

        return csv
    if name == "jsonl":
        from . import jsonl

        return jsonl
    from . import parquet

    return parquet
