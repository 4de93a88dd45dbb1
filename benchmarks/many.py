"""How long a hundred trivial jobs take, two at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from figures import SECONDS, Figure
from setting import Setting, remove_home
from timing import Command, interleave

_SCRIPT = "print('hello')\n"
_JOB = '[train]\nname = "many"\nentry_script = "train.py"\n'
_OURS = """\
import sys

import trainyard

yard = trainyard.connect()
job = trainyard.TrainingJob(name="many", entry_script="train.py")
runs = [yard.train(job) for _ in range(int(sys.argv[1]))]
for run in runs:
    if run.wait().state != "succeeded":
        sys.exit(f"{run.id}: {run.reason}")
"""
_POOL = """\
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

with ThreadPoolExecutor(2) as pool:
    for done in [pool.submit(subprocess.run, sys.argv[2:], check=True) for _ in range(int(sys.argv[1]))]:
        done.result()
"""
_XARGS, _FUTURES = "xargs -P2 python train.py", "concurrent.futures, two threads"
_SDK, _CLI = "yard.train from Python", "xargs -P2 trainyard train"


def measure(setting: Setting) -> list[Figure]:
    """The same jobs from one Python program, supervisor and home made on the way, and as many commands."""
    count = setting.size(100, 6)
    samples = interleave(_commands(setting, count), max(1, setting.runs // 2), setting.say)
    limits = {name: samples[name] for name in (_XARGS, _FUTURES)}
    return [
        Figure("many", f"{count} jobs: {what}", {what: samples[what]} | limits, what, _XARGS, SECONDS)
        for what in (_SDK, _CLI)
    ]


def _commands(setting: Setting, count: int) -> list[Command]:
    project = setting.project("many", train_py=_SCRIPT, trainyard_toml=_JOB, ours_py=_OURS, pool_py=_POOL)
    sdk, cli = setting.folder / "many-sdk", setting.folder / "many-cli"
    variables, two = setting.variables(), {"TRAINYARD_SLOTS": "2"}
    script: list[str | Path] = [setting.python, "train.py"]
    sdk_argv: list[str | Path] = [setting.python, "ours.py", str(count)]
    pool: list[str | Path] = [setting.python, "pool.py", str(count), *script]
    return [
        Command(_XARGS, _two_at_a_time(count, script), project, variables),
        Command(_FUTURES, pool, project, variables),
        Command(_SDK, sdk_argv, project, setting.variables(sdk, **two), lambda: remove_home(sdk)),
        Command(
            _CLI,
            _two_at_a_time(count, [*setting.trainyard, "train"]),
            project,
            setting.variables(cli, **two),
            lambda: remove_home(cli),
        ),
    ]


def _two_at_a_time(count: int, argv: Sequence[str | Path]) -> list[str]:
    # Each line of input starts the command once, without becoming an argument.
    line = 'i=0; while [ $i -lt $0 ]; do i=$((i+1)); echo $i; done | xargs -P2 -I{} "$@"'
    return ["sh", "-c", line, str(count), *map(str, argv)]
