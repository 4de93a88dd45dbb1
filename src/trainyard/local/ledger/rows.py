"""Rows of the local ledger to runs, models and data sets, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from ...core.ports.ledger import DataSet, Model
from ...core.runs import serialization
from ...core.runs.run import Attempt, Observation, Run, State
from ..home.home import Home

YARD = "local"


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
    return Observation(
        state=State(row["state"]),
        reason=row["reason"],
        bad_input=bool(row["bad_input"]),
        metrics=json.loads(row["metrics"]),
        model=row["model"],
        attempts=tuple(attempt_of(attempt) for attempt in attempts),
        warnings=tuple(json.loads(row["warnings"])),
        started=row["started"],
        finished=row["finished"],
        rows_in=row["rows_in"],
        rows_out=row["rows_out"],
    )


def attempt_of(row: sqlite3.Row) -> Attempt:
    """The attempt that a row of `attempts` tells of."""
    return Attempt(
        number=row["number"],
        task=row["task"],
        state=State(row["state"]),
        reason=row["reason"],
        started=row["started"],
        finished=row["finished"],
        lost_seconds=row["lost"],
    )


def dataset_of(row: sqlite3.Row, home: Home) -> DataSet:
    """The data set that a row of `datasets` tells of."""
    return DataSet(
        name=row["name"],
        version=row["version"],
        hash=row["hash"],
        bytes=row["bytes"],
        files=row["files"],
        created=row["created"],
        path=home.dataset(row["name"], row["version"]),
    )


def model_of(row: sqlite3.Row, home: Home) -> Model:
    """The model that a row of `models` tells of."""
    return Model(
        name=row["name"],
        version=row["version"],
        run=row["run"],
        path=home.model(row["name"], row["version"]),
        created=row["created"],
        hash=row["hash"],
        bytes=row["bytes"],
        files=row["files"],
        code=row["code"],
        data=json.loads(row["data"]),
        hyperparameters=json.loads(row["hyperparameters"]),
        metrics=json.loads(row["metrics"]),
    )
