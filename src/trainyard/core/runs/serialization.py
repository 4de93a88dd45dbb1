"""A run as a JSON object and back: the one form in which ledgers write it down. Pure.

Times are seconds since the epoch. What a later version adds is left unread; what an earlier one had not is
taken to be the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..jobs.job import job_from_json, job_to_json
from ..record import Record
from .run import Attempt, Channel, Interruption, Observation, Run, State

_ATTEMPT = tuple(name for name in Attempt._fields if name != "state")
_APART = ("state", "attempts", "rows_done", "shards_done")
_OBSERVATION = tuple(name for name in Observation._fields if name not in _APART)


def spec_to_record(run: Run) -> dict[str, Any]:
    """What was asked for, which is written once: all of a run but what it is called and what became of it."""
    return {
        "job": job_to_json(run.job),
        "code": run.code,
        "channels": {name: [channel.uri, channel.dataset] for name, channel in run.channels.items()},
        "interrupt_at": [[each.after, each.kill] for each in run.interrupt_at],
        "model_uri": run.model_uri,
        "model_used": run.model_used,
        "input": run.input,
        "output": run.output,
    }


def spec_from_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """What `spec_to_record` wrote, as arguments of `Run`. Raises KeyError, TypeError and ValueError for
    anything else, `BadInput` for a job that is none."""
    return {
        "job": job_from_json(record["job"]),
        "code": record["code"],
        "channels": {name: Channel(uri=uri, dataset=ref) for name, (uri, ref) in record["channels"].items()},
        "interrupt_at": tuple(Interruption(after=after, kill=kill) for after, kill in record["interrupt_at"]),
        "model_uri": record["model_uri"],
        "model_used": record["model_used"],
        "input": record["input"],
        "output": record["output"],
    }


def run_to_record(run: Run) -> dict[str, Any]:
    """All of a run but its folder, which is its place on one machine."""
    return {
        "id": run.id,
        "yard": run.yard,
        "created": run.created,
        "launch": run.launch,
        **spec_to_record(run),
        "seen": observation_to_record(run.seen),
    }


def run_from_record(record: Mapping[str, Any], *, folder: str = "") -> Run:
    """The run that `run_to_record` wrote down. Raises as `spec_from_record` does."""
    return Run(
        id=record["id"],
        yard=record["yard"],
        created=record["created"],
        launch=record["launch"],
        folder=folder,
        seen=observation_from_record(record["seen"]),
        **spec_from_record(record),
    )


def observation_to_record(seen: Observation) -> dict[str, Any]:
    """What became of a run; without how far it has come, which is of that moment."""
    return {
        "state": str(seen.state),
        **_plain(seen, _OBSERVATION),
        "attempts": [attempt_to_record(attempt) for attempt in seen.attempts],
    }


def observation_from_record(record: Mapping[str, Any]) -> Observation:
    """What `observation_to_record` wrote. Raises KeyError, TypeError and ValueError for anything else."""
    return Observation(
        state=State(record["state"]),
        attempts=tuple(attempt_from_record(attempt) for attempt in record.get("attempts", ())),
        **{**_known(record, _OBSERVATION), "warnings": tuple(record.get("warnings", ()))},
    )


def attempt_to_record(attempt: Attempt) -> dict[str, Any]:
    """One try at a task."""
    return {"state": str(attempt.state), **_plain(attempt, _ATTEMPT)}


def attempt_from_record(record: Mapping[str, Any]) -> Attempt:
    """What `attempt_to_record` wrote. Raises KeyError, TypeError and ValueError for anything else."""
    return Attempt(state=State(record["state"]), **_known(record, _ATTEMPT))


def _plain(record: Record, names: tuple[str, ...]) -> dict[str, Any]:
    found = record.as_dict()
    return {name: _json(found[name]) for name in names}


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _known(record: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: record[name] for name in names if name in record}
