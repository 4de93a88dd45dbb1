"""Finds the run that a command line means."""

from __future__ import annotations

from ..errors import NotFound
from ..yard import RunHandle, Yard
from .words import on

LATEST = "latest"


def find_run(yard: Yard, word: str) -> RunHandle:
    """The run of that id, of a beginning that only one id has, or the newest for `latest`."""
    if word != LATEST:
        return yard.get(word)
    newest = yard.runs(limit=1)
    if not newest:
        raise NotFound("there are no runs yet", cure=f"start one with `trainyard train{on(yard.name)}`")
    return yard.get(newest[0].id)
