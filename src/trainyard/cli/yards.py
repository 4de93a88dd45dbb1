"""The yard that a command line names."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from ..core.errors import BadInput
from ..yard.connection import connect, is_found_here
from ..yard.yard import Yard
from .formatting import by_file, many, on, size
from .terminal.screen import is_live

if TYPE_CHECKING:
    from ..yard.connection import Progress

_WORTH_TELLING = 1 << 20
_MANY = 100


def yard_of(args: argparse.Namespace, *, start: str = "") -> Yard:
    """The yard of `--on`, looked for from the job file `start`, from that of `--file` or from here. On a
    terminal, what it sends and fetches is counted on stderr."""
    start = start or args.file
    if start and not os.path.isfile(start):
        raise BadInput("no such job file", where=start, key="--file")
    return connect(args.on, start=start or ".", progress=counter())


def at(yard: str, file: str = "") -> str:
    """What names a yard in a command that is told, where `file` is the job file that was named ("": the usual
    one): ` --on dev --file there/trainyard.toml`, and nothing that does not need to be said."""
    return on(yard) + ("" if not file or is_found_here(yard, file) else by_file(file))


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
