"""Rows of Parquet, through pyarrow; batches are pyarrow tables."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, Sequence

from .batches import Batch, Take, gather
from .borders import Piece
from .errors import InputError
from .needs import parquet, pyarrow
from .places import is_remote, open_object
from .sources import PlannedFile, readable, unchanged


@contextmanager
def opened(file: PlannedFile) -> Iterator[Any]:
    """A pyarrow ParquetFile. What it says of a damaged file becomes an InputError that names it."""
    pa, name = pyarrow(), file["name"]
    with readable(name):
        try:
            with _parquet_file(file) as source:
                yield source
        except pa.ArrowException as error:
            raise InputError(f"{name}: not a readable Parquet file ({error}); check the file") from None


@contextmanager
def _parquet_file(file: PlannedFile) -> Iterator[Any]:
    pq = parquet()
    if not is_remote(file["path"]):
        with pq.ParquetFile(file["path"]) as source:
            yield source
        return
    # Columns that lie side by side come by one request, which is then several ranges in parallel.
    stream = open_object(file["path"], file["size"], file["etag"], ahead=False)
    with stream, pq.ParquetFile(stream, pre_buffer=True) as source:
        yield source


def scan(file: PlannedFile) -> tuple[Any, int]:
    """The schema and the number of rows, from the footer. Raises InputError for two columns of one name."""
    name = file["name"]
    with opened(file) as source:
        schema, rows = source.schema_arrow, source.metadata.num_rows
    for index, column in enumerate(schema.names):
        if schema.names.index(column) != index:
            raise InputError(f"{name}: two columns are named {column!r}; give each a name of its own")
    return schema, int(rows)


def difference(one: Any, other: Any) -> str:
    """How two schemas differ in names or types, in words; "" when they do not."""
    if one.names != other.names:
        return f"columns {', '.join(one.names)} and {', '.join(other.names)}"
    for left, right in zip(one, other):
        if left.type != right.type:
            return f"column {left.name!r} is {left.type} and {right.type}"
    return ""


class ParquetRows:
    """The table side of a batch: its rows are a pyarrow.Table."""

    def batches(self, files: Sequence[PlannedFile], pieces: Sequence[Piece], size: int) -> Iterator[Batch]:
        """The rows of the pieces. Raises InputError when a file is no longer the planned one."""

        def take(file: PlannedFile, piece: Piece) -> Take:
            return _Slices(_read(file, piece, size)).take

        return gather(files, pieces, size, take, pyarrow().concat_tables)

    def dicts(self, rows: Any) -> list[dict[str, Any]]:
        """The batch as `batch_format = "rows"` gives it to the handler: Python values."""
        return list(rows.to_pylist())

    def columns(self, rows: Any) -> dict[str, Any]:
        """The batch as `batch_format = "columns"` gives it: NumPy arrays, objects where Arrow needs them."""
        return {name: rows.column(name).to_numpy() for name in rows.column_names}

    def arrow(self, rows: Any) -> Any:
        """The batch as `batch_format = "arrow"` gives it."""
        return rows


def _read(file: PlannedFile, piece: Piece, size: int) -> Iterator[Any]:
    pa = pyarrow()
    with unchanged(file), opened(file) as source:
        groups, skip = _groups(source.metadata, piece["row"], piece["rows"])
        left = piece["rows"]
        for record in _records(source, size, groups, by_group=is_remote(file["path"])):
            table = pa.Table.from_batches([record]).slice(skip, left)
            skip = max(0, skip - record.num_rows)
            left -= table.num_rows
            if table.num_rows:
                yield table
            if not left:
                break


def _records(source: Any, size: int, groups: list[int], *, by_group: bool) -> Iterator[Any]:
    """Record batches of the row groups. `by_group` holds one row group in memory and no more: what is fetched
    beforehand is all that one call is to give."""
    for wanted in [[group] for group in groups] if by_group else [groups]:
        yield from source.iter_batches(batch_size=size, row_groups=wanted)


def _groups(metadata: Any, row: int, rows: int) -> tuple[list[int], int]:
    """The row groups that hold rows `row` to `row + rows`, and how many rows of the first to skip."""
    groups: list[int] = []
    first, skip = 0, 0
    for index in range(metadata.num_row_groups):
        end = first + metadata.row_group(index).num_rows
        if end > row and first < row + rows:
            if not groups:
                skip = row - first
            groups.append(index)
        first = end
    return groups, skip


class _Slices:
    """Tables handed out in slices of the length asked for."""

    def __init__(self, tables: Iterator[Any]) -> None:
        self._tables = tables
        self._rest: Any = ()

    def take(self, rows: int) -> Any:
        """The next 1 to `rows` rows, () at the end."""
        if not len(self._rest):
            self._rest = next(self._tables, ())
        if not len(self._rest):
            return ()
        taken = self._rest.slice(0, rows)
        self._rest = self._rest.slice(len(taken))
        return taken
