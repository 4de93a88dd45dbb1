"""Times commands as whole processes, in turn: A B A B …, so that a machine that drifts drifts for all."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST = 600.0
"""Seconds after which a command is killed."""

Samples = dict[str, list[float]]
"""Seconds of every counted run, by the command's name."""


class CommandFailed(Exception):
    """A command that is timed did not end with status 0."""


def nothing() -> None:
    """For commands that need nothing done before each run."""


@dataclass(frozen=True)
class Command:
    """What is timed. `prepare` is called before every run, untimed. A peer may fail, the rest may not."""

    name: str
    argv: Sequence[str | Path]
    folder: Path
    variables: Mapping[str, str]
    prepare: Callable[[], None] = nothing
    is_peer: bool = False


def interleave(commands: Sequence[Command], runs: int, say: Callable[[str], None]) -> Samples:
    """Seconds of `runs` runs of each command, after one of each that does not count.

    A peer that fails is named to `say` and left out; raises `CommandFailed` for any other.
    """
    able = [command for command in commands if _warms_up(command, say)]
    samples: Samples = {command.name: [] for command in able}
    for _ in range(runs):
        for command in able:
            samples[command.name].append(_seconds(command))
    return samples


def over(ours: Sequence[float], limit: Sequence[float]) -> float:
    """The median of what each run of ours took longer than the run of the limit beside it, in seconds."""
    return statistics.median(a - b for a, b in zip(ours, limit, strict=True))


def ratio(ours: Sequence[float], other: Sequence[float]) -> float:
    """The median of ours / other, run by run."""
    return statistics.median(a / b for a, b in zip(ours, other, strict=True))


def _warms_up(command: Command, say: Callable[[str], None]) -> bool:
    try:
        _seconds(command)
    except CommandFailed as failure:
        if not command.is_peer:
            raise
        say(f"left out: {failure}")
        return False
    return True


def _seconds(command: Command) -> float:
    command.prepare()
    # A file and not a pipe: nobody has to read it while the clock runs.
    with tempfile.TemporaryFile() as errors:
        argv = [str(word) for word in command.argv]
        began = time.perf_counter()
        process = subprocess.Popen(
            argv,
            cwd=command.folder,
            env=dict(command.variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        # Popen.wait(timeout) would poll, and round the time up.
        watchdog = threading.Timer(LONGEST, process.kill)
        watchdog.start()
        status = process.wait()
        seconds = time.perf_counter() - began
        watchdog.cancel()
        if status != 0:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
            raise CommandFailed(f"{command.name}: status {status}: {lines[-1] if lines else 'no message'}")
    return seconds
