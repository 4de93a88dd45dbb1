"""Rows of JSON Lines: one object a line, UTF-8, blank lines ignored.

The input's text goes to the output as it came. NaN and infinities, which are not JSON, reach the handler as
floats and the output as null.
"""

from __future__ import annotations

import io
import json
from typing import IO, Any, Iterator, Mapping, NamedTuple, Sequence

from ..errors import InputError, OutputError
from .batches import Batch
from .inputs import PlannedFile, open_plain, open_planned, readable, unchanged
from .libraries import numpy, pyarrow
from .parts import Count, Rewrite
from .results import Results, as_list, check_names
from .splits import Extent, Offer, Piece, Survey
from .text import BOM, survey_text, text_batches
from .values import json_text, json_texts, utf8


class JsonRow(NamedTuple):
    """A row: its text as it is written out, the names in it, and what the handler gets."""

    text: str
    names: Sequence[str]
    value: dict[str, Any]


def survey(files: Sequence[PlannedFile], shards: int) -> Survey:
    """See `formats.Format`. Every row has names of its own."""
    return survey_text(files, shards, scan)


def reader(columns: Sequence[str]) -> JsonReader:
    """See `formats.Format`."""
    return JsonReader()


def writer(path: str, compression: str, columns: Sequence[str], files: Sequence[PlannedFile]) -> JsonWriter:
    """See `formats.Format`."""
    return JsonWriter(path, compression)


def count(path: str, compression: str, name: str) -> Count:
    """See `formats.Format`."""
    rows = 0
    with io.TextIOWrapper(open_plain(path, compression), encoding="utf-8", newline="\n") as text:
        for line in text:
            rows += 1
            if not line.endswith("\n") or not isinstance(json.loads(line), dict):
                raise OutputError(f"{name} line {rows} is not a JSON object; run it again")
    return Count(rows, None)


def unify(parts: Sequence[Count], compression: str) -> dict[int, Rewrite]:
    """See `formats.Format`. Nothing: every row has names of its own."""
    return {}


def scan(stream: IO[bytes], name: str, offer: Offer) -> Extent:
    """Count the lines that are not blank, offering their splits; nothing is parsed."""
    start = len(BOM) if stream.read(len(BOM)) == BOM else 0
    stream.seek(start)
    rows, line, byte = 0, 1, start
    due = offer(0, byte, line)
    for text in stream:
        line += 1
        byte += len(text)
        if text.isspace():
            continue
        rows += 1
        if rows == due:
            due = offer(rows, byte, line)
    return Extent(rows, start, 1, byte)


class JsonReader:
    """Batches whose rows are JsonRow."""

    def batches(self, files: Sequence[PlannedFile], pieces: Sequence[Piece], size: int) -> Iterator[Batch]:
        """The rows of the pieces. Raises InputError, with the line, for one that is not a JSON object."""
        return text_batches(files, pieces, size, _read)

    def dicts(self, rows: list[JsonRow]) -> list[dict[str, Any]]:
        """The batch as `batch_format = "rows"` gives it to the handler."""
        return [row.value for row in rows]

    def columns(self, rows: list[JsonRow]) -> dict[str, Any]:
        """The batch as `batch_format = "columns"` gives it: NumPy arrays under every key of the batch.

        bool, int64, float64 or texts where all values are such, else objects; a missing key is None.
        """
        return {name: _array(values) for name, values in _by_name(rows)}

    def arrow(self, rows: list[JsonRow]) -> Any:
        """The batch as `batch_format = "arrow"` gives it: a pyarrow.Table; a missing key is null."""
        pa = pyarrow()
        arrays = {}
        for name, values in _by_name(rows):
            try:
                arrays[name] = pa.array(values)
            except (pa.ArrowException, OverflowError) as error:
                raise InputError(f"column {name!r} has values of more than one type ({error})") from None
        return pa.table(arrays)


def _read(file: PlannedFile, piece: Piece) -> Iterator[JsonRow]:
    left = piece["rows"]
    with unchanged(file), readable(file["name"]), open_planned(file, piece["end"]) as stream:
        stream.seek(piece["start"])
        for number, line in enumerate(stream, piece["line"]):
            if line.isspace():
                continue
            yield _parsed(line, file["name"], number)
            left -= 1
            if not left:
                break


def _parsed(line: bytes, name: str, number: int) -> JsonRow:
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
    return JsonRow(json_text(value) if constants else text, tuple(value), value)


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


def _by_name(rows: list[JsonRow]) -> Iterator[tuple[str, list[Any]]]:
    names = dict.fromkeys(name for row in rows for name in row.names)
    for name in names:
        yield name, [row.value.get(name) for row in rows]


def _array(values: list[Any]) -> Any:
    np = numpy()
    kinds = set(map(type, values))
    if len(kinds) == 1 and kinds <= {bool, float, str}:
        return np.array(values)
    if kinds <= {int, float} and all(-(2**63) <= value < 2**63 for value in values if type(value) is int):
        return np.array(values)
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return objects


class JsonWriter:
    """One part being written: each input line with its results as further keys."""

    def __init__(self, path: str, compression: str) -> None:
        self._stream = open_plain(path, compression, "wb")

    def write(self, rows: list[JsonRow], results: Results) -> None:
        """Append a batch. Raises InputError when a result has the name of a key of its row."""
        objects = _objects(results)
        for row, result in zip(rows, objects):
            if not result.keys().isdisjoint(row.names):
                check_names(list(result), row.names)
        lines = [_spliced(row, text) for row, text in zip(rows, json_texts(objects))]
        self._stream.write(utf8("".join(lines)))

    def close(self) -> None:
        """Finish the file."""
        self._stream.close()

    def discard(self) -> None:
        """Close the file, unfinished."""
        self._stream.close()


def _objects(results: Results) -> Sequence[Mapping[str, Any]]:
    if isinstance(results, dict):
        columns = [as_list(column) for column in results.values()]
        return [dict(zip(results, values)) for values in zip(*columns)]
    if all(type(key) is str for result in results for key in result):
        return results
    return [{str(key): value for key, value in result.items()} for result in results]


def _spliced(row: JsonRow, text: str) -> str:
    if len(text) == 2:
        return f"{row.text}\n"
    comma = ", " if row.names else ""
    return f"{row.text[:-1]}{comma}{text[1:]}\n"
