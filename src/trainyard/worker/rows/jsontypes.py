"""The kinds of values that stand under each key of JSON rows, and the one type that they make."""

from __future__ import annotations

from collections import Counter
from typing import Any, Mapping, Sequence

from .libraries import numpy, pyarrow

MOST_NAMES = 10_000
"""Where there are more, keys are data, and no columns can be made of them."""
NULL = "null"
_HUGE = "huge"
"""An integer that 64 bits with a sign do not hold."""
_NESTED = "nested"
_WORDS = {
    "bool": "booleans",
    "int": "integers",
    "float": "floats",
    "str": "texts",
    _HUGE: "integers beyond 64 bits",
    _NESTED: "lists or objects",
}
_KINDS = {bool: "bool", int: "int", float: "float", str: "str", type(None): NULL}
_NUMPY = {"bool": "bool", "int": "int64", "float": "float64"}


class Kinds:
    """What `see` has seen."""

    def __init__(self) -> None:
        self._pairs: set[tuple[str, type]] = set()
        self._counts: Counter[str] = Counter()
        self._huge: set[str] = set()
        self._rows = 0

    def see(self, row: Mapping[str, Any]) -> None:
        """Take note of the values of a row."""
        if len(self._counts) > MOST_NAMES:
            return
        values = row.values()
        self._rows += 1
        self._pairs.update(zip(row, map(type, values)))
        self._counts.update(row.keys())
        for name, value in row.items():
            if type(value) is int and not -(2**63) <= value < 2**63:
                self._huge.add(name)

    def found(self) -> dict[str, list[str]] | None:
        """The kinds of each name, in the order of their first row; a name that a row has not is null there.

        None for more than MOST_NAMES.
        """
        if len(self._counts) > MOST_NAMES:
            return None
        found: dict[str, set[str]] = {name: set() for name in self._counts}
        for name, kind in self._pairs:
            found[name].add(_KINDS.get(kind, _NESTED))
        for name, count in self._counts.items():
            if count < self._rows:
                found[name].add(NULL)
        for name in self._huge:
            found[name].add(_HUGE)
        return {name: sorted(kinds) for name, kinds in found.items()}


def array(values: Sequence[Any], kinds: Sequence[str]) -> Any:
    """Values of these kinds as a NumPy array, whose type depends on the kinds alone.

    No integer goes through a float.
    """
    np = numpy()
    if len(kinds) == 1 and kinds[0] in _NUMPY:
        return np.array(values, dtype=_NUMPY[kinds[0]])
    if list(kinds) == ["float", NULL]:
        return np.array([float("nan") if value is None else value for value in values], dtype="float64")
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return objects


def arrow_array(values: Sequence[Any], kinds: Sequence[str]) -> Any:
    """Values of these kinds as an Arrow array, whose type depends on the kinds alone, but for what is nested:
    that takes the type of these values.

    Raises ValueError or OverflowError where they have no type in common.
    """
    pa = pyarrow()
    types = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "str": pa.string()}
    real = set(kinds) - {NULL}
    if real == {_NESTED}:
        return pa.array(values)
    kind = "float" if real == {"int", "float"} else "".join(real)
    if real and kind not in types:
        raise ValueError(" and ".join(sorted(_WORDS[each] for each in real)))
    return pa.array(values, types[kind] if real else pa.null())
