"""`[environments.*]` of a job file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..checks import entry, show
from ..errors import BadInput, NotFound

if TYPE_CHECKING:
    from .environment import Environment
from ..files.toml import TABLES, as_table, located, make_sections, parse_file, refuse_unknown


def load_environment(path: str = "trainyard.toml", name: str = "dev") -> Environment:
    """Read `[environments.<name>]` of a job file, and nothing else of it; `dev` needs no table.

    Raises `NotFound` where there is no such table, and `BadInput` as `load` does: for what is wrong with this
    environment, but not for what is wrong with the jobs or another one.
    """
    text, data = parse_file(path)
    try:
        return _environment(data, name)
    except BadInput as error:
        raise located(error, path, text) from None


def environment_names(path: str = "trainyard.toml") -> list[str]:
    """The names of `[environments.*]` in a job file, whatever else is wrong in it, and `dev`."""
    from .environment import DEFAULT

    try:
        tables = parse_file(path)[1].get("environments", {})
    except BadInput:
        return [DEFAULT]
    return sorted({DEFAULT, *(tables if isinstance(tables, dict) else ())})


def _environment(data: Mapping[str, Any], name: str) -> Environment:
    # A job starts without it.
    from .environment import DEFAULT, BatchCompute, Environment, Notebook, Retention
    from .limits import RESERVED

    refuse_unknown(data, TABLES, "")
    tables, key = as_table(data.get("environments", {}), "environments"), entry("environments", name)
    if name in RESERVED:
        raise BadInput(f"{name!r} is a yard of trainyard's own", key=key, cure="give it another name")
    if name not in tables and name != DEFAULT:
        there = ", ".join(each for each in sorted({*tables, DEFAULT}) if each.isprintable())
        cure = f"write a table [{key}], or name one that there is: {there}"
        raise NotFound(f"there is no environment {show(name)}", key=key, cure=cure)
    values = dict(as_table(tables.get(name, {}), key))
    if "name" in values:
        cure = "leave it out: the table's own name is the environment's"
        raise BadInput("unknown key", key=f"{key}.name", cure=cure)
    refuse_unknown(values, [field for field in Environment._fields if field != "name"], key)
    make_sections(values, key, {"notebook": Notebook, "batch": BatchCompute, "retention": Retention})
    return Environment(**values, name=name)
