"""Rows of Parquet, through pyarrow; batches are pyarrow tables of one schema, whatever file they are from."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from typing import Any, Iterator, NamedTuple, Sequence

from ..errors import InputError
from ..storage.places import is_remote, open_object, over
from . import partitions
from .arrowtypes import Misfit, conform, leaves, unify_schemas
from .arrowvalues import Views
from .batches import Batch, Take, gather
from .inputs import PlannedFile, readable, unchanged
from .libraries import parquet, pyarrow
from .parquetparts import ParquetWriter, count, unify
from .splits import Extent, Options, Piece, Shape, Split, Survey

__all__ = ["count", "reader", "survey", "unify", "writer"]


class Footer(NamedTuple):
    """What the footer of a file says: schema, rows, the columns whose integers or booleans may be null."""

    schema: Any
    rows: int
    nulls: set[str]


def survey(files: Sequence[PlannedFile], shards: int, options: Options) -> Survey:
    """See `formats.Format`. One of several files may have no byte. Types that differ are brought into one."""

    def footer(index: int) -> Footer | None:
        is_empty = files[index]["size"] == 0 and len(files) > 1
        return None if is_empty else scan(files[index])

    footers = list(over(footer, [0] * len(files), files[0]["path"]))
    whole = [(file, each) for file, each in zip(files, footers) if each is not None]
    if not whole:
        raise InputError(f"{files[0]['name']}: every file is empty; write Parquet files with a schema")
    # Files without rows have no values that a type could fail to hold.
    found = [(file, each) for file, each in whole if each.rows] or whole

    def refuse(index: int, field: Any, known: Any) -> InputError:
        return InputError(
            f"{found[index][0]['name']}: column {field.name!r} is {field.type}, and {known.type} in files "
            "before it; give every file the same columns"
        )

    own = unify_schemas([each.schema for _, each in found], refuse)
    schema, constants = _with_partitions(own, files)
    counts = [0 if each is None else each.rows for each in footers]
    shape = Shape(
        columns=list(schema.names),
        schema=base64.b64encode(schema.serialize().to_pybytes()).decode("ascii"),
        constants=constants,
        objects=_with_nulls(schema, found, constants),
    )
    return Survey(
        shape, [Extent(rows, 0, 0, 0) for rows in counts], _even(counts, shards), _lacking(own, found)
    )


def _with_partitions(own: Any, files: Sequence[PlannedFile]) -> tuple[Any, list[dict[str, Any]]]:
    """The schema with the partitions that no file has as a column, and their values in each file."""
    pa = pyarrow()
    constants = partitions.typed(files)
    names = [name for name in constants[0] if name not in own.names]
    for name in names:
        is_text = any(isinstance(each[name], str) for each in constants)
        own = own.append(pa.field(name, pa.string() if is_text else pa.int32()))
    return own, [{name: each[name] for name in names} for each in constants]


def _with_nulls(
    schema: Any, found: Sequence[tuple[PlannedFile, Footer]], constants: Sequence[dict[str, Any]]
) -> list[str]:
    """The columns of integers or booleans in which a null may stand: no type of NumPy's holds them all."""
    lacking = {name for _, each in found for name in each.nulls.union(_absent(schema, each))}
    null = {name for each in constants for name, value in each.items() if value is None}
    known = {name for each in constants for name in each}
    return [
        field.name
        for field in schema
        if field.name in (null if field.name in known else lacking)
        and any(map(_is_exact, leaves(field.type)))
    ]


def _absent(schema: Any, footer: Footer) -> set[str]:
    return set(schema.names).difference(footer.schema.names)


def _lacking(schema: Any, found: Sequence[tuple[PlannedFile, Footer]]) -> list[str]:
    for file, each in found:
        absent = sorted(_absent(schema, each))
        if absent:
            return [f"{file['name']} has no column {absent[0]!r}, which other files have: null in its rows"]
    return []


def _is_exact(kind: Any) -> bool:
    types = pyarrow().types
    return bool(types.is_integer(kind) or types.is_boolean(kind))


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


def reader(shape: Shape) -> ParquetReader:
    """See `formats.Format`."""
    return ParquetReader(shape)


def writer(path: str, compression: str, shape: Shape) -> ParquetWriter:
    """See `formats.Format`."""
    return ParquetWriter(path, _schema(shape))


def _schema(shape: Shape) -> Any:
    pa = pyarrow()
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(shape["schema"])))


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
    if not is_remote(file["path"]):
        with _opened(file["path"]) as source:
            yield source
        return
    # Columns that lie side by side come by one request, which is then several ranges in parallel.
    stream = open_object(file["path"], file["size"], file["etag"], ahead=False)
    with stream, _opened(stream, pre_buffer=True) as source:
        yield source


def _opened(source: Any, **options: Any) -> Any:
    # Spark's 96 bits reach to the year 9999, where nanoseconds end in 2262 and begin anew without a word.
    return parquet().ParquetFile(source, coerce_int96_timestamp_unit="us", **options)


def scan(file: PlannedFile) -> Footer:
    """What the footer says. Raises InputError for two columns of one name."""
    name = file["name"]
    with opened(file) as source:
        schema, rows = source.schema_arrow, int(source.metadata.num_rows)
        nulls = _nulls(schema, source) if rows else set()
    for index, column in enumerate(schema.names):
        if schema.names.index(column) != index:
            raise InputError(f"{name}: two columns are named {column!r}; give each a name of its own")
    return Footer(schema, rows, nulls)


def _nulls(schema: Any, source: Any) -> set[str]:
    """The columns in whose integers and booleans a null may stand, for all that statistics say."""
    found: set[str] = set()
    number = 0
    for field in schema:
        for kind in leaves(field.type):
            if (_is_exact(kind) or pyarrow().types.is_null(kind)) and field.name not in found:
                is_complete = number >= source.metadata.num_columns or _is_complete(source, number)
                found.update(() if is_complete and not pyarrow().types.is_null(kind) else (field.name,))
            number += 1
    return found


def _is_complete(source: Any, number: int) -> bool:
    """Whether no null stands in a column."""
    if source.schema.column(number).max_definition_level == 0:
        return True
    for group in range(source.metadata.num_row_groups):
        statistics = source.metadata.row_group(group).column(number).statistics
        if statistics is None or not statistics.has_null_count or statistics.null_count:
            return False
    return True


class ParquetReader:
    """Batches whose rows are a pyarrow.Table."""

    def __init__(self, shape: Shape) -> None:
        self._schema = _schema(shape)
        self._constants = shape["constants"]
        self._views = Views(self._schema, frozenset(shape["objects"]))

    def batches(self, files: Sequence[PlannedFile], pieces: Sequence[Piece], size: int) -> Iterator[Batch]:
        """The rows of the pieces. Raises InputError when a file is no longer the planned one, and for a value
        that has no place in the type which its column has in all files together."""
        constants = {file["name"]: each for file, each in zip(files, self._constants)}

        def take(file: PlannedFile, piece: Piece) -> Take:
            return _Slices(self._read(file, piece, size, constants[file["name"]])).take

        return gather(files, pieces, size, take, pyarrow().concat_tables)

    def dicts(self, rows: Any) -> list[dict[str, Any]]:
        """The batch as `batch_format = "rows"` gives it to the handler: Python values."""
        return self._views.dicts(rows)

    def columns(self, rows: Any) -> dict[str, Any]:
        """The batch as `batch_format = "columns"` gives it: NumPy arrays, each of one type in all batches."""
        return self._views.columns(rows)

    def arrow(self, rows: Any) -> Any:
        """The batch as `batch_format = "arrow"` gives it, of one schema throughout the input."""
        return rows

    def _read(self, file: PlannedFile, piece: Piece, size: int, constants: dict[str, Any]) -> Iterator[Any]:
        row = piece["row"]
        for table in _tables(file, piece, size):
            for name, value in constants.items():
                field = self._schema.field(name)
                column = pyarrow().array([value], field.type).take(pyarrow().array([0] * len(table)))
                table = table.append_column(field, column)
            try:
                yield conform(table, self._schema)
            except Misfit as error:
                place = f"{file['name']} row {row + error.index + 1}"
                raise InputError(f"{place}: {error}; write one type in all files") from None
            row += len(table)


def _tables(file: PlannedFile, piece: Piece, size: int) -> Iterator[Any]:
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
