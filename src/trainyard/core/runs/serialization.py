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

_AS_THEY_ARE = ("code", "model_uri", "model_used", "input", "output")
_RECORDED = ("model_hash", "model_object_hash", "model_version", "input_hash", "wheels")
_OF_THE_MOMENT = ("rows_done", "shards_done")


def spec_to_record(run: Run) -> dict[str, Any]:
    """What was asked for, which is written once: all of a run but what it is called and what became of it."""
    return {
        "job": job_to_json(run.job),
        "channels": {name: [channel.uri, channel.dataset] for name, channel in run.channels.items()},
        "interrupt_at": [[each.after, each.kill] for each in run.interrupt_at],
        "starts_from": run.starts_from,
        **{name: getattr(run, name) for name in _AS_THEY_ARE},
        "channel_hashes": {name: channel.hash for name, channel in run.channels.items() if channel.hash},
        **{name: getattr(run, name) for name in _RECORDED if getattr(run, name)},
    }


def spec_from_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """What `spec_to_record` wrote, as arguments of `Run`. Raises KeyError, TypeError and ValueError for
    anything else, `BadInput` for a job that is none."""
    hashes = record.get("channel_hashes", {})
    return {
        "job": job_from_json(record["job"]),
        "channels": {
            name: Channel(uri=uri, dataset=ref, hash=hashes.get(name, ""))
            for name, (uri, ref) in record["channels"].items()
        },
        "interrupt_at": tuple(Interruption(after=after, kill=kill) for after, kill in record["interrupt_at"]),
        "starts_from": record.get("starts_from", ""),
        **{name: record[name] for name in _AS_THEY_ARE},
        **{name: record[name] for name in _RECORDED if name in record},
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
    return {name: value for name, value in seen.as_json().items() if name not in _OF_THE_MOMENT}


def observation_from_record(record: Mapping[str, Any]) -> Observation:
    """What `observation_to_record` wrote. Raises KeyError, TypeError and ValueError for anything else."""
    known = _known(record, Observation)
    known["attempts"] = tuple(Attempt(**_known(each, Attempt)) for each in record.get("attempts", ()))
    known["warnings"] = tuple(record.get("warnings", ()))
    return Observation(**known)


def _known(record: Mapping[str, Any], kind: type[Record]) -> dict[str, Any]:
    """The fields of a record of that kind, which has a state."""
    known = {name: record[name] for name in kind._fields if name in record}
    return {**known, "state": State(record["state"])}
