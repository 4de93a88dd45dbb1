"""The yard that a command line names."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..core.errors import NotFound
from ..yard.connection import connect
from ..yard.yard import RunHandle, Yard
from .formatting import many, on, size
from .terminal.screen import is_live

if TYPE_CHECKING:
    from ..yard.connection import Progress

_WORTH_TELLING = 1 << 20
_MANY = 100


def yard_of(args: argparse.Namespace, *, start: str = ".") -> Yard:
    """The yard of `--on`, looked for from the folder or job file `start`. On a terminal, what it sends and
    fetches is counted on stderr."""
    return connect(args.on, start=start, progress=counter())


def counter() -> Progress | None:
    """What counts a transfer on the last line of the terminal; None where there is none."""
    if not is_live(sys.stderr):
        return None

    def tell(done: int, total: int, files_done: int, files: int) -> None:
        if total < _WORTH_TELLING and files < _MANY:
            return
        left = done < total or files_done < files
        text = f"{size(done)} of {size(total)}, {files_done:,} of {many(files, 'file')}" if left else ""
        sys.stderr.write(f"\r\x1b[2K{text}")
        sys.stderr.flush()

    return tell


LATEST = "latest"


def find_run(yard: Yard, word: str) -> RunHandle:
    """The run of that id, of a beginning that only one id has, or the newest for `latest`."""
    if word != LATEST:
        return yard.get(word)
    newest = yard.runs(limit=1)
    if not newest:
        raise NotFound("there are no runs yet", cure=f"start one with `trainyard train{on(yard.name)}`")
    return yard.get(newest[0].id)
