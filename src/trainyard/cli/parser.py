"""argparse, made to say what is wrong in one line, with the name that was probably meant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from ..core.errors import BadInput, nearest

FILE = "trainyard.toml"
"""The job file where none is named."""


class Parser(argparse.ArgumentParser):
    """A verb's parser: `BadInput` instead of a dump of the usage."""

    def error(self, message: str) -> NoReturn:
        problem = message.removeprefix("argument ")
        raise BadInput(problem, where=self._verb, cure=f"see {self.prog} --help")

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """The arguments, options and positionals in any order."""
        args, unknown = self.parse_known_intermixed_args(list(argv))
        if unknown:
            raise self._unknown(unknown[0])
        return args

    @property
    def _verb(self) -> str:
        return self.prog.partition(" ")[2]

    def _unknown(self, word: str) -> BadInput:
        see = f"(see {self.prog} --help)"
        if not word.startswith("-") or word == "-":
            return BadInput(f"{word!r} is one argument too many", where=self._verb, cure=see.strip("()"))
        known = [option for option in self._option_string_actions if option.startswith("--")]
        cure = nearest(word.partition("=")[0], known)
        return BadInput(f"unknown option {word!r}", where=self._verb, cure=f"{cure} {see}")


def run(name: str, module: str, summary: str, argv: Sequence[str]) -> int:
    """Parse the arguments of the verb `name`, which a module here does, and do it; the exit status,
    of which a verb says nothing where it is 0."""
    verb = import_module(f".verbs.{module}", __package__)
    description = summary[:1].upper() + summary[1:] + "."
    parser = Parser(prog=f"trainyard {name}", description=description, allow_abbrev=False)
    verb.add_arguments(parser)
    return verb.run(parser.parse(argv)) or 0


def add_yard(parser: argparse.ArgumentParser, *, has_file: bool = False) -> None:
    """The options that every verb has that works in a yard; `has_file`: it names its job file already."""
    if not has_file:
        text = f"the job file whose yard is meant (default: the yard is found from here, as by ./{FILE})"
        parser.add_argument("--file", metavar="FILE", default="", help=text)
    parser.add_argument(
        "--on",
        metavar="YARD",
        default="local",
        help="local, sandbox or an environment of the job file (default: local)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line, and nothing else")


def add_environment(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """The arguments that name an environment and its job file; required where there is no default."""
    text = f"the environment (default: {default})" if default else "the environment"
    parser.add_argument(
        "environment", metavar="ENV", nargs="?" if default else None, default=default, help=text
    )
    parser.add_argument("--file", metavar="FILE", default=FILE, help=f"the job file (default: ./{FILE})")


def add_run(parser: argparse.ArgumentParser) -> None:
    """The argument that names a run."""
    parser.add_argument("run", metavar="RUN", help="a run's id, a beginning that only one id has, or latest")


def add_raw(parser: argparse.ArgumentParser) -> None:
    """The option of every verb that shows a job's output."""
    text = "on a terminal, pass every escape sequence of the job's output"
    parser.add_argument("--raw", action="store_true", help=text)


def natural(text: str) -> int:
    """A number of 0 or more, for `type=`."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return number
