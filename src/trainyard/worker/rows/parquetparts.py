"""Parts of Parquet: written with row groups of a good size, counted, and brought under one schema."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Any, Iterator, Sequence

from ..errors import InputError
from ..storage.files import remove
from .arrowtypes import Misfit, conform, difference, first_misfit, unify_schemas
from .batches import Batch
from .libraries import numpy, parquet, pyarrow
from .parts import Count, Rewrite
from .results import PREDICTION, Results, are_moments, as_list, check_names, differing, result_names
from .splits import Shape
from .values import plain

# Rows are gathered into row groups of about this many rows or bytes: one a batch would make files slow to
# read.
GROUP_ROWS = 65536
GROUP_BYTES = 64 * 1024 * 1024
_COARSE = {"M": ("Y", "M", "W", "h", "m"), "m": ("W", "D", "h", "m")}


def count(path: str, compression: str, name: str, shape: Shape) -> Count:
    """See `formats.Format`."""
    with parquet().ParquetFile(path) as file:
        return Count(file.metadata.num_rows, file.schema_arrow)


def unify(parts: Sequence[Count], compression: str, shape: Shape) -> dict[int, Rewrite]:
    """See `formats.Format`. Parts with rows must have the same names, whose order is the first's, and types
    with one in common; all take it."""
    filled = [shard for shard, part in enumerate(parts) if part.rows]
    if not filled:
        return {}
    schemas = [parts[shard].shape for shard in filled]

    def differing_in(index: int, what: str) -> InputError:
        shards = f"shards {filled[index]} and {filled[0]} differ"
        return InputError(f"{shards}: {what}; return the same names and types in every shard")

    def refuse(index: int, field: Any, known: Any) -> InputError:
        return differing_in(index, f"column {field.name!r} is {field.type} and {known.type}")

    for index, schema in enumerate(schemas):
        if sorted(schema.names) != sorted(schemas[0].names):
            raise differing_in(index, difference(schema, schemas[0]))
    schema = unify_schemas(schemas, refuse).with_metadata(schemas[0].metadata)
    return {
        shard: _rewriter(shard, part.rows, schema)
        for shard, part in enumerate(parts)
        if difference(part.shape, schema)
    }


def _rewriter(shard: int, rows: int, schema: Any) -> Rewrite:
    def rewrite(old: str, new: str) -> None:
        # A part without rows may lack the columns of the others: there is nothing in it to cast.
        try:
            with _writing(new, schema) as writer:
                if rows:
                    _copy(old, writer, schema)
        except Misfit as error:
            raise InputError(
                f"shard {shard}, its row {error.index + 1}: {error}; return one type in every shard"
            ) from None

    return rewrite


@contextmanager
def _writing(path: str, schema: Any) -> Iterator[Any]:
    writer = _open(path, schema)
    try:
        yield writer
    finally:
        writer.close()


def _open(path: str, schema: Any) -> Any:
    try:
        return parquet().ParquetWriter(path, schema)
    except (pyarrow().ArrowException, NotImplementedError) as error:
        raise InputError(f"the results do not fit into Parquet ({error}); return other ones") from None


def _copy(source: str, writer: Any, schema: Any) -> None:
    row = 0
    with parquet().ParquetFile(source) as file:
        for record in file.iter_batches(batch_size=GROUP_ROWS):
            try:
                table = conform(pyarrow().Table.from_batches([record]), schema)
            except Misfit as error:
                error.index += row
                raise
            writer.write_table(table)
            row += len(table)


class ParquetWriter:
    """One part being written.

    The input's columns come out as they came. Those of the results take the type that all have in common.
    """

    def __init__(self, path: str, schema: Any) -> None:
        self._path = path
        self._input = schema
        self._schema: Any = None
        self._writer: Any = None
        self._pending: list[Any] = []
        self._rows = 0
        self._bytes = 0

    def write(self, batch: Batch, results: Results) -> None:
        """Append a batch. Raises InputError, with the row, for results whose names or types do not fit."""
        names = result_names(results)
        table = batch.rows
        if self._schema is None:
            check_names(names, table.column_names)
        elif set(names) != set(self._result_names()):
            raise differing(self._result_names(), names)
        for name in names:
            table = table.append_column(name, _arrow_column(batch, results, name))
        if self._schema is not None:
            table = table.select(self._schema.names)
        self._adopt(table, batch)
        try:
            self._append(conform(table, self._schema))
        except Misfit as error:
            raise InputError(f"{batch.place(error.index)}: {error}; return one type throughout") from None

    def _result_names(self) -> list[str]:
        return list(self._schema.names[len(self._input.names) :])

    def _append(self, table: Any) -> None:
        self._pending.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def _adopt(self, table: Any, batch: Batch) -> None:
        """Take the schema of the first batch; later, what the results so far and these have in common."""
        if self._schema is None:
            self._schema = table.schema
        if table.schema.equals(self._schema):
            return

        def refuse(_: int, field: Any, known: Any) -> InputError:
            return InputError(
                f"{batch.place(_first_value(table.column(field.name)))}: the result {field.name!r} is "
                f"{field.type} here and {known.type} in earlier rows; return one type throughout"
            )

        wider = unify_schemas([self._schema, table.schema], refuse).with_metadata(self._schema.metadata)
        if difference(wider, self._schema):
            self._widen(wider, batch)

    def _widen(self, schema: Any, batch: Batch) -> None:
        self._schema = schema
        try:
            self._pending = [conform(table, schema) for table in self._pending]
            if self._writer is not None:
                self._rewrite()
        except Misfit as error:
            raise InputError(f"{batch.origin}: the result {error}; return one type throughout") from None

    def _rewrite(self) -> None:
        written = f"{self._path}-narrow"
        self._writer.close()
        os.replace(self._path, written)
        self._writer = _open(self._path, self._schema)
        _copy(written, self._writer, self._schema)
        remove(written)

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = _open(self._path, self._schema)
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


def _native(column: Any, name: str, batch: Batch) -> Any:
    try:
        return pyarrow().array(column)
    except (pyarrow().ArrowException, NotImplementedError):
        raise InputError(
            f"{batch.origin}: the results {name!r} are an array of {column.dtype}, which Parquet has no type "
            "for; return numbers or texts"
        ) from None


def _in_seconds(column: Any) -> Any:
    """Moments that Arrow has no unit for in seconds, which hold them."""
    kind = column.dtype.kind
    if kind in "Mm" and numpy().datetime_data(column.dtype)[0] in _COARSE[kind]:
        return column.astype(f"{kind}8[s]")
    return column


def _first_value(column: Any) -> int:
    return next((index for index, value in enumerate(column.is_valid().to_pylist()) if value), 0)


def _arrow_column(batch: Batch, results: Results, name: str) -> Any:
    """The results under one name as an Arrow array."""
    pa = pyarrow()
    if isinstance(results, dict):
        column = results[name]
        if isinstance(column, (pa.Array, pa.ChunkedArray)):
            return column
        if are_moments(column):
            column = _in_seconds(numpy().asarray(column))
        if type(column).__module__ == "numpy" and column.ndim == 1 and column.dtype.kind not in "OV":
            return _native(column, name, batch)
        values = as_list(column)
    else:
        # Names are the texts of the keys, which every row has alike.
        key = next(key for key in results[0] if str(key) == name)
        values = [row[key] for row in results]
    values = [plain(value) for value in values]
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError) as error:
        place = batch.place(first_misfit(values, pa.array))
        problem = f"the results {name!r} are of more than one type ({error}); return one type"
        if isinstance(error, OverflowError):
            problem = f"the result {name!r} is an integer beyond 64 bits; return it as a text or a float"
        raise InputError(f"{place}: {problem}") from None
