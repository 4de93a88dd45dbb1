"""What a handler returns for a batch, checked and brought into one of two shapes."""

from __future__ import annotations

from itertools import chain, islice
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Union

from ..errors import InputError
from .libraries import numpy

PREDICTION = "prediction"

# Columns by name (lists or arrays, one value a row), or a dict for each row.
Results = Union[Dict[str, Any], List[Mapping[Any, Any]]]


def settle(value: Any, rows: int, batch_format: str, where: str) -> Results:
    """The results of a batch of `rows` rows: columns by name, or a dict for each row.

    `value` is any sequence, array, Series or iterable with one result a row; results that are not dicts
    become the column `prediction`. A dict of columns, a DataFrame or an Arrow table is taken as columns when
    the batch was given so. Raises InputError, ending in `where`, when it is none of these or their number is
    not `rows`.
    """
    table = _columns(value, batch_format, where)
    if table is not None:
        for column in table.values():
            _check_count(len(column), rows, where)
        return table
    return _one_a_row(_sequence(value, rows, where), rows, where)


def _columns(value: Any, batch_format: str, where: str) -> dict[str, Any] | None:
    if hasattr(value, "column_names") and hasattr(value, "itercolumns"):
        _check_distinct(value.column_names, where)
        return dict(zip(value.column_names, value.itercolumns()))
    if hasattr(value, "columns") and hasattr(value, "iloc"):
        _check_distinct(value.columns, where)
        return {str(name): value[name] for name in value.columns}
    if not isinstance(value, Mapping):
        return None
    if batch_format == "rows":
        raise InputError(f"predict_fn returned a dict {where}; return a list with one result a row")
    _check_distinct(value, where)
    table = {str(name): _sequence(column, None, where) for name, column in value.items()}
    if not table:
        raise InputError(f"predict_fn returned an empty dict {where}; return a column of results")
    return table


def _check_distinct(keys: Iterable[Any], where: str) -> None:
    """Refuse names that no column can have, or that two would have."""
    names: set[str] = set()
    for name in map(str, keys):
        if not name.strip():
            raise InputError(
                f"predict_fn returned a result whose name is {name!r} {where}; give each result a name"
            )
        if name in names:
            raise InputError(
                f"predict_fn returned two results named {name!r} {where}; give each a name of its own"
            )
        names.add(name)


def _sequence(value: Any, rows: int | None, where: str) -> Any:
    if hasattr(value, "numpy") and not hasattr(value, "tolist"):
        value = value.numpy()
    shape = getattr(value, "shape", None)
    unordered = isinstance(value, (str, bytes, bytearray, Mapping, set, frozenset))
    if unordered or shape == () or not (hasattr(value, "__iter__") or hasattr(value, "__getitem__")):
        kind = "None" if value is None else f"one {type(value).__name__}"
        raise InputError(f"predict_fn returned {kind} {where}; return a list with one result a row")
    if hasattr(value, "__len__"):
        return value
    if rows is None:
        return list(value)
    results = list(islice(value, rows + 1))
    if len(results) > rows:
        raise InputError(f"predict_fn returned more than {rows} results for {_counted(rows, 'row')} {where}")
    return results


def _one_a_row(results: Any, rows: int, where: str) -> Results:
    _check_count(len(results), rows, where)
    if type(results) in (list, tuple) or getattr(getattr(results, "dtype", None), "kind", "") == "O":
        items = as_list(results)
        dicts = [issubclass(kind, Mapping) for kind in set(map(type, items))]
        if any(dicts):
            if not all(dicts):
                raise InputError(
                    f"predict_fn returned dicts for some rows only {where}; return one kind of result"
                )
            _check_distinct(set(chain.from_iterable(items)), where)
            return items
    return {PREDICTION: results}


def _check_count(count: int, rows: int, where: str) -> None:
    if count != rows:
        raise InputError(
            f"predict_fn returned {_counted(count, 'result')} for {_counted(rows, 'row')} {where}"
        )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def as_list(column: Any) -> list[Any]:
    """A column of results as a list."""
    if type(column) is list:
        return column
    if hasattr(column, "to_pylist"):
        return list(column.to_pylist())
    if are_moments(column):
        return list(moment_texts(column))
    return list(column.tolist() if hasattr(column, "tolist") else column)


def are_moments(values: Any) -> bool:
    """Whether an array, a Series or a scalar is of dates, times or spans of NumPy's or of pandas'."""
    return getattr(getattr(values, "dtype", None), "kind", "") in ("M", "m")


def moment_texts(values: Any) -> Any:
    """Moments as ISO texts (in lists), None for what is none; those of pandas with a zone as they are."""
    array = numpy().asarray(values)
    return _or_none(array.astype(str).tolist()) if are_moments(array) else array.tolist()


def _or_none(texts: Any) -> Any:
    if isinstance(texts, list):
        return [_or_none(text) for text in texts]
    return None if texts == "NaT" else texts


def result_names(results: Results) -> list[str]:
    """The names of the results of a batch. Raises InputError when its rows differ in them."""
    if isinstance(results, dict):
        return list(results)
    names = results[0].keys()
    for row in results:
        if row.keys() != names:
            raise differing(list(map(str, names)), list(map(str, row)))
    return list(map(str, names))


def differing(names: Sequence[str], others: Sequence[str]) -> InputError:
    """The error for rows whose results have different names."""
    return InputError(
        f"predict_fn returned {', '.join(names) or 'no keys'} for one row and "
        f"{', '.join(others) or 'no keys'} "
        "for another; return the same keys for every row"
    )


def check_names(names: Sequence[str], columns: Sequence[str]) -> None:
    """Raises InputError when a result would overwrite a column of the input."""
    for name in names:
        if name in columns:
            raise InputError(
                f"the result {name!r} has the name of an input column; return a dict with another key, "
                "such as "
                f"{{'{name}_1': ...}}, for each row"
            )
