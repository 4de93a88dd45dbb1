"""Tables: aligned and cut to its width on a terminal, tab-separated elsewhere; or JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from .text import bold, clean, fit, span

_GAP = "  "
_NARROW = 10


class Column(NamedTuple):
    """A column: `whole` is never cut or wrapped, `right` is aligned right."""

    title: str
    whole: bool = False
    right: bool = False


def print_json(content: Mapping[str, Any]) -> None:
    """One object, on one line of stdout."""
    print(json.dumps(content, allow_nan=False), flush=True)


class Listed(Protocol):
    """What is listed."""

    def to_json(self) -> dict[str, Any]: ...


_Listed = TypeVar("_Listed", bound=Listed)


def print_list(
    found: Iterable[_Listed],
    columns: Sequence[Column],
    row: Callable[[_Listed], Sequence[str]],
    *,
    as_json: bool,
    nothing: str,
) -> None:
    """All that was found: as a table, or as JSON, one object a line."""
    if not as_json:
        print_table(columns, map(row, found), nothing=nothing)
        return
    for each in found:
        print_json(each.to_json())


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
    import shutil  # 4 ms, for a table on a terminal alone

    widths = widths_of(columns, rows, shutil.get_terminal_size().columns)
    print(bold(line_of(columns, widths, [column.title for column in columns])))
    for row in rows:
        print(line_of(columns, widths, row))


def line_of(columns: Sequence[Column], widths: list[int], row: Sequence[str]) -> str:
    """A row of a table, its cells as wide as the columns; 0 leaves one out."""
    cells = []
    for column, width, text in zip(columns, widths, row, strict=True):
        if width:
            text = fit(text, width)
            blank = " " * (width - span(text))
            cells.append(blank + text if column.right else text + blank)
    return _GAP.join(cells).rstrip()


def widths_of(columns: Sequence[Column], rows: list[list[str]], room: int) -> list[int]:
    """Columns that may be cut share what is missing, the widest first; where that is not enough, the last
    of them are left out (0), but never a whole one."""
    found = [
        max(span(column.title), *(span(row[index]) for row in rows)) for index, column in enumerate(columns)
    ]
    flexible = [index for index, column in enumerate(columns) if not column.whole]
    while (missing := _total(found) - room) > 0 and any(found[index] > _NARROW for index in flexible):
        ranked = sorted((found[index] for index in flexible), reverse=True)
        widest = max(flexible, key=lambda index: found[index])
        floor = max(_NARROW, ranked[1] if len(ranked) > 1 and ranked[1] < ranked[0] else _NARROW)
        found[widest] = max(floor, found[widest] - missing)
    for index in reversed(flexible):
        if _total(found) > room:
            found[index] = 0
    return found


def _total(widths: list[int]) -> int:
    shown = [width for width in widths if width]
    return sum(shown) + len(_GAP) * (len(shown) - 1)
