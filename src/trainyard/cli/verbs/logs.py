"""`trainyard logs`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from ...core.ports.engine import LogLine
from ...core.runs.run import rfc3339
from ..parser import add_raw, add_run, add_yard
from ..terminal.table import print_json
from ..yards import yard_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the run has ended")
    add_raw(parser)
    add_yard(parser)


def run(args: argparse.Namespace) -> None:
    yard = yard_of(args)
    found = yard.get(args.run).record
    lines = yard.logs(found, follow=args.follow)
    if args.json:
        _print_objects(lines)
        return
    from ..attached import on_terminal, with_attempts

    for text in on_terminal(with_attempts(yard, found, lines), sys.stdout, raw=args.raw):
        sys.stdout.write(f"{text}\n")
        if args.follow:
            sys.stdout.flush()


def _print_objects(lines: Iterable[LogLine]) -> None:
    for line in lines:
        print_json(
            {"time": rfc3339(line.time), "task": line.task, "attempt": line.attempt, "text": line.text}
        )
