"""`trainyard pull`."""

from __future__ import annotations

import argparse

from ...yard.yard import LATEST
from .. import formatting
from ..parser import add_yard
from ..terminal.table import print_json
from ..terminal.text import clean
from ..yards import yard_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        metavar="WHAT",
        help="name@version of a model or data set (models/… or data/… where both have it), or a run",
    )
    parser.add_argument(
        "target", metavar="DIR", nargs="?", help="a new or empty folder (default: named after WHAT)"
    )
    add_yard(parser)


def run(args: argparse.Namespace) -> None:
    yard = yard_of(args)
    what = yard.get(LATEST).id if args.what == LATEST else args.what
    folder, files, size = yard.pull(what, args.target)
    if args.json:
        print_json({"what": what, "folder": folder, "files": files, "bytes": size})
        return
    print(f"{clean(formatting.place(folder))}: {formatting.many(files, 'file')}, {formatting.size(size)}")
