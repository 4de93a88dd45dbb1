"""How long it takes to start: the import and the help, over a bare Python start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import peers
from figures import Figure
from setting import Setting
from timing import Command, Samples, interleave

_BARE, _IMPORT, _HELP = "python -c pass", "import trainyard", "trainyard --help"


def measure(setting: Setting) -> list[Figure]:
    """The import (at most 40 ms over Python) and the help (at most 60 ms)."""
    samples = interleave(_commands(setting), setting.runs, setting.say)
    imports = [name for name in samples if name.endswith(" import")]
    helps = [name for name in samples if name.endswith(" --help") and name != _HELP]
    return [
        Figure("start", _IMPORT, _of(samples, _IMPORT, imports), _IMPORT, _BARE, most_over=0.040),
        Figure("start", _HELP, _of(samples, _HELP, helps), _HELP, _BARE, most_over=0.060),
    ]


def _commands(setting: Setting) -> list[Command]:
    here, variables = setting.folder, setting.variables()
    commands = [
        Command(_BARE, [setting.python, "-c", "pass"], here, variables),
        Command(_IMPORT, [setting.python, "-c", "import trainyard"], here, variables),
        Command(_HELP, [*setting.trainyard, "--help"], here, variables),
    ]
    for name in peers.VERSIONS:
        python = peers.python_of(name, setting)
        if python:
            commands += _of_peer(name, python, here, variables)
    return commands


def _of_peer(name: str, python: Path, here: Path, variables: Mapping[str, str]) -> list[Command]:
    importing: list[str | Path] = [python, "-c", f"import {name}"]
    commands = [Command(f"{name} import", importing, here, variables, is_peer=True)]
    # The SageMaker SDK has no command.
    if python.with_name(name).exists():
        helping: list[str | Path] = [python.with_name(name), "--help"]
        commands.append(Command(f"{name} --help", helping, here, variables, is_peer=True))
    return commands


def _of(samples: Samples, ours: str, others: Sequence[str]) -> Samples:
    return {name: samples[name] for name in (ours, _BARE, *others)}
