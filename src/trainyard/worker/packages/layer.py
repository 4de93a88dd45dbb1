"""What a source requires, installed on top of what an interpreter has, and never into it.

A layer is a virtual environment that sees the packages below it: what is there counts as installed, another
version of it shadows that one, and what lies below stays untouched. Commands of the packages below, such as
`torchrun`, are there too, run by the layer's own interpreter. An isolated environment sees nothing below it.
"""

from __future__ import annotations

import os
import shutil
from typing import Callable, Iterator, Mapping, NamedTuple, Sequence

from ..protocol import OWN_WHEELS
from .interpreter import Facts
from .requirements import wanted, what_of
from .tools import failed, find_uv, tool_environ

Run = Callable[[Sequence[str], Mapping[str, str], str], "tuple[int, bytes]"]
"""Runs a command with an environment in a folder: its status, 0 for success, and the end of its output."""

# A path may be longer than the kernel takes after `#!`, or have spaces in it.
_COMMAND = """#!/bin/sh
'''exec' '{python}' "$0" "$@"
' '''
import sys
from {module} import {first}
sys.argv[0] = {name!a}
sys.exit({attribute}())
"""


class Installation(NamedTuple):
    """Where things are: the source with what it requires, the environment to make, the interpreter below it,
    and wheels that came with the source, from which alone is installed then."""

    source: str
    folder: str
    below: Facts
    wheels: str = ""
    isolated: bool = False

    @property
    def python(self) -> str:
        return os.path.join(self.folder, "bin", "python")


def install(installation: Installation, variables: Mapping[str, str], run: Run) -> None:
    """Make the environment, in the place of what is in its folder. `variables` are the surroundings' own.

    Raises RequirementsFailed when it cannot be made, and whatever `run` raises.
    """
    environ, python = tool_environ(variables), installation.python

    def execute(*command: str, folder: str = installation.source) -> None:
        status, output = run(command, environ, folder)
        if status:
            raise failed(what_of(installation.source), command[0], status, output)

    if os.path.isdir(installation.folder):
        shutil.rmtree(installation.folder)
    uv = find_uv(environ) if installation.isolated else ""
    # Made elsewhere than in the source, whose project file is not to choose another interpreter.
    elsewhere = os.path.dirname(os.path.abspath(installation.folder))
    os.makedirs(elsewhere, exist_ok=True)
    below = installation.below
    if uv:
        execute(uv, "venv", "--quiet", "--python", below.python, installation.folder, folder=elsewhere)
        install_with = [uv, "pip", "install", "--python", python, "--compile-bytecode"]
    else:
        execute(below.python, "-m", "venv", "--without-pip", installation.folder, folder=elsewhere)
        if not installation.isolated:
            _show(below.below, installation.folder)
        # Seen through the layer, the interpreter's own pip installs into it; ensurepip takes seconds.
        if installation.isolated or not below.has_pip:
            execute(python, "-m", "ensurepip", folder=elsewhere)
        install_with = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        install_with += ["--progress-bar", "off"]
    options, built = _wheels(installation.wheels)
    what = wanted(installation.source)
    if built:
        what = [*(word for word in what if word != "."), *built]
    if what:
        execute(*install_with, *options, *what)
    if not installation.isolated:
        _write_commands(below.below, installation.folder, python)


def _show(folders: Sequence[str], environment: str) -> None:
    """Have an environment see the packages in these folders, and what their `.pth` files name."""
    libraries = os.path.join(environment, "lib")
    [version] = os.listdir(libraries)
    path = os.path.join(libraries, version, "site-packages", "below.pth")
    with open(path, "w", encoding="ascii") as stream:
        stream.writelines(f"import site; site.addsitedir({folder!a})\n" for folder in folders)


def _wheels(folder: str) -> tuple[list[str], list[str]]:
    """The options that install from these wheels alone, and the wheels of the source itself, which lie in a
    folder of their own."""
    own = os.path.join(folder, OWN_WHEELS)
    if not folder or not os.path.isdir(folder):
        return [], []
    built = [os.path.join(own, name) for name in sorted(os.listdir(own))] if os.path.isdir(own) else []
    return ["--no-index", "--find-links", folder], built


def _write_commands(folders: Sequence[str], environment: str, python: str) -> None:
    """The console scripts of the packages in these folders, but those that the environment has already."""
    for name, module, attribute in _console_scripts(folders):
        path = os.path.join(environment, "bin", name)
        if os.path.lexists(path):
            continue
        text = _COMMAND.format(
            python=python.replace("'", "'\"'\"'"),
            module=module,
            first=attribute.partition(".")[0],
            name=path,
            attribute=attribute,
        )
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text)
        os.chmod(path, 0o755)


def _console_scripts(folders: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    from configparser import ConfigParser, Error

    for folder in folders:
        for entry in sorted(os.listdir(folder)):
            path = os.path.join(folder, entry, "entry_points.txt")
            if not entry.endswith((".dist-info", ".egg-info")) or not os.path.isfile(path):
                continue
            parser = ConfigParser(delimiters=("=",), interpolation=None, strict=False)
            # Names of commands differ in case too.
            parser.optionxform = str  # type: ignore[assignment, method-assign]
            try:
                parser.read(path, encoding="utf-8")
                found = parser.items("console_scripts") if parser.has_section("console_scripts") else []
            except (Error, ValueError):
                continue
            for name, value in found:
                module, _, attribute = (value or "").partition("[")[0].strip().partition(":")
                if module and attribute and os.sep not in name:
                    yield name, module.strip(), attribute.strip()
