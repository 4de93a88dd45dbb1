"""What happened: a `Run` is one submission of a job, an `Attempt` one try at one of its tasks. Pure data.

Times are seconds since the epoch (UTC); in JSON they are RFC 3339 with milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from ..errors import BadInput
from ..jobs.job import InferenceJob, Job, TrainingJob
from ..record import NOTHING, Record


class State(StrEnum):
    """All the states a run or an attempt can be in, and no others."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        """Whether a run in this state changes no more, but by `resume`."""
        return self in _ENDED


_ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.STOPPED})


class Interruption(Record):
    """An interruption to rehearse: `after` seconds of an attempt's script; `kill` leaves the SIGTERM out."""

    after: float
    kill: bool = False

    def __str__(self) -> str:
        return f"{self.after:g}s" + (":kill" if self.kill else "")

    @classmethod
    def parse(cls, text: str | float | Interruption) -> Interruption:
        """`5`, `5s`, `1.5m`, `5s:kill`; raises `BadInput` for anything else."""
        if isinstance(text, Interruption):
            return text
        import re  # only a rehearsed interruption needs it

        match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(s|m|h)?(:kill)?", str(text).strip())
        if match is None:
            raise BadInput(
                f"{text!r} is not a time", key="--interrupt-at", cure="write seconds, as in 5s or 5s:kill"
            )
        unit = {"s": 1, "m": 60, "h": 3600}[match[2] or "s"]
        return cls(after=float(match[1]) * unit, kill=bool(match[3]))


class Attempt(Record):
    """One try at a task: `train` for all hosts of a training run, else `plan`, `shard-00002`, `commit`.

    `lost_seconds` is the work an interruption cost: from the newest checkpoint's writing to the end.
    """

    number: int
    task: str
    state: State
    reason: str = ""
    started: float | None = None
    finished: float | None = None
    lost_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        lost = None if self.lost_seconds is None else round(self.lost_seconds, 3)
        return {**shown(self, *self._fields), "lost_seconds": lost}


class Channel(Record):
    """Where a channel's data come from: `uri` is a path, `dataset` its `name@version` if it has one, `hash`
    the content that the ledger has of that (`sha256:…`)."""

    uri: str
    dataset: str = ""
    hash: str = ""


class Observation(Record):
    """What an engine saw of a run when it looked.

    `billable_seconds` and `training_seconds` are SageMaker's, over all launches: what is paid for, and what
    the machines ran; None where nobody is paid. `rows_done` and `shards_done` are of that moment.
    `output_hash` is the hash (hex) of the predictions that were committed, in an account.
    """

    state: State
    reason: str = ""
    bad_input: bool = False
    metrics: Mapping[str, float] = NOTHING
    model: str | None = None
    attempts: tuple[Attempt, ...] = ()
    warnings: tuple[str, ...] = ()
    started: float | None = None
    finished: float | None = None
    rows_in: int | None = None
    rows_out: int | None = None
    rows_done: int | None = None
    shards_done: int | None = None
    billable_seconds: int | None = None
    training_seconds: int | None = None
    output_hash: str = ""


_INFINITY = float("inf")
_KEPT = ("metrics", "attempts", "started", "rows_in", "billable_seconds", "training_seconds")
"""What earlier launches of a run leave to the next one."""


class Run(Record):
    """One submission of a job: what was asked for, then what became of it.

    `model` is the version a training run made, or the one that an inference run predicts with
    (`name@version` or a path). `folder` holds everything about the run in plain files, where the yard is
    this machine. `starts_from` is the run of whose checkpoints it began with a copy. `launch` counts how
    often it was submitted: 1, and one more for each `resume`.
    The hashes
    are what is known of what it reads (`sha256:…`, or hex; "" where nothing is): `model_hash` of the model's
    files, `model_object_hash` of what lies at `model_uri`, which can be their archive. `model_version` is
    S3's of the model's object, `wheels` the hash (hex) of the wheels beside its code.
    """

    id: str
    job: Job
    yard: str
    created: float
    code: str = ""
    channels: Mapping[str, Channel] = NOTHING
    interrupt_at: tuple[Interruption, ...] = ()
    model_uri: str = ""
    input: str = ""
    output: str | None = None
    folder: str = ""
    launch: int = 1
    seen: Observation = Observation(state=State.QUEUED)
    model_used: str | None = None
    starts_from: str = ""
    model_hash: str = ""
    model_object_hash: str = ""
    model_version: str = ""
    input_hash: str = ""
    wheels: str = ""

    @property
    def kind(self) -> str:
        """`training` or `inference`."""
        return self.job.kind

    @property
    def is_training(self) -> bool:
        """Whether it is a training run; else it is an inference run."""
        return self.job.kind == TrainingJob.kind

    @property
    def training(self) -> TrainingJob:
        """The job of a training run. Raises TypeError for an inference run."""
        if not isinstance(self.job, TrainingJob):
            raise TypeError(f"{self.id} is no training run")
        return self.job

    @property
    def inference(self) -> InferenceJob:
        """The job of an inference run. Raises TypeError for a training run."""
        if not isinstance(self.job, InferenceJob):
            raise TypeError(f"{self.id} is no inference run")
        return self.job

    @property
    def name(self) -> str:
        return self.job.name

    @property
    def state(self) -> State:
        return self.seen.state

    @property
    def reason(self) -> str:
        """Why it is in this state, in words; never empty once the run has ended."""
        return self.seen.reason

    @property
    def metrics(self) -> Mapping[str, float]:
        """Each metric's last value."""
        return self.seen.metrics

    @property
    def model(self) -> str | None:
        return self.seen.model if self.is_training else self.model_used

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return self.seen.attempts

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.seen.warnings

    @property
    def lost_seconds(self) -> float:
        """The work that all interruptions together have cost, in seconds."""
        return sum(attempt.lost_seconds or 0.0 for attempt in self.attempts)

    def observed(self, seen: Observation) -> Run:
        """The same run as the engine sees it now."""
        return self.replace(seen=seen)

    def again(self) -> Run:
        """The run as it is launched once more: queued, with what came of it before."""
        kept = {name: getattr(self.seen, name) for name in _KEPT}
        return self.replace(launch=self.launch + 1, seen=Observation(state=State.QUEUED, **kept))

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints: the keys are a promise."""
        seen = self.seen
        found: dict[str, Any] = {
            **shown(self, "id", "kind", "name", "yard", "state", "reason", "metrics", "model"),
            "attempts": [attempt.to_json() for attempt in seen.attempts],
            **shown(self, "created"),
            **shown(seen, "started", "finished"),
        }
        if not self.is_training:
            found |= {"output": self.output, "rows_in": seen.rows_in, "rows_out": seen.rows_out}
        if seen.billable_seconds is not None:
            found |= {"billable_seconds": seen.billable_seconds, "training_seconds": seen.training_seconds}
        return found


def shown(record: object, *names: str) -> dict[str, Any]:
    """These attributes of a record as `--json` prints them: times in RFC 3339."""
    found = {name: getattr(record, name) for name in names}
    return {name: _PLAIN[name](value) if name in _PLAIN else value for name, value in found.items()}


def rfc3339(seconds: float | None) -> str | None:
    """`2026-01-31T12:00:00.000Z`, or None for None."""
    if seconds is None:
        return None
    # datetime costs more to import than all of this module: only --json pays for it.
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain_metrics(values: Mapping[str, float]) -> dict[str, float | str]:
    # JSON has no number for nan and infinities: their names, which Python's float takes.
    return {name: value if abs(value) < _INFINITY else str(value) for name, value in values.items()}


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "state": str,
    "metrics": _plain_metrics,
    **dict.fromkeys(("created", "started", "finished"), rfc3339),
}
