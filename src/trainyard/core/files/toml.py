"""TOML files: read, their tables checked, and the line on which a key stands for what is wrong."""

from __future__ import annotations

import os.path
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from ..checks import entry, show, wrong_type
from ..errors import BadInput, nearest
from ..record import Record

# Patterns are compiled where something is wrong: reading a good file needs none.
_KEY = r"""\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|[\w\-. \t])+?)\s*="""
_HEADER = r"\s*\[.*\]\s*(?:#.*)?$"

_LARGEST = 1 << 20
"""Bytes of a file."""
_PARTS = 32
"""Parts of a dotted key, for which tomllib takes time by their square; no key of ours has more than five."""
_LONG_KEY = rf"""(?:^|[\[{{,])[ \t]*(?:(?:[\w-]+|"[^"]*"|'[^']*')[ \t]*\.[ \t]*){{{_PARTS}}}"""


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
        if re.match(_HEADER, line) and (path := _path(line)):
            table = path
            yield number, ".".join(table)
        elif (key := re.match(_KEY, line)) and (path := _path(f"{key[1]} = 0")):
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


_Made = TypeVar("_Made", bound=Record)


TABLES = ["train", "infer", "environments"]


def located(error: BadInput, path: str, text: str) -> BadInput:
    """The same error, found in the job file `path`, with the line of its key where its text shows one."""
    line = line_of(text, error.key) if error.key else 0
    return error.at(f"{path}:{line}" if line else path)


def _read(path: str) -> str:
    try:
        with open(os.path.expanduser(path), "rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        cure = "make a project with `trainyard init`, or name another job file"
        raise BadInput("no such job file", where=path, cure=cure) from None
    except IsADirectoryError:
        cure = f"name a file, such as {os.path.join(path, 'trainyard.toml')}"
        raise BadInput("is a folder and no job file", where=path, cure=cure) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadInput(f"can't be read: {reason}", where=path, cure="mind its permissions") from None
    if len(data) > _LARGEST:
        raise BadInput(f"is larger than {_LARGEST >> 20} MiB", where=path, cure="name a job file")
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput("is not UTF-8", where=f"{path}:{line}", cure="save it as UTF-8") from None


def parse_file(path: str) -> tuple[str, dict[str, Any]]:
    text = _read(path)
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") >= _PARTS and re.search(_LONG_KEY, line):
            raise BadInput(f"a key has more than {_PARTS} parts", where=f"{path}:{number}")
    try:
        return text, tomllib.loads(text)
    except RecursionError:
        raise BadInput("is nested too deeply", where=path) from None
    except ValueError as error:
        raise _syntax_error(str(error), path) from None


def _syntax_error(message: str, path: str) -> BadInput:
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    if not found:
        return BadInput(f"is no TOML: {message}", where=path)
    message = message[: found.start()]
    if not found[1]:
        return BadInput(f"is no TOML: {message} at its end", where=path)
    return BadInput(f"is no TOML: {message} (column {found[2]})", where=f"{path}:{found[1]}")


def make_sections(values: dict[str, Any], key: str, sections: Mapping[str, type[Record]]) -> None:
    for name, kind in sections.items():
        if name in values:
            values[name] = make(kind, as_table(values[name], f"{key}.{name}"), f"{key}.{name}")


def make(kind: type[_Made], values: Mapping[str, Any], key: str) -> _Made:
    refuse_unknown(values, list(kind._fields), key)
    for name in kind._fields:
        if name not in kind._field_defaults and name not in values:
            raise BadInput("is missing", key=f"{key}.{name}", cure=f"write it under [{key}]")
    return kind(**values)


def as_table(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type(value, key, "a table")
    return value


def refuse_unknown(values: Mapping[str, Any], known: list[str], key: str) -> None:
    for name in values:
        if name not in known:
            where = entry(key, name)
            problem = "unknown key" if where != key else f"unknown key {show(name)}"
            raise BadInput(problem, key=where, cure=nearest(name, known))
