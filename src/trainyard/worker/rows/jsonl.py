"""Rows of JSON Lines: one object a line, UTF-8, blank lines ignored.

The input's text goes to the output as it came. NaN and infinities, which are not JSON, reach the handler as
floats and the output as null.
"""

from __future__ import annotations

import io
import json
from types import MappingProxyType
from typing import IO, Any, Iterator, Mapping, NamedTuple, Sequence

from ..errors import InputError, OutputError
from . import partitions
from .batches import Batch
from .inputs import PlannedFile, open_plain, open_planned, readable, unchanged
from .jsontypes import MOST_NAMES, Kinds, array, arrow_array
from .libraries import pyarrow
from .parts import Count, Rewrite
from .results import Results, check_names
from .splits import Extent, Offer, Options, Piece, Shape, Survey
from .text import BOM, survey_text, text_batches
from .values import json_text, json_texts, text_list, utf8


class JsonRow(NamedTuple):
    """A row: its text as it is written out, the names in it, and what the handler gets."""

    text: str
    names: Sequence[str]
    value: dict[str, Any]


def survey(files: Sequence[PlannedFile], shards: int, options: Options) -> Survey:
    """See `formats.Format`. Every row has names of its own; where types matter, each row is parsed."""
    kinds = Kinds() if options.wants_types else None
    constants = partitions.typed(files)
    names = {file["name"]: index for index, file in enumerate(files)}

    def scan_file(stream: IO[bytes], name: str, offer: Offer) -> Extent:
        return scan(stream, name, offer, kinds, constants[names[name]])

    extents, splits = survey_text(files, shards, scan_file)
    shape = Shape(columns=None, constants=constants, types=None if kinds is None else kinds.found())
    return Survey(shape, extents, splits, [])


def reader(shape: Shape) -> JsonReader:
    """See `formats.Format`."""
    return JsonReader(shape)


def writer(path: str, compression: str, shape: Shape) -> JsonWriter:
    """See `formats.Format`."""
    return JsonWriter(path, compression)


def count(path: str, compression: str, name: str, shape: Shape) -> Count:
    """See `formats.Format`."""
    rows = 0
    with io.TextIOWrapper(open_plain(path, compression), encoding="utf-8", newline="\n") as text:
        for line in text:
            rows += 1
            if not line.endswith("\n") or not isinstance(json.loads(line), dict):
                raise OutputError(f"{name} line {rows} is not a JSON object; run it again")
    return Count(rows, None)


def unify(parts: Sequence[Count], compression: str, shape: Shape) -> dict[int, Rewrite]:
    """See `formats.Format`. Nothing: every row has names of its own."""
    return {}


def scan(
    stream: IO[bytes],
    name: str,
    offer: Offer,
    kinds: Kinds | None = None,
    constants: Mapping[str, partitions.Constant] = MappingProxyType({}),
) -> Extent:
    """Count the lines that are not blank, offering their splits; nothing is parsed but for `kinds`."""
    start = len(BOM) if stream.read(len(BOM)) == BOM else 0
    stream.seek(start)
    rows, line, byte = 0, 1, start
    due = offer(0, byte, line)
    for text in stream:
        line += 1
        byte += len(text)
        if text.isspace():
            continue
        if kinds is not None:
            kinds.see(_parsed(text, name, line - 1, constants).value)
        rows += 1
        if rows == due:
            due = offer(rows, byte, line)
    return Extent(rows, start, 1, byte)


class JsonReader:
    """Batches whose rows are JsonRow."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._types = shape["types"]
        self._files: Sequence[PlannedFile] = ()

    def batches(self, files: Sequence[PlannedFile], pieces: Sequence[Piece], size: int) -> Iterator[Batch]:
        """The rows of the pieces. Raises InputError, with the line, for one that is not a JSON object."""
        self._files = files
        constants = {file["name"]: each for file, each in zip(files, self._shape["constants"])}

        def read(file: PlannedFile, piece: Piece) -> Iterator[JsonRow]:
            return _read(file, piece, constants[file["name"]])

        return text_batches(files, pieces, size, read)

    def dicts(self, rows: list[JsonRow]) -> list[dict[str, Any]]:
        """The batch as `batch_format = "rows"` gives it to the handler."""
        return [row.value for row in rows]

    def columns(self, rows: list[JsonRow]) -> dict[str, Any]:
        """The batch as `batch_format = "columns"` gives it: NumPy arrays under every key of the input.

        One type throughout the input: bool, int64 or float64 (null: NaN) where all values are such, else
        objects; a missing key is None.
        """
        return {
            name: array([row.value.get(name) for row in rows], kinds) for name, kinds in self._kinds().items()
        }

    def arrow(self, rows: list[JsonRow]) -> Any:
        """The batch as `batch_format = "arrow"` gives it: a pyarrow.Table; a missing key is null.

        One type throughout the input, but for what is nested.
        """
        pa = pyarrow()
        arrays = {}
        for name, kinds in self._kinds().items():
            values = [row.value.get(name) for row in rows]
            try:
                arrays[name] = arrow_array(values, kinds)
            except (pa.ArrowException, ValueError, OverflowError) as error:
                cure = 'use batch_format = "rows" or "columns"'
                raise InputError(f"column {name!r} is of no one type of Arrow's ({error}); {cure}") from None
        return pa.table(arrays)

    def _kinds(self) -> dict[str, list[str]]:
        if self._types is None:
            # Nothing in the handler's text said that it takes columns.
            self._types = survey(self._files, 1, Options(wants_types=True)).shape["types"]
        if self._types is None:
            raise InputError(f'the rows have more than {MOST_NAMES} keys; use batch_format = "rows"')
        return self._types


def _read(file: PlannedFile, piece: Piece, constants: Mapping[str, partitions.Constant]) -> Iterator[JsonRow]:
    left = piece["rows"]
    with unchanged(file), readable(file["name"]), open_planned(file, piece["end"]) as stream:
        stream.seek(piece["start"])
        for number, line in enumerate(stream, piece["line"]):
            if line.isspace():
                continue
            yield _parsed(line, file["name"], number, constants)
            left -= 1
            if not left:
                break


def _parsed(line: bytes, name: str, number: int, partition: Mapping[str, partitions.Constant]) -> JsonRow:
    constants: list[str] = []
    try:
        text = line.decode("utf-8").strip()
        value = json.loads(text) if not _may_hold_constant(text) else _loads(text, constants)
    except UnicodeDecodeError:
        raise InputError(f"{name} line {number}: not UTF-8; save the file as UTF-8") from None
    except ValueError as error:
        what = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise InputError(f"{name} line {number}: not JSON ({what}); write one object a line") from None
    except RecursionError:
        raise InputError(f"{name} line {number}: nested too deep; write flatter objects") from None
    if type(value) is not dict:
        raise InputError(
            f"{name} line {number}: a JSON {_kind(value)} where an object is needed; write {{...}}"
        )
    if constants:
        text = json_text(value)
    if partition:
        # Keys of the row's own have precedence, and its text stays as it is.
        added = {key: item for key, item in partition.items() if key not in value}
        text = _spliced(text, bool(value), json_text(added)).rstrip("\n")
        value.update(added)
    return JsonRow(text, tuple(value), value)


def _may_hold_constant(text: str) -> bool:
    return "NaN" in text or "Infinity" in text


def _loads(text: str, constants: list[str]) -> Any:
    def note(constant: str) -> float:
        constants.append(constant)
        return float(constant)

    return json.loads(text, parse_constant=note)


def _kind(value: Any) -> str:
    kinds = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")


class JsonWriter:
    """One part being written: each input line with its results as further keys."""

    def __init__(self, path: str, compression: str) -> None:
        self._stream = open_plain(path, compression, "wb")

    def write(self, batch: Batch, results: Results) -> None:
        """Append a batch. Raises InputError when a result has the name of a key of its row."""
        objects = _objects(results)
        rows: list[JsonRow] = batch.rows
        for row, result in zip(rows, objects):
            if not result.keys().isdisjoint(row.names):
                check_names(list(result), row.names)
        texts = json_texts(objects)
        lines = [_spliced(row.text, bool(row.names), text) for row, text in zip(rows, texts)]
        self._stream.write(utf8("".join(lines)))

    def close(self) -> None:
        """Finish the file."""
        self._stream.close()

    def discard(self) -> None:
        """Close the file, unfinished."""
        self._stream.close()


def _objects(results: Results) -> Sequence[Mapping[str, Any]]:
    if isinstance(results, dict):
        columns = [text_list(column) for column in results.values()]
        return [dict(zip(results, values)) for values in zip(*columns)]
    if all(type(key) is str for result in results for key in result):
        return results
    return [{str(key): value for key, value in result.items()} for result in results]


def _spliced(row: str, has_keys: bool, added: str) -> str:
    if len(added) == 2:
        return f"{row}\n"
    comma = ", " if has_keys else ""
    return f"{row[:-1]}{comma}{added[1:]}\n"
