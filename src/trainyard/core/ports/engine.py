"""The port to what runs jobs, in six verbs. Everything else is written once, above it (`yard/yard.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ..jobs.job import Job
from ..record import Record
from ..runs.run import Observation, Run


class RunQuery(Record):
    """Which runs: those of a job's `name` and of a `kind`, the newest `limit` of them."""

    name: str | None = None
    kind: str | None = None
    limit: int | None = None


class LogLine(NamedTuple):
    """A line of a task's output: `time` in seconds since the epoch, `text` without its newline."""

    time: float
    task: str
    attempt: int
    text: str


class Engine(Protocol):
    """What every engine does. What it cannot do it refuses in `check`, by field."""

    name: str

    def check(self, job: Job) -> None:
        """Raise `Unsupported` naming the job's key that this engine cannot honour."""

    def launch(self, run: Run) -> str:
        """Start the run, or start it again for a higher `run.launch`; the engine's own reference to it.

        Idempotent on (`run.id`, `run.launch`): a launch that is repeated starts nothing new.
        """

    def observe(self, runs: Sequence[Run], *, wait: float = 0.0) -> Mapping[str, Observation]:
        """What became of each run, by id. With `wait`, return as soon as one of them changes its state or
        after that many seconds. A run that is gone is left out."""

    def runs(self, query: RunQuery) -> Iterator[Run]:
        """The runs that match, newest first, colleagues' too."""

    def logs(self, run: Run, *, follow: bool) -> Iterator[LogLine]:
        """All lines so far: in order within a task, by time across tasks. With `follow`, go on until the
        run has ended and its last line is given."""

    def stop(self, run: Run) -> None:
        """Ask the run to end as `stopped`; returns at once, and is silent when it has ended already."""


class Request(NamedTuple):
    """What is sent to start a run: an operation of AWS (`sagemaker:CreateTrainingJob`) and its parameters."""

    operation: str
    parameters: Mapping[str, Any]


class CloudEngine(Engine, Protocol):
    """The port to an engine that is not this machine: what it can say besides the six verbs."""

    predictions: str
    """The address below which predictions lie."""

    def requests(self, run: Run) -> list[Request]:
        """What `launch` would send to start the run, in that order; nothing is sent."""

    def warnings(self, job: Job) -> list[str]:
        """What is allowed of a job and likely not meant there, a line each."""
