"""Rows of CSV: Python's own dialect (comma, double quote, doubled to escape), UTF-8, a header in every file.

Values are `str`, in every batch format: in "columns" a handler converts them with `.astype(float)`.
"""

from __future__ import annotations

import csv
import io
from itertools import islice
from typing import Any, Iterator, Sequence

from .batches import Batch, Take, gather, joined_lists
from .borders import Piece
from .csvscan import LONGEST_FIELD
from .errors import InputError
from .needs import numpy, pyarrow
from .results import PREDICTION, Results, as_list, check_names, differing, result_names
from .sources import PlannedFile, open_plain, open_planned, readable, unchanged
from .values import csv_values

csv.field_size_limit(LONGEST_FIELD)


class CsvRows:
    """The table side of a batch: its rows are lists of texts."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)

    def batches(self, files: Sequence[PlannedFile], pieces: Sequence[Piece], size: int) -> Iterator[Batch]:
        """The rows of the pieces. Raises InputError when a file is no longer the planned one."""
        return gather(files, pieces, size, _opened, joined_lists)

    def dicts(self, rows: list[list[str]]) -> list[dict[str, Any]]:
        """The batch as `batch_format = "rows"` gives it to the handler."""
        columns = self._columns
        return [dict(zip(columns, row)) for row in rows]

    def columns(self, rows: list[list[str]]) -> dict[str, Any]:
        """The batch as `batch_format = "columns"` gives it: NumPy arrays of texts."""
        np = numpy()
        return {name: np.array(values) for name, values in zip(self._columns, zip(*rows))}

    def arrow(self, rows: list[list[str]]) -> Any:
        """The batch as `batch_format = "arrow"` gives it: a pyarrow.Table of string columns."""
        pa = pyarrow()
        arrays = [pa.array(values, pa.string()) for values in zip(*rows)]
        return pa.Table.from_arrays(arrays, names=self._columns)


def _opened(file: PlannedFile, piece: Piece) -> Take:
    rows = _read(file, piece)
    return lambda count: list(islice(rows, count))


def _read(file: PlannedFile, piece: Piece) -> Iterator[list[str]]:
    # The plan has parsed every row: no row is checked twice, and all that follows runs in C.
    with unchanged(file), readable(file["name"]), open_planned(file, piece["end"]) as stream:
        stream.seek(piece["start"])
        with io.TextIOWrapper(stream, encoding="utf-8", newline="\n") as text:
            yield from islice(filter(None, csv.reader(text)), piece["rows"])


class CsvPart:
    """One part being written: the input's columns and the results, LF after each row, always a header."""

    def __init__(self, path: str, compression: str, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._names: list[str] | None = None
        self._stream = open_plain(path, compression, "wb")

    def write(self, rows: list[list[str]], results: Results) -> None:
        """Append a batch.

        Raises InputError when a result takes an input column's name or names differ by row.
        """
        names = result_names(results)
        if self._names is None:
            check_names(names, self._columns)
            self._begin(names)
        elif set(names) != set(self._names):
            raise differing(self._names, names)
        self._emit(_joined(rows, results, self._names or []))

    def _begin(self, names: list[str]) -> None:
        self._names = names
        self._emit([[*self._columns, *names]])

    def _emit(self, rows: list[list[Any]]) -> None:
        try:
            self._stream.write(csv_text(rows).encode("utf-8"))
        except UnicodeEncodeError as error:
            text = error.object[error.start : error.end]
            raise InputError(f"a result holds {text!a}, which UTF-8 cannot; return valid text") from None

    def close(self) -> list[str]:
        """Finish the file; gives its columns. Without rows the result column is `prediction`."""
        if self._names is None:
            self._begin([PREDICTION])
        self._stream.close()
        return [*self._columns, *(self._names or [])]

    def discard(self) -> None:
        """Close the file, unfinished."""
        self._stream.close()


def csv_text(rows: list[list[Any]]) -> str:
    """Rows as CSV text that ends in LF."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    text = buffer.getvalue()
    if "\r" in text:
        # With this line end, Python before 3.13 leaves a lone CR unquoted, and then cannot read it back.
        buffer = io.StringIO(newline="")
        csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
        text = buffer.getvalue()
    return text


def _joined(rows: list[list[str]], results: Results, names: list[str]) -> list[list[Any]]:
    if isinstance(results, dict):
        columns = [csv_values(as_list(results[name])) for name in names]
    else:
        # The names are the keys' texts, and every row has the same keys.
        keys = {str(key): key for key in results[0]}
        columns = [csv_values([row[keys[name]] for row in results]) for name in names]
    if len(columns) == 1:
        return [[*row, value] for row, value in zip(rows, columns[0])]
    if not columns:
        return rows
    return [[*row, *values] for row, values in zip(rows, zip(*columns))]
