"""`trainyard show`."""

from __future__ import annotations

import argparse

from ..parser import add_run, add_yard
from ..terminal.table import print_json
from ..yards import yard_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_yard(parser)


def run(args: argparse.Namespace) -> None:
    yard = yard_of(args)
    found = yard.get(args.run).record
    if args.json:
        print_json(found.to_json())
        return
    from ..summary import print_run

    print_run(yard, found)
