"""Where in a job file a key stands; read only once something is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

_KEY = re.compile(r"""\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|[\w\-. \t])+?)\s*=""")
_HEADER = re.compile(r"\s*\[.*\]\s*(?:#.*)?$")


def line_of(text: str, key: str) -> int:
    """The line, from 1, of the dotted `key` in a TOML text, else the first of what is in it, else that of the
    nearest table around it, else 0."""
    best, found, inside = 0, 0, 0
    for number, path in _keys(text):
        if path == key:
            return number
        if len(path) > best and key.startswith(f"{path}."):
            best, found = len(path), number
        if not inside and path.startswith(f"{key}."):
            inside = number
    return inside or found


def _keys(text: str) -> Iterator[tuple[int, str]]:
    table: list[str] = []
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        if fence:
            fence = "" if fence in line else fence
            continue
        if _HEADER.match(line) and (path := _path(line)):
            table = path
            yield number, ".".join(table)
        elif (key := _KEY.match(line)) and (path := _path(f"{key[1]} = 0")):
            yield number, ".".join(table + path)
            fence = _fence(line[key.end() :])


def _path(line: str) -> list[str]:
    # TOML itself reads the key: quotes, escapes and dots.
    try:
        value = tomllib.loads(line)
    except ValueError:
        return []
    path = []
    while isinstance(value, dict) and value:
        name, value = next(iter(value.items()))
        path.append(name)
        value = value[0] if isinstance(value, list) and value else value
    return path


def _fence(value: str) -> str:
    # The mark that ends a string of several lines which begins here and does not end here.
    start = value.lstrip()[:3]
    return start if start in ('"""', "'''") and value.count(start) == 1 else ""
