"""`trainyard runs`."""

from __future__ import annotations

import argparse

from ...core.runs.run import Run
from .. import formatting
from ..parser import add_yard, natural
from ..terminal.table import Column, print_list
from ..yards import yard_of

_COLUMNS = (
    Column("RUN", whole=True),
    Column("KIND", whole=True),
    Column("STATE", whole=True),
    Column("REASON"),
    Column("METRICS"),
    Column("AGE", whole=True, right=True),
    Column("TIME", whole=True, right=True),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="NAME", help="only the runs of the job of that name")
    parser.add_argument(
        "--limit", metavar="N", type=natural, default=20, help="the newest N; 0: all (default: 20)"
    )
    add_yard(parser)


def run(args: argparse.Namespace) -> None:
    found = yard_of(args).runs(name=args.name, limit=args.limit or None)
    nothing = "no runs here; trainyard train starts one"
    print_list(found, _COLUMNS, _row, as_json=args.json, nothing=nothing)


def _row(run: Run) -> list[str]:
    from ..summary import ran_for

    return [
        run.id,
        run.kind,
        str(run.state),
        run.reason,
        formatting.metrics(run.metrics),
        formatting.age(run.created),
        formatting.duration(ran_for(run)),
    ]
