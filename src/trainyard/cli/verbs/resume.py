"""`trainyard resume`."""

from __future__ import annotations

import argparse

from .. import attached
from ..parser import add_raw, add_run, add_yard
from ..yards import yard_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--detach", action="store_true", help="print the run's id and leave it to itself")
    add_raw(parser)
    add_yard(parser)


def run(args: argparse.Namespace) -> int:
    yard = yard_of(args)
    before = yard.get(args.run).record
    if args.detach:
        return attached.detach(yard.resume(before), as_json=args.json, file=args.file)
    seen = max((attempt.number for attempt in before.attempts), default=0)
    style = attached.Style(json=args.json, seen=seen, file=args.file, raw=args.raw)
    return attached.attach(yard, lambda: yard.resume(before), style)
