"""What `deploy` and `destroy` share on the command line: options, questions, and progress lines."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..core.environments.environment import Environment
from ..core.environments.file import load_environment
from ..core.errors import BadInput
from ..deploy.stacks.events import ResourceProgress
from .formatting import clock, duration
from .terminal.screen import Screen
from .terminal.table import print_json
from .terminal.text import clean, red

_UNDER_WAY = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of every verb that changes an account."""
    add = parser.add_argument
    add("--yes", action="store_true", help="do not ask")
    add("--json", action="store_true", help="print one JSON object at the end, and the rest on stderr")


def environment_of(args: argparse.Namespace) -> Environment:
    """The environment that the arguments name."""
    return load_environment(args.file, args.environment)


def refuse_silence(args: argparse.Namespace) -> None:
    """Raises `BadInput` where there is a question to ask and nobody to answer it."""
    if not args.yes and not sys.stdin.isatty():
        raise BadInput("there is no terminal to ask on; nothing was done", cure="say --yes")


def report(
    head: Mapping[str, Any], *, stacks: list[dict[str, str]], outputs: Mapping[str, str], reason: str = ""
) -> None:
    """Print the one JSON object of a verb that is done, or has failed for a reason."""
    print_json({**head, "reason": reason, "stacks": stacks, "outputs": dict(outputs)})


def asked(question: str) -> str:
    """What a person answers; nothing where they close the terminal's input."""
    print(question, end="", file=sys.stderr, flush=True)
    try:
        return input().strip()
    except EOFError:
        print(file=sys.stderr)
        return ""


class Narrator:
    """A `Reporter` on the terminal: lines on stdout, or all on stderr where stdout is for JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._screen = Screen()

    def say(self, line: str) -> None:
        """A line of text, with nothing in it that could move the cursor."""
        self.show(clean(line))

    def show(self, line: str) -> None:
        """A line of text as it is."""
        (self._screen.say if self._as_json else self._screen.print)(line)

    @property
    def warn(self) -> Callable[[str], str]:
        """How a line is marked that is to be seen."""
        return red if (sys.stderr if self._as_json else sys.stdout).isatty() else str

    def progress(self, progress: ResourceProgress) -> None:
        """A line for a resource that is done."""
        line = (
            f"  {progress.action:<6}  {progress.type:<47}  {progress.resource}  {duration(progress.seconds)}"
        )
        self.say(f"{line}  {progress.reason}" if progress.action == "failed" else line)

    @contextmanager
    def during(self, what: str, under_way: Mapping[str, float]) -> Iterator[None]:
        """On a terminal, a last line that tells how long it takes and what is under way."""
        began = time.monotonic()

        def status() -> str:
            names = sorted(dict(under_way))
            more = f" and {len(names) - _UNDER_WAY} more" if len(names) > _UNDER_WAY else ""
            return f"{what}  {clock(time.monotonic() - began)}  {', '.join(names[:_UNDER_WAY])}{more}"

        before = self._screen
        with Screen(status) as screen:
            self._screen = screen
            try:
                yield
            finally:
                self._screen = before
