"""`trainyard data`."""

from __future__ import annotations

import argparse

from ...core.errors import NotFound, nearest
from ...core.ports.ledger import DataSet
from .. import formatting
from ..parser import add_yard
from ..terminal.table import Column, print_list
from ..yards import yard_of

_COLUMNS = (
    Column("DATA SET", whole=True),
    Column("FILES", whole=True, right=True),
    Column("SIZE", whole=True, right=True),
    Column("AGE", whole=True, right=True),
    Column("HASH"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="only the versions of that data set")
    parser.epilog = "trainyard data push NAME PATH makes a new version."
    add_yard(parser)


def run(args: argparse.Namespace) -> None:
    yard = yard_of(args)
    found = yard.data(args.name)
    if args.name and not found:
        raise NotFound(f"no data set is called {args.name!r}", cure=_cure(args.name, yard.data()))
    nothing = "no data sets here; trainyard data push NAME PATH makes one"
    print_list(found, _COLUMNS, _row, as_json=args.json, nothing=nothing)


def _row(version: DataSet) -> list[str]:
    size, age = formatting.size(version.bytes), formatting.age(version.created)
    return [version.ref, f"{version.files:,}", size, age, version.hash]


def _cure(word: str, known: list[DataSet]) -> str:
    names = sorted({dataset.name for dataset in known})
    # A misspelt `data push` lands here too.
    meant = nearest(word, ["push", *names])
    if meant.startswith("did"):
        return meant
    return nearest(word, names) or "trainyard data push NAME PATH makes one"
