"""Columns in the names of folders, as Hive writes them: `day=2024-01-01/region=eu/part.parquet`.

Names and values are percent-decoded; `__HIVE_DEFAULT_PARTITION__` stands for null. A partition whose values
are all 32-bit integers is one of integers, any other of texts: pyarrow's rules.
"""

from __future__ import annotations

import re
from typing import Sequence, Union

from .inputs import PlannedFile

Constant = Union[int, str, None]
_NULL = "__HIVE_DEFAULT_PARTITION__"
_INTEGER = re.compile(r"-?[0-9]{1,10}", re.ASCII)


def with_partitions(columns: Sequence[str], files: Sequence[PlannedFile]) -> list[str]:
    """The columns, and behind them the partitions that have another name."""
    return list(dict.fromkeys([*columns, *(name for file in files for name in _texts(file["name"]))]))


def constants(names: Sequence[str], file: PlannedFile) -> list[str]:
    """The values that the partitions `names` have in all rows of a file, as texts; null is empty."""
    if not names:
        return []
    found = _texts(file["name"])
    return [found.get(name) or "" for name in names]


def typed(files: Sequence[PlannedFile]) -> list[dict[str, Constant]]:
    """The value of each partition in each of the files, an integer where all values of it are; a file that
    lacks it has null."""
    found = [_texts(file["name"]) for file in files]
    names = list(dict.fromkeys(name for each in found for name in each))
    if not names:
        return [{} for _ in files]
    integers = {name for name in names if all(_is_integer(each.get(name)) for each in found)}
    return [{name: _value(each.get(name), name in integers) for name in names} for each in found]


def _texts(path: str) -> dict[str, str | None]:
    if "=" not in path:
        return {}
    from urllib.parse import unquote  # for folders that are named so alone

    found: dict[str, str | None] = {}
    for folder in path.split("/")[:-1]:
        name, equals, value = folder.partition("=")
        if equals and name:
            found[unquote(name)] = None if value == _NULL else unquote(value)
    return found


def _is_integer(text: str | None) -> bool:
    return text is None or (_INTEGER.fullmatch(text) is not None and -(2**31) <= int(text) < 2**31)


def _value(text: str | None, is_integer: bool) -> Constant:
    return int(text) if text is not None and is_integer else text
