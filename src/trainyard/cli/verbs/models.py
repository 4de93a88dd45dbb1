"""`trainyard models`."""

from __future__ import annotations

import argparse

from ...core.errors import NotFound, nearest
from ...core.ports.ledger import Model
from .. import formatting
from ..parser import add_yard
from ..terminal.table import Column, print_list
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
    parser.epilog = "trainyard models add NAME WHAT makes a version of a run's, a folder or an archive."
    add_yard(parser)


def run(args: argparse.Namespace) -> None:
    yard = yard_of(args)
    found = yard.models(args.name)
    if args.name and not found:
        known = sorted({model.name for model in yard.models()})
        raise NotFound(f"no model is called {args.name!r}", cure=nearest(args.name, known))
    nothing = "no models here; trainyard train makes one"
    print_list(found, _COLUMNS, _row, as_json=args.json, nothing=nothing)


def _row(model: Model) -> list[str]:
    size, age = formatting.size(model.bytes), formatting.age(model.created)
    metrics, path = formatting.metrics(model.metrics), formatting.place(model.path)
    return [model.ref, model.run, metrics, size, age, path]
