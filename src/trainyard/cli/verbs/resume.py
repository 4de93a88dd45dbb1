"""`trainyard resume`."""

from __future__ import annotations

import argparse
import sys

from ...core.runs.run import Run
from ...yard.yard import RunHandle, Yard
from .. import attached
from ..formatting import place
from ..parser import add_raw, add_run, add_yard
from ..terminal.text import clean
from ..yards import yard_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    text = "run the source as it is now (default: the code that it ran before)"
    parser.add_argument("--with-current-code", action="store_true", help=text)
    parser.add_argument("--detach", action="store_true", help="print the run's id and leave it to itself")
    add_raw(parser)
    add_yard(parser)


def run(args: argparse.Namespace) -> int:
    yard = yard_of(args)
    before = yard.get(args.run).record

    def start() -> RunHandle:
        told = "" if args.json else _code(yard, before, is_current=args.with_current_code)
        resumed = yard.resume(before, with_current_code=args.with_current_code)
        if told:
            print(clean(told), file=sys.stderr, flush=True)
        return resumed

    if args.detach:
        return attached.detach(start(), as_json=args.json, file=args.file)
    seen = max((attempt.number for attempt in before.attempts), default=0)
    style = attached.Style(json=args.json, seen=seen, file=args.file, raw=args.raw)
    return attached.attach(yard, start, style)


def _code(yard: Yard, run: Run, *, is_current: bool) -> str:
    """Which code it runs now, in words."""
    has_changed, source = yard.has_changed(run), place(run.job.source_dir)
    if is_current:
        return f"it runs {source} as it is now" + ("" if has_changed else ", which has not changed")
    if has_changed:
        return f"it runs the code that it ran before; {source} has changed since (see --with-current-code)"
    return "it runs the code that it ran before" + ("" if has_changed is None else ", which has not changed")
