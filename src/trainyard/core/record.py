"""Immutable records of named fields.

What `dataclasses` gives, without importing `inspect` and compiling methods for each class: that costs
every command 20 ms, a third of its start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self, dataclass_transform

NOTHING: Any = {}
"""The default of a field that is a mapping: each record gets an empty one of its own."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Record:
    """The base of records: fields are the annotated names, defaults their values, arguments by keyword.

    Equal when the class and all fields are; made again with `replace`. A subclass that checks itself does
    so in `__post_init__`. Raises TypeError for an unknown or missing field.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _names: ClassVar[frozenset[str]] = frozenset()
    _field_defaults: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)
        cls._names = frozenset(cls._fields)
        cls._field_defaults = {name: vars(cls)[name] for name in cls._fields if name in vars(cls)}

    def __init__(self, **values: Any) -> None:
        merged = {**self._field_defaults, **values}
        if merged.keys() != self._names:
            self._refuse(values)
        for name, value in merged.items():
            if value is NOTHING:
                merged[name] = {}
        self.__dict__.update(merged)
        self.__post_init__()

    def __post_init__(self) -> None:
        """Checks the record; does nothing unless a subclass says more."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"cannot assign to {name!r}: make another with replace({name}=…)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete {name!r}")

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__[name] for name in self._fields))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._fields)
        return f"{type(self).__name__}({shown})"

    def replace(self, **changes: Any) -> Self:
        """The same with some fields changed, checked anew."""
        return type(self)(**{**self.__dict__, **changes})

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return {name: self.__dict__[name] for name in self._fields}

    def as_json(self) -> dict[str, Any]:
        """The fields by name, records, mappings and tuples in them as JSON's objects and arrays."""
        return {name: _json(value) for name, value in self.as_dict().items()}

    def _refuse(self, values: dict[str, Any]) -> None:
        name = type(self).__name__
        for unknown in values.keys() - set(self._fields):
            raise TypeError(f"{name}() got an unexpected keyword argument {unknown!r}")
        missing = [each for each in self._fields if each not in values and each not in self._field_defaults]
        raise TypeError(f"{name}() misses the argument {missing[0]!r}")

    __replace__ = replace


def make_tuples(record: Record) -> None:
    """Keep an array of TOML, or a list from Python, as what can't be changed behind the record's check."""
    lists = {key: tuple(value) for key, value in record.as_dict().items() if isinstance(value, list)}
    record.__dict__.update(lists)


def _json(value: Any) -> Any:
    if isinstance(value, Record):
        return value.as_json()
    if isinstance(value, Mapping):
        return dict(value)
    return [_json(each) for each in value] if isinstance(value, tuple) else value
