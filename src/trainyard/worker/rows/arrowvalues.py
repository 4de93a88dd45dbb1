"""Arrow's values as Python's and as NumPy's, each type in one way, whatever is installed beside pyarrow."""

from __future__ import annotations

from datetime import datetime, time, timedelta, timezone
from typing import Any, Callable

from ..errors import InputError
from .arrowtypes import is_extension, is_list
from .libraries import numpy, pyarrow

_UNSAYABLE = 'what Python cannot say ({}); use batch_format = "arrow"'
_EPOCH = datetime(1970, 1, 1)
Converter = Callable[[Any], Any]


class _Fine:
    """What Python's own moments lack; they compare and calculate without it."""

    nanosecond = 0
    """0 to 999, beyond the microsecond."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (*super().__reduce_ex__(protocol)[:2], {"nanosecond": self.nanosecond})


class _AsWritten(_Fine):
    def isoformat(self, *separator: str, **options: str) -> str:
        """With nine digits behind the point, unless `timespec` says otherwise."""
        if options:
            return str(super().isoformat(*separator, **options))  # type: ignore[misc]
        text: str = super().isoformat(*separator, timespec="microseconds")  # type: ignore[misc]
        point = text.index(".") + 7
        return f"{text[:point]}{self.nanosecond:03d}{text[point:]}"


class Timestamp(_AsWritten, datetime):
    """A datetime with nanoseconds."""

    def __str__(self) -> str:
        return self.isoformat(" ")


class Time(_AsWritten, time):
    """A time of the day with nanoseconds."""

    def __str__(self) -> str:
        return self.isoformat()


class Duration(_Fine, timedelta):
    """A timedelta with nanoseconds."""


class Views:
    """How batches of one schema are given to a handler; `objects` are the columns that no array of numbers
    holds throughout the input."""

    def __init__(self, schema: Any, objects: frozenset[str]) -> None:
        self._schema = schema
        self._fine = {field.name: kind for field in schema if (kind := _counted(field.type)) is not None}
        self._objects = objects

    def dicts(self, table: Any) -> list[dict[str, Any]]:
        """A dict a row. Raises InputError for a value that Python has no type for."""
        try:
            if not self._fine:
                return list(table.to_pylist())
            columns = [self._values(table, name) for name in table.column_names]
            return [dict(zip(table.column_names, row)) for row in zip(*columns)]
        except (ValueError, OverflowError) as error:
            raise self._unsayable(table, error) from None

    def columns(self, table: Any) -> dict[str, Any]:
        """A NumPy array a column."""
        return {name: self._array(table, name) for name in table.column_names}

    def _values(self, table: Any, name: str) -> list[Any]:
        column = table.column(name)
        if name not in self._fine:
            return list(column.to_pylist())
        counted = column.cast(self._fine[name]).to_pylist()
        convert = _converter(self._schema.field(name).type)
        return [None if value is None else convert(value) for value in counted]

    def _array(self, table: Any, name: str) -> Any:
        column, types = table.column(name), pyarrow().types
        kind = self._schema.field(name).type
        if types.is_dictionary(kind):
            # What NumPy gets of a dictionary's own has another value in the place of a null.
            column, kind = column.cast(kind.value_type), kind.value_type
        if name not in self._objects and not _is_of_objects(kind):
            return column.to_numpy()
        objects = numpy().empty(len(column), dtype=object)
        try:
            objects[:] = self._values(table, name)
        except (ValueError, OverflowError) as error:
            raise self._unsayable(table, error) from None
        return objects

    def _unsayable(self, table: Any, error: Exception) -> InputError:
        for name in table.column_names:
            try:
                self._values(table, name)
            except (ValueError, OverflowError):
                kind = self._schema.field(name).type
                return InputError(f"column {name!r}, {kind}, holds {_UNSAYABLE.format(error)}")
        return InputError(f"the rows hold {_UNSAYABLE.format(error)}")


def _is_of_objects(kind: Any) -> bool:
    """Whether NumPy would get, of a type, something else than is said of it, or nothing."""
    types = pyarrow().types
    if is_list(kind):
        return _is_of_objects(kind.value_type)
    those = (types.is_nested, types.is_time, types.is_dictionary, types.is_interval, is_extension)
    return any(is_one(kind) for is_one in those)


def _is_fine(kind: Any) -> bool:
    """Whether a type counts nanoseconds, for which Python has no type."""
    types = pyarrow().types
    is_moment = types.is_timestamp(kind) or types.is_time(kind) or types.is_duration(kind)
    return bool(is_moment and kind.unit == "ns")


def _counted(kind: Any) -> Any:
    """The type with integers in the place of nanoseconds; None where there are none."""
    pa = pyarrow()
    types = pa.types
    if _is_fine(kind):
        return pa.int64()
    if types.is_dictionary(kind):
        return _counted(kind.value_type)
    if is_list(kind):
        value = _counted(kind.value_type)
        return None if value is None else (pa.large_list if types.is_large_list(kind) else pa.list_)(value)
    if types.is_map(kind):
        key, item = _counted(kind.key_type), _counted(kind.item_type)
        return None if key is item is None else pa.map_(key or kind.key_type, item or kind.item_type)
    if types.is_struct(kind):
        found = [(field.name, _counted(field.type)) for field in kind]
        if all(each is None for _, each in found):
            return None
        return pa.struct([(field.name, each or field.type) for field, (_, each) in zip(kind, found)])
    return None


def _converter(kind: Any) -> Converter:
    """What makes a value of `_counted(kind)`, which is not None, one of `kind`."""
    types = pyarrow().types
    if types.is_dictionary(kind):
        return _converter(kind.value_type)
    if _is_fine(kind):
        return _moment(kind)
    if is_list(kind):
        item = _optional(kind.value_type)
        return lambda values: [item(value) for value in values]
    if types.is_map(kind):
        key, item = _optional(kind.key_type), _optional(kind.item_type)
        return lambda pairs: [(key(one), item(other)) for one, other in pairs]
    if types.is_struct(kind):
        members = {field.name: _optional(field.type) for field in kind}
        return lambda value: {name: convert(value[name]) for name, convert in members.items()}
    return lambda value: value


def _optional(kind: Any) -> Converter:
    convert = _converter(kind)
    return lambda value: None if value is None else convert(value)


def _moment(kind: Any) -> Converter:
    """What makes a moment of a number of nanoseconds."""
    pa = pyarrow()
    if pa.types.is_duration(kind):
        return lambda number: _with_rest(Duration(microseconds=number // 1000), number)
    if pa.types.is_time(kind):
        return lambda number: _with_rest(
            _of_time((_EPOCH + timedelta(microseconds=number // 1000)).time()), number
        )
    zone = None if kind.tz is None else pa.scalar(0, pa.timestamp("us", kind.tz)).as_py().tzinfo

    def timestamp(number: int) -> Any:
        found = _EPOCH + timedelta(microseconds=number // 1000)
        if zone is not None:
            found = found.replace(tzinfo=timezone.utc).astimezone(zone)
        own = Timestamp.combine(found.date(), found.timetz()).replace(fold=found.fold)
        return _with_rest(own, number)

    return timestamp


def _of_time(found: time) -> Time:
    return Time(found.hour, found.minute, found.second, found.microsecond)


def _with_rest(value: Any, number: int) -> Any:
    value.nanosecond = number % 1000
    return value
