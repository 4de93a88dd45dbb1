"""Rows of Parquet, through pyarrow; batches are pyarrow tables, and parts have row groups of a good size."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Any, Iterator, Sequence

from ..errors import InputError
from ..storage.files import remove
from ..storage.places import is_remote, open_object, over
from .batches import Batch, Take, gather
from .inputs import PlannedFile, readable, unchanged
from .libraries import parquet, pyarrow
from .parts import Count, Rewrite
from .results import PREDICTION, Results, as_list, check_names, differing, result_names
from .splits import Extent, Piece, Split, Survey
from .values import plain

# Rows are gathered into row groups of about this many rows or bytes: one a batch would make files slow to
# read.
GROUP_ROWS = 65536
GROUP_BYTES = 64 * 1024 * 1024


def survey(files: Sequence[PlannedFile], shards: int) -> Survey:
    """See `formats.Format`. One of several files may have no byte."""

    def scan_file(index: int) -> tuple[Any, int]:
        is_empty = files[index]["size"] == 0 and len(files) > 1
        return (None, 0) if is_empty else scan(files[index])

    schema, first = None, ""
    counts = []
    for file, (found, rows) in zip(files, over(scan_file, [0] * len(files), files[0]["path"])):
        counts.append(rows)
        if found is None:
            continue
        if schema is None:
            schema, first = found, file["name"]
        different = difference(found, schema)
        if different:
            raise InputError(
                f"{file['name']} and {first} differ: {different}; give every file the same columns"
            )
    if schema is None:
        raise InputError(f"{files[0]['name']}: every file is empty; write Parquet files with a schema")
    return Survey(list(schema.names), [Extent(rows, 0, 0, 0) for rows in counts], _even(counts, shards))


def _even(counts: Sequence[int], shards: int) -> list[Split]:
    """Splits at equal shares of the rows: Parquet can be entered at any row."""
    total, file, before = sum(counts), 0, 0
    splits = []
    for index in range(1, shards):
        row = index * total // shards
        while file < len(counts) - 1 and row >= before + counts[file]:
            before += counts[file]
            file += 1
        splits.append(Split(row, file, 0, 0))
    return splits


def reader(columns: Sequence[str]) -> ParquetReader:
    """See `formats.Format`."""
    return ParquetReader()


def writer(
    path: str, compression: str, columns: Sequence[str], files: Sequence[PlannedFile]
) -> ParquetWriter:
    """See `formats.Format`. The types of the input's columns are those of its first file."""
    first = next(file for file in files if file["size"])
    return ParquetWriter(path, scan(first)[0])


def count(path: str, compression: str, name: str) -> Count:
    """See `formats.Format`."""
    with parquet().ParquetFile(path) as file:
        return Count(file.metadata.num_rows, file.schema_arrow)


def unify(parts: Sequence[Count], compression: str) -> dict[int, Rewrite]:
    """See `formats.Format`. Parts with rows must have one schema but for columns of nulls; all take it."""
    filled = [shard for shard, part in enumerate(parts) if part.rows]
    if not filled:
        return {}
    schema = parts[filled[0]].shape
    for shard in filled:
        if parts[shard].shape.names == schema.names:
            schema = without_nulls(schema, parts[shard].shape)
    for shard in filled:
        shape = parts[shard].shape
        if shape.names == schema.names:
            shape = without_nulls(shape, schema)
        different = difference(shape, schema)
        if different:
            raise InputError(
                f"shards {shard} and {filled[0]} differ: {different}; return the same names and types "
                "in every shard"
            )
    return {
        shard: _rewriter(part.rows, schema)
        for shard, part in enumerate(parts)
        if difference(part.shape, schema)
    }


def _rewriter(rows: int, schema: Any) -> Rewrite:
    # A part without rows may lack the columns of the others: there is nothing in it to cast.
    return lambda old, new: recast(old if rows else None, new, schema)


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


class ParquetReader:
    """Batches whose rows are a pyarrow.Table."""

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


class ParquetWriter:
    """One part being written.

    The types of the first results rule; a column of nulls takes the first real type.
    """

    def __init__(self, path: str, schema: Any) -> None:
        self._path = path
        self._input = schema
        self._schema: Any = None
        self._writer: Any = None
        self._pending: list[Any] = []
        self._rows = 0
        self._bytes = 0

    def write(self, rows: Any, results: Results) -> None:
        """Append a batch. Raises InputError for results whose names or types do not fit."""
        names = result_names(results)
        if self._schema is None:
            check_names(names, rows.column_names)
        elif set(names) != set(self._result_names()):
            raise differing(self._result_names(), names)
        table = rows
        for name in names:
            table = table.append_column(name, _arrow_column(results, name))
        self._adopt(table.schema)
        self._append(cast_table(table, self._schema))

    def _result_names(self) -> list[str]:
        return list(self._schema.names[len(self._input.names) :])

    def _append(self, table: Any) -> None:
        self._pending.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def _adopt(self, schema: Any) -> None:
        """Take the schema of the first batch; later, the types of columns that held only nulls so far."""
        if self._schema is None:
            self._schema = schema
        wider = without_nulls(self._schema, schema)
        if wider.equals(self._schema):
            return
        self._schema = wider
        self._pending = [cast_table(table, wider) for table in self._pending]
        if self._writer is not None:
            self._rewrite()

    def _rewrite(self) -> None:
        written = f"{self._path}-narrow"
        self._writer.close()
        os.replace(self._path, written)
        self._writer = parquet().ParquetWriter(self._path, self._schema)
        _copy(written, self._writer, self._schema)
        remove(written)

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = parquet().ParquetWriter(self._path, self._schema)
        if self._pending:
            self._writer.write_table(pyarrow().concat_tables(self._pending))
        self._pending, self._rows, self._bytes = [], 0, 0

    def close(self) -> list[str]:
        """Finish the file; gives its columns. Without rows the result column is `prediction`, of nulls."""
        if self._schema is None:
            self._schema = self._input.append(pyarrow().field(PREDICTION, pyarrow().null()))
        self._flush()
        self._writer.close()
        return list(self._schema.names)

    def discard(self) -> None:
        """Close the file, unfinished."""
        if self._writer is not None:
            self._writer.close()


def _arrow_column(results: Results, name: str) -> Any:
    """The results under one name as an Arrow array."""
    pa = pyarrow()
    if isinstance(results, dict):
        column = results[name]
        if isinstance(column, (pa.Array, pa.ChunkedArray)):
            return column
        if type(column).__module__ == "numpy" and column.ndim == 1 and column.dtype.kind != "O":
            return pa.array(column)
        values = as_list(column)
    else:
        # Names are the texts of the keys, which every row has alike.
        key = next(key for key in results[0] if str(key) == name)
        values = [row[key] for row in results]
    try:
        return pa.array([plain(value) for value in values])
    except (pa.ArrowException, OverflowError) as error:
        raise InputError(
            f"the results {name!r} are of more than one type ({error}); return one type"
        ) from None


def without_nulls(schema: Any, other: Any) -> Any:
    """`schema` with the types of `other` where its own type is null."""
    pa = pyarrow()
    for index, field in enumerate(schema):
        if pa.types.is_null(field.type) and not pa.types.is_null(other.field(field.name).type):
            schema = schema.set(index, other.field(field.name))
    return schema


def cast_table(table: Any, schema: Any) -> Any:
    """`table` with the columns and types of `schema`.

    Raises InputError naming the column that does not fit.
    """
    pa = pyarrow()
    table = table.select(schema.names)
    if table.schema.equals(schema):
        return table
    columns = []
    for field in schema:
        column = table.column(field.name)
        try:
            columns.append(column.cast(field.type))
        except (pa.ArrowException, NotImplementedError):
            raise InputError(
                f"column {field.name!r} was {field.type} in the first rows and is {column.type} in "
                "later ones; "
                "return one type throughout"
            ) from None
    return pa.Table.from_arrays(columns, schema=schema)


def recast(source: str | None, target: str, schema: Any) -> None:
    """Write the rows of the Parquet file `source` (None: no rows) to `target` under `schema`."""
    writer = parquet().ParquetWriter(target, schema)
    try:
        if source is not None:
            _copy(source, writer, schema)
    finally:
        writer.close()


def _copy(source: str, writer: Any, schema: Any) -> None:
    with parquet().ParquetFile(source) as file:
        for record in file.iter_batches(batch_size=GROUP_ROWS):
            writer.write_table(cast_table(pyarrow().Table.from_batches([record]), schema))
