"""Parts of Parquet: written in row groups of a good size, under one schema."""

from __future__ import annotations

import os
from typing import Any

from .errors import InputError
from .files import remove
from .needs import parquet, pyarrow
from .results import PREDICTION, Results, as_list, check_names, differing, result_names
from .values import plain

# Rows are gathered into row groups of about this many rows or bytes: one a batch would make files slow to
# read.
GROUP_ROWS = 65536
GROUP_BYTES = 64 * 1024 * 1024


class ParquetPart:
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
