"""trainyard.toml -> jobs and environments; an error names the file, the line, the key and the cure."""

from __future__ import annotations

import os.path
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from .checks import entry, show, wrong_type
from .errors import BadInput, NotFound, nearest
from .job import InferenceJob, Resources, ShardResources, Spot, TrainingJob
from .limits import is_dataset_reference, is_remote
from .record import Record

if TYPE_CHECKING:
    from .environment import Environment

_Made = TypeVar("_Made", bound=Record)
_TRAIN_SECTIONS: dict[str, type[Record]] = {"resources": Resources, "spot": Spot}
_INFER_SECTIONS: dict[str, type[Record]] = {"resources": ShardResources}
_TABLES = ["train", "infer", "environments"]
_SCALAR = r""""(?:[^"\\]|\\.)*"|'[^']*'|[\w.+-]+"""


class JobFile(NamedTuple):
    """What a job file says: its own absolute path, its jobs, its environments.

    A job is None where its table is absent; local paths in it are absolute. `environments` is as written, a
    table a name.
    """

    path: str
    train: TrainingJob | None
    infer: InferenceJob | None
    environments: Mapping[str, Mapping[str, Any]]


def load(path: str = "trainyard.toml") -> JobFile:
    """Read a job file.

    Paths in it are relative to its folder, `~` is the user's home. Whether they exist is asked by
    `jobpaths.check_paths`, so that a job file can be read where only its other job can run.

    Raises `BadInput` for a file that can't be read, is no TOML, has an unknown key, a value of the wrong type
    or one past a limit; its text begins with `path:line` where the line is known, with `path` elsewhere.
    """
    text, data = _parsed(path)
    try:
        return _job_file(data, os.path.abspath(os.path.expanduser(path)))
    except BadInput as error:
        raise located(error, path, text) from None


def load_environment(path: str = "trainyard.toml", name: str = "dev") -> Environment:
    """Read `[environments.<name>]` of a job file, and nothing else of it; `dev` needs no table.

    Raises `NotFound` where there is no such table, and `BadInput` as `load` does: for what is wrong with this
    environment, but not for what is wrong with the jobs or another one.
    """
    text, data = _parsed(path)
    try:
        return _environment(data, name)
    except BadInput as error:
        raise located(error, path, text) from None


def environment_names(path: str = "trainyard.toml") -> list[str]:
    """The names of `[environments.*]` in a job file, whatever else is wrong in it, and `dev`."""
    from .environment import DEFAULT

    try:
        tables = _parsed(path)[1].get("environments", {})
    except BadInput:
        return [DEFAULT]
    return sorted({DEFAULT, *(tables if isinstance(tables, dict) else ())})


def with_hyperparameters(job: TrainingJob, pairs: Sequence[str]) -> TrainingJob:
    """The job with hyperparameters added or replaced by `key=value` pairs, the last of a key winning.

    A value is typed as TOML would where it is a TOML scalar (`20`, `0.1`, `true`, `"20"`), else it is text.
    Raises `BadInput` for a pair without `=`, and for what a job refuses.
    """
    if not pairs:
        return job
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise BadInput(f"{pair!r} is no hyperparameter", where="-p", cure="write -p key=value")
        given[key.strip()] = _scalar(value)
    try:
        return job.replace(hyperparameters={**job.hyperparameters, **given})
    except BadInput as error:
        raise error.at("-p") from None


def located(error: BadInput, path: str, text: str | None = None) -> BadInput:
    """The same error, found in the job file `path`, with the line of its key where the file shows one.

    For errors about a job that was read from a file and refused later. `text` is the file's, if at hand.
    """
    from .joblines import line_of

    try:
        line = line_of(_read(path) if text is None else text, error.key) if error.key else 0
    except BadInput:
        line = 0
    return error.at(f"{path}:{line}" if line else path)


def _read(path: str) -> str:
    try:
        with open(os.path.expanduser(path), "rb") as file:
            data = file.read()
    except FileNotFoundError:
        cure = "make a project with `trainyard init`, or name another job file"
        raise BadInput("no such job file", where=path, cure=cure) from None
    except IsADirectoryError:
        cure = f"name a file, such as {os.path.join(path, 'trainyard.toml')}"
        raise BadInput("is a folder and no job file", where=path, cure=cure) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadInput(f"can't be read: {reason}", where=path, cure="mind its permissions") from None
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput("is not UTF-8", where=f"{path}:{line}", cure="save it as UTF-8") from None


def _parsed(path: str) -> tuple[str, dict[str, Any]]:
    text = _read(path)
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


def _job_file(data: Mapping[str, Any], file: str) -> JobFile:
    _refuse_unknown(data, _TABLES, "")
    if not any(table in data for table in _TABLES):
        cure = "write one, or make a project with `trainyard init`"
        raise BadInput("has neither [train] nor [infer] nor [environments.<name>]", cure=cure)
    folder = os.path.dirname(file)
    train = infer = None
    if "train" in data:
        train = _made(TrainingJob, _with_sections(data["train"], "train", _TRAIN_SECTIONS, folder), "train")
    if "infer" in data:
        infer = _made(InferenceJob, _with_sections(data["infer"], "infer", _INFER_SECTIONS, folder), "infer")
    return JobFile(file, train, infer, _environments(data.get("environments", {})))


def _environments(tables: Any) -> Mapping[str, Mapping[str, Any]]:
    for name, table in _table(tables, "environments").items():
        _table(table, entry("environments", name))
    return dict(tables)


def _environment(data: Mapping[str, Any], name: str) -> Environment:
    # A job starts without it.
    from .environment import DEFAULT, BatchCompute, Environment, Notebook, Retention
    from .environment_limits import RESERVED

    _refuse_unknown(data, _TABLES, "")
    tables, key = _table(data.get("environments", {}), "environments"), entry("environments", name)
    if name in RESERVED:
        raise BadInput(f"{name!r} is a yard of trainyard's own", key=key, cure="give it another name")
    if name not in tables and name != DEFAULT:
        there = ", ".join(each for each in sorted({*tables, DEFAULT}) if each.isprintable())
        cure = f"write a table [{key}], or name one that there is: {there}"
        raise NotFound(f"there is no environment {show(name)}", key=key, cure=cure)
    values = dict(_table(tables.get(name, {}), key))
    if "name" in values:
        cure = "leave it out: the table's own name is the environment's"
        raise BadInput("unknown key", key=f"{key}.name", cure=cure)
    _refuse_unknown(values, [field for field in Environment._fields if field != "name"], key)
    _make_sections(values, key, {"notebook": Notebook, "batch": BatchCompute, "retention": Retention})
    return Environment(**values, name=name)


def _with_sections(table: Any, key: str, sections: Mapping[str, type[Record]], folder: str) -> dict[str, Any]:
    values = dict(_table(table, key))
    _make_sections(values, key, sections)
    values["source_dir"] = _absolute(values.get("source_dir", "."), folder)
    channels = values.get("channels")
    if isinstance(channels, dict):
        values["channels"] = {name: _absolute(source, folder) for name, source in channels.items()}
    return values


def _make_sections(values: dict[str, Any], key: str, sections: Mapping[str, type[Record]]) -> None:
    for name, kind in sections.items():
        if name in values:
            values[name] = _made(kind, _table(values[name], f"{key}.{name}"), f"{key}.{name}")


def _made(kind: type[_Made], values: Mapping[str, Any], key: str) -> _Made:
    _refuse_unknown(values, list(kind._fields), key)
    for name in kind._fields:
        if name not in kind._field_defaults and name not in values:
            raise BadInput("is missing", key=f"{key}.{name}", cure=f"write it under [{key}]")
    return kind(**values)


def _table(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type(value, key, "a table")
    return value


def _refuse_unknown(values: Mapping[str, Any], known: list[str], key: str) -> None:
    for name in values:
        if name not in known:
            where = entry(key, name)
            problem = "unknown key" if where != key else f"unknown key {show(name)}"
            raise BadInput(problem, key=where, cure=nearest(name, known))


def _absolute(source: Any, folder: str) -> Any:
    # What is no text, or empty, is left for the job to refuse.
    if not isinstance(source, str) or not source or is_dataset_reference(source) or is_remote(source):
        return source
    return os.path.normpath(os.path.join(folder, os.path.expanduser(source)))


def _scalar(text: str) -> str | int | float | bool:
    value: Any = text
    if re.fullmatch(_SCALAR, text.strip()):
        try:
            value = tomllib.loads(f"value = {text.strip()}")["value"]
        except ValueError:
            return text
    return value if isinstance(value, (str, int, float)) else text
