"""`trainyard models add`."""

from __future__ import annotations

import argparse

from .. import attached, formatting
from ..parser import add_yard
from ..terminal.table import print_json
from ..yards import yard_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="letters, digits and hyphens")
    text = "a run that left a model (RUN/checkpoints for those), a folder, a file or an archive"
    parser.add_argument("what", metavar="WHAT", help=text)
    add_yard(parser)


def run(args: argparse.Namespace) -> None:
    yard = yard_of(args)
    attached.warn_of_links(args.what)
    made, missing = yard.add_model(args.name, args.what)
    attached.warn(missing)
    if args.json:
        print_json(made.to_json())
        return
    print(f"{made.ref}: {formatting.many(made.files, 'file')}, {formatting.size(made.bytes)}")
