"""The port to what a yard remembers: runs, models, data sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..record import NOTHING, Record
from ..runs.run import Run, shown


class DataSet(Record):
    """A version of a data set. `hash` is of its content (`sha256:…`), `bytes` and `files` its size,
    `path` where it lies (a folder locally)."""

    name: str
    version: int
    hash: str
    bytes: int
    files: int
    created: float
    path: str = ""

    @property
    def ref(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints: the keys are a promise."""
        return shown(self, "name", "version", "hash", "bytes", "files", "created")


class Model(Record):
    """A version of a model and what it came from: the run, the data (`name@version` or a path, by
    channel), the hash of the code, hyperparameters and the last metrics. `object_version` is S3's of the
    object at `path`, where it has versions: another one put in its place is another version."""

    name: str
    version: int
    run: str
    path: str
    created: float
    hash: str = ""
    bytes: int = 0
    files: int = 0
    code: str = ""
    data: Mapping[str, str] = NOTHING
    hyperparameters: Mapping[str, Any] = NOTHING
    metrics: Mapping[str, float] = NOTHING
    object_version: str = ""

    @property
    def ref(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints: the keys are a promise."""
        return shown(self, "name", "version", "run", "metrics", "path", "created")


class Ledger(Protocol):
    """What is remembered. Versions count from 1 and are never used twice."""

    def run(self, run_id: str) -> Run | None:
        """The run of that id with all its attempts."""

    def run_ids(self) -> list[str]:
        """All ids, newest first."""

    def add_dataset(self, staged: DataSet, address: str) -> DataSet:
        """Give what lies at `address` the next version of `staged.name`, and its place; all or nothing."""

    def add_model(self, staged: Model, address: str) -> Model:
        """The same for a model."""

    def datasets(self, name: str | None = None) -> list[DataSet]:
        """All versions, by name and version, the newest last."""

    def models(self, name: str | None = None) -> list[Model]:
        """All versions, by name and version, the newest last."""
