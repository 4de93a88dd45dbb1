"""`trainyard models`."""

from __future__ import annotations

import argparse

from ...core.errors import NotFound, nearest
from .. import formatting
from ..parser import add_yard
from ..terminal.table import Column, print_json, print_table
from ..yards import yard_of

_COLUMNS = (
    Column("MODEL", whole=True),
    Column("RUN", whole=True),
    Column("METRICS"),
    Column("SIZE", whole=True, right=True),
    Column("AGE", whole=True, right=True),
    Column("PATH"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="only the versions of that model")
    add_yard(parser)


def run(args: argparse.Namespace) -> int:
    yard = yard_of(args)
    found = yard.models(args.name)
    if args.name and not found:
        known = sorted({model.name for model in yard.models()})
        raise NotFound(f"no model is called {args.name!r}", cure=nearest(args.name, known))
    if args.json:
        for model in found:
            print_json(model.to_json())
        return 0
    rows = [
        [
            model.ref,
            model.run,
            formatting.metrics(model.metrics),
            formatting.size(model.bytes),
            formatting.age(model.created),
            formatting.place(model.path),
        ]
        for model in found
    ]
    print_table(_COLUMNS, rows, nothing="no models here; trainyard train makes one")
    return 0
