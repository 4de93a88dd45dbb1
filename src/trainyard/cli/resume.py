"""`trainyard resume`."""

from __future__ import annotations

import argparse

from ..connection import connect
from . import attached
from .finding import find_run
from .parser import add_run, add_yard


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--detach", action="store_true", help="print the run's id and leave it to itself")
    add_yard(parser)


def run(args: argparse.Namespace) -> int:
    yard = connect(args.on)
    before = find_run(yard, args.run).record
    if args.detach:
        return attached.detach(yard.resume(before), as_json=args.json)
    seen = max((attempt.number for attempt in before.attempts), default=0)
    return attached.attach(yard, lambda: yard.resume(before), attached.Style(json=args.json, seen=seen))
