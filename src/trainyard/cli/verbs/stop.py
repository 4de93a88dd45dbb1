"""`trainyard stop`."""

from __future__ import annotations

import argparse
import sys

from ...core.runs.run import Run
from ...yard.yard import Yard
from ..parser import add_run, add_yard
from ..terminal.table import print_json
from ..terminal.text import clean
from ..yards import yard_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_yard(parser)


def run(args: argparse.Namespace) -> None:
    yard = yard_of(args)
    found = yard.get(args.run).record
    had_ended = found.state.ended
    if not had_ended:
        found = _stop(yard, found)
    if args.json:
        print_json(found.to_json())
    else:
        verb = " has ended already:" if had_ended else ":"
        print(f"{found.id}{verb} {found.state} ({clean(found.reason)})")


def _stop(yard: Yard, run: Run) -> Run:
    yard.stop(run)
    if sys.stderr.isatty():
        print(f"stopping {run.id} … (Ctrl-C leaves it stopping)", file=sys.stderr, flush=True)
    return yard.wait(run)
