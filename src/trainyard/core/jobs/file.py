"""trainyard.toml -> jobs; an error names the file, the line, the key and the cure."""

from __future__ import annotations

import os.path
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from ...worker.contract.hyperparameters import Typed
from ..checks import entry
from ..errors import BadInput
from ..files.toml import TABLES, as_table, located, make, make_sections, parse_file, refuse_unknown
from ..record import Record
from .job import InferenceJob, Resources, ShardResources, Spot, TrainingJob
from .limits import is_dataset_reference
from .sources import is_remote

_TRAIN_SECTIONS: dict[str, type[Record]] = {"resources": Resources, "spot": Spot}
_INFER_SECTIONS: dict[str, type[Record]] = {"resources": ShardResources}
_Made = TypeVar("_Made")
_QUOTED = r""""(?:[^"\\]|\\.)*"|'[^']*'"""
_BARE = r"[\w.+-]+"
_NOT_FINITE = ("nan", "inf", "-inf")
_SMALL = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?[eE]-[0-9]+"


class JobFile(NamedTuple):
    """What a job file says: its own absolute path, its jobs, its environments; and as what and with which
    text it was read.

    A job is None where its table is absent; local paths in it are absolute. `environments` is as written, a
    table a name.
    """

    path: str
    train: TrainingJob | None
    infer: InferenceJob | None
    environments: Mapping[str, Mapping[str, Any]]
    named: str = ""
    text: str = ""

    def calling(self, make: Callable[[], _Made]) -> _Made:
        """Call `make`; an error about a key of one of the jobs names the file and the line."""
        try:
            return make()
        except BadInput as error:
            if not error.where and error.key.startswith(("train.", "infer.")):
                raise located(error, self.named, self.text) from None
            raise


def load(path: str = "trainyard.toml") -> JobFile:
    """Read a job file.

    Paths in it are relative to its folder, `~` is the user's home. Whether they exist is asked by
    `paths.check_paths`, so that a job file can be read where only its other job can run.

    Raises `BadInput` for a file that can't be read, is no TOML, has an unknown key, a value of the wrong type
    or one past a limit; its text begins with `path:line` where the line is known, with `path` elsewhere.
    """
    text, data = parse_file(path)
    try:
        file = _job_file(data, os.path.abspath(os.path.expanduser(path)))
    except BadInput as error:
        raise located(error, path, text) from None
    return file._replace(named=path, text=text)


def with_hyperparameters(job: TrainingJob, pairs: Sequence[str]) -> TrainingJob:
    """The job with hyperparameters added or replaced by `key=value` pairs, the last of a key winning.

    A value is a number where TOML would write it so (`20`, `0.1`) or it has a negative exponent (`1e-3`), a
    boolean where it is `true` or `false`, what is in the quotes of a TOML string (`"20"`), else the text that
    it is (`1.10`, `123e4`, `007`).
    Raises `BadInput` for a pair without `=`, and for what a job refuses.
    """
    if not pairs:
        return job
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise BadInput(f"{pair!r} is no hyperparameter", where="-p", cure="write -p key=value")
        given[key.strip()] = _value(value)
    try:
        return job.replace(hyperparameters={**job.hyperparameters, **given})
    except BadInput as error:
        raise error.at("-p") from None


def _job_file(data: Mapping[str, Any], file: str) -> JobFile:
    refuse_unknown(data, TABLES, "")
    if not any(table in data for table in TABLES):
        cure = "write one, or make a project with `trainyard init`"
        raise BadInput("has neither [train] nor [infer] nor [environments.<name>]", cure=cure)
    folder = os.path.dirname(file)
    train = infer = None
    if "train" in data:
        train = make(TrainingJob, _with_sections(data["train"], "train", _TRAIN_SECTIONS, folder), "train")
    if "infer" in data:
        infer = make(InferenceJob, _with_sections(data["infer"], "infer", _INFER_SECTIONS, folder), "infer")
    return JobFile(file, train, infer, _environments(data.get("environments", {})))


def _with_sections(table: Any, key: str, sections: Mapping[str, type[Record]], folder: str) -> dict[str, Any]:
    values = dict(as_table(table, key))
    make_sections(values, key, sections)
    values["source_dir"] = _absolute(values.get("source_dir", "."), folder)
    if isinstance(values.get("dependencies"), list):
        values["dependencies"] = [_absolute(path, folder) for path in values["dependencies"]]
    python = values.get("python")
    # A name alone is a command of the PATH.
    if isinstance(python, str) and (os.sep in python or python.startswith("~")):
        values["python"] = _absolute(python, folder)
    channels = values.get("channels")
    if isinstance(channels, dict):
        values["channels"] = {name: _absolute(source, folder) for name, source in channels.items()}
    return values


def _absolute(source: Any, folder: str) -> Any:
    # What is no text, or empty, is left for the job to refuse.
    if not isinstance(source, str) or not source or is_dataset_reference(source) or is_remote(source):
        return source
    return os.path.normpath(os.path.join(folder, os.path.expanduser(source)))


def _environments(tables: Any) -> Mapping[str, Mapping[str, Any]]:
    for name, table in as_table(tables, "environments").items():
        as_table(table, entry("environments", name))
    return dict(tables)


def _value(text: str) -> str | int | float:
    """What is meant by a text of the command line: `Typed` for what JSON has and Python writes otherwise."""
    if re.fullmatch(_QUOTED, text):
        return str(_toml(text))
    value = _toml(text) if re.fullmatch(_BARE, text) else text
    if isinstance(value, bool):
        return Typed(text)
    if isinstance(value, (int, float)) and str(value) == text and text not in _NOT_FINITE:
        return value
    return Typed(text) if re.fullmatch(_SMALL, text) and value else text


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text
