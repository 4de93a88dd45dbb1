"""What `train`, `infer` and `resume` have in common: options, and what they print of a plan."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..core.errors import BadInput
from ..core.files.toml import located
from ..core.ports.engine import Request
from .parser import FILE, add_yard

_Made = TypeVar("_Made")


def add_launching(parser: argparse.ArgumentParser) -> None:
    """The options of everything that starts a run."""
    parser.add_argument("--detach", action="store_true", help="print the run's id and leave it to itself")
    parser.add_argument("--dry-run", action="store_true", help="tell what would run, and start nothing")
    add_yard(parser)


def named(file: str) -> str:
    """The job file where it has to be named, nothing for the usual one."""
    return "" if file == FILE else file


def in_file(file: str, make: Callable[[], _Made]) -> _Made:
    """Call `make`; an error about a key of the job names the file and the line."""
    try:
        return make()
    except BadInput as error:
        if not error.where and error.key.startswith(("train.", "infer.")):
            raise located(error, file) from None
        raise


def tell_requests(requests: Sequence[Request]) -> int:
    """Print the requests that would start a run, a JSON document each."""
    for request in requests:
        print(json.dumps({request.operation: request.parameters}, indent=2))
    print("nothing was started", file=sys.stderr)
    return 0


def as_json(requests: Sequence[Request]) -> dict[str, list[dict[str, Any]]]:
    """The key `requests` of a plan in an account; nothing for one on this machine."""
    return {"requests": [{each.operation: each.parameters} for each in requests]} if requests else {}
