"""What `train`, `infer` and `resume` have in common: options, and what they print of a plan."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core.jobs.file import JobFile
from ..core.jobs.job import Job
from ..core.ports.engine import Request
from ..core.runs.run import Run
from ..yard.source import going_along
from ..yard.yard import RunHandle, Yard
from . import attached
from .parser import FILE, add_raw, add_yard
from .terminal.table import print_json
from .yards import yard_of


class Shown(NamedTuple):
    """What is shown of a plan: as JSON, and the command line of its script."""

    document: dict[str, Any]
    command: list[str] | None = None


def add_launching(parser: argparse.ArgumentParser) -> None:
    """The options of everything that starts a run."""
    parser.add_argument("--detach", action="store_true", help="print the run's id and leave it to itself")
    parser.add_argument("--dry-run", action="store_true", help="tell what would run, and start nothing")
    add_raw(parser)
    add_yard(parser, has_file=True)


def launch(
    args: argparse.Namespace,
    file: JobFile,
    job: Job,
    plan: Callable[[Yard], Run],
    show: Callable[[Run], Shown],
) -> int:
    """Start the run of a job file that `plan` makes for a yard, or `show` it where that is asked."""
    yard = yard_of(args, start=file.path)
    attached.warn(yard.warnings(job))

    def planned() -> Run:
        run = file.calling(lambda: plan(yard))
        # Here a job reads what its user may read, and nothing goes anywhere.
        attached.warn(going_along(run) if yard.is_remote else ())
        return run

    def start() -> RunHandle:
        run = planned()
        return file.calling(lambda: yard.launch(run))

    if args.dry_run:
        run = planned()
        return _print(run, show(run), file.calling(lambda: yard.requests(run)), args)

    # The usual job file need not be named.
    name = "" if args.file == FILE else args.file
    if args.detach:
        return attached.detach(start(), as_json=args.json, file=name)
    return attached.attach(yard, start, attached.Style(json=args.json, file=name, raw=args.raw))


def _print(plan: Run, shown: Shown, requests: Sequence[Request], args: argparse.Namespace) -> int:
    if args.json:
        sent = [{each.operation: each.parameters} for each in requests]
        print_json(shown.document | ({"requests": sent} if sent else {}))
    elif requests:
        for request in requests:
            print(json.dumps({request.operation: request.parameters}, indent=2))
        print("nothing was started", file=sys.stderr)
    else:
        from . import summary

        summary.print_plan(plan, shown.command)
    return 0
