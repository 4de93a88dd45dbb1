"""`trainyard pull`."""

from __future__ import annotations

import argparse

from .. import attached, formatting
from ..parser import add_yard
from ..terminal.table import print_json
from ..terminal.text import clean
from ..yards import yard_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        metavar="WHAT",
        help="name@version of a model or data set (models/… or data/… where both have it), a run, or a part "
        "of what it left: RUN/model, RUN/output, RUN/checkpoints",
    )
    parser.add_argument(
        "target", metavar="DIR", nargs="?", help="a new or empty folder (default: named after WHAT)"
    )
    add_yard(parser)


def run(args: argparse.Namespace) -> None:
    yard = yard_of(args)
    folder, files, size, missing = yard.pull(args.what, args.target)
    attached.warn(missing)
    if args.json:
        what = {"what": args.what, "folder": folder, "files": files, "bytes": size}
        print_json({**what, "missing": list(missing)})
        return
    print(f"{clean(formatting.place(folder))}: {formatting.many(files, 'file')}, {formatting.size(size)}")
