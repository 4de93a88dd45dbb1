"""`worker VERB SPEC.json`: runs a verb of an inference run, and reports what goes wrong."""

from __future__ import annotations

import sys
from typing import Any, Sequence

from . import commit, plan, shard
from .blame import announce, failure
from .files import read_json, write_json

VERBS = {"plan": plan.run, "shard": shard.run, "commit": commit.run}


def main(arguments: Sequence[str]) -> int:
    """Run a verb on the JSON document it names.

    0 when done; 1 otherwise, with the reason at the spec's `report`.
    """
    if len(arguments) != 2 or arguments[0] not in VERBS:
        sys.stderr.write(f"usage: worker {'|'.join(VERBS)} SPEC.json\n")
        return 1
    spec: dict[str, Any] = {}
    try:
        spec = read_json(arguments[1])
        VERBS[arguments[0]](spec)
        sys.stdout.flush()
    # A handler may raise anything, SystemExit too, and the run must have a reason for all of it.
    except BaseException as error:
        _report(failure(error, spec.get("code", "")), spec.get("report"))
        return 1
    return 0


def _report(report: dict[str, Any], path: str | None) -> None:
    announce(report)
    if path is None:
        return
    try:
        write_json(path, report)
    except OSError as error:
        sys.stderr.write(f"the report could not be written: {error}\n")
