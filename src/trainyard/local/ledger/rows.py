"""Rows of the local ledger to runs, models and data sets, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from ...core.ports.ledger import DataSet, Model
from ...core.record import Record
from ...core.runs import serialization
from ...core.runs.run import Attempt, Observation, Run, State
from ..home.home import Home

YARD = "local"
_JSON = ("metrics", "warnings", "data", "hyperparameters")


def spec_of(run: Run, submission: Mapping[str, Any]) -> dict[str, Any]:
    """What is written of a run once, when it is submitted: a JSON object."""
    return {**serialization.spec_to_record(run), "submission": dict(submission)}


def run_of(row: sqlite3.Row, attempts: Iterable[sqlite3.Row], home: Home) -> Run:
    """The run that the row of `runs` and its rows of `attempts` tell of."""
    return Run(
        id=row["id"],
        yard=YARD,
        created=row["created"],
        folder=home.run(row["id"]),
        launch=row["launch"],
        seen=observation_of(row, attempts),
        **serialization.spec_from_record(json.loads(row["spec"])),
    )


def observation_of(row: sqlite3.Row, attempts: Iterable[sqlite3.Row]) -> Observation:
    """What the ledger says became of a run."""
    found = _fields(Observation, row)
    found["state"], found["bad_input"] = State(row["state"]), bool(row["bad_input"])
    found["warnings"] = tuple(found["warnings"])
    return Observation(**found, attempts=tuple(map(attempt_of, attempts)))


def attempt_of(row: sqlite3.Row) -> Attempt:
    """The attempt that a row of `attempts` tells of."""
    found = {**_fields(Attempt, row), "state": State(row["state"])}
    return Attempt(**found, lost_seconds=row["lost"])


def dataset_of(row: sqlite3.Row, home: Home) -> DataSet:
    """The data set that a row of `datasets` tells of."""
    return DataSet(**_fields(DataSet, row), path=home.dataset(row["name"], row["version"]))


def model_of(row: sqlite3.Row, home: Home) -> Model:
    """The model that a row of `models` tells of."""
    return Model(**_fields(Model, row), path=home.model(row["name"], row["version"]))


def model_row(model: Model, version: int) -> tuple[Any, ...]:
    """The row of `models` that tells of a model, as that version."""
    data, asked, metrics = (
        json.dumps(dict(each)) for each in (model.data, model.hyperparameters, model.metrics)
    )
    known = (model.hash, model.bytes, model.files, model.created, model.code)
    return (model.name, version, model.run, *known, data, asked, metrics)


def _fields(kind: type[Record], row: sqlite3.Row) -> dict[str, Any]:
    """The columns of a row that are fields of that kind of record."""
    found = {name: row[name] for name in row.keys() if name in kind._fields}  # noqa: SIM118  (a row is no dict)
    return {name: json.loads(value) if name in _JSON else value for name, value in found.items()}
