"""`trainyard data push`."""

from __future__ import annotations

import argparse

from .. import attached, formatting
from ..parser import add_yard
from ..terminal.table import print_json
from ..yards import yard_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="letters, digits and hyphens")
    parser.add_argument("path", metavar="PATH", help="a file or a folder")
    add_yard(parser)


def run(args: argparse.Namespace) -> None:
    yard = yard_of(args)
    attached.warn_of_links(args.path)
    pushed, is_new = yard.push(args.name, args.path)
    if args.json:
        print_json(pushed.to_json())
        return
    found = f"{formatting.many(pushed.files, 'file')}, {formatting.size(pushed.bytes)}"
    print(f"{pushed.ref}: {found}{'' if is_new else ' (unchanged: no new version)'}")
