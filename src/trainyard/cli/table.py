"""Tables: aligned and cut to its width on a terminal, tab-separated elsewhere; or JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .words import clean


class Column(NamedTuple):
    """A column: `whole` is never cut or wrapped, `right` is aligned right."""

    title: str
    whole: bool = False
    right: bool = False


def print_json(content: Mapping[str, Any]) -> None:
    """One object, on one line of stdout."""
    print(json.dumps(content, allow_nan=False), flush=True)


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, nothing: str) -> None:
    """A table on stdout: with a header and cut to the width on a terminal; tab-separated and bare elsewhere.

    `nothing` is said on stderr when there are no rows and somebody is looking.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            print("\t".join(row))
    elif cells:
        _draw(columns, cells)
    else:
        print(nothing, file=sys.stderr)


def _draw(columns: Sequence[Column], rows: list[list[str]]) -> None:
    # rich costs a tenth of a second: only a table on a terminal pays for it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, column in enumerate(columns):
        longest = max(Text(row[index]).cell_len for row in rows)
        table.add_column(
            column.title,
            no_wrap=True,
            overflow="ignore" if column.whole else "ellipsis",
            min_width=longest if column.whole else None,
            justify="right" if column.right else "left",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
