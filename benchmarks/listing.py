"""How long the list of runs takes where there are many."""

from __future__ import annotations

from figures import Figure
from setting import Setting
from timing import Command, interleave

_JOB = '[train]\nname = "listed"\nentry_script = "train.py"\n'
_FILL = """\
import sys

import trainyard

yard = trainyard.connect()
job = trainyard.TrainingJob(name="listed", entry_script="train.py", metrics={"loss": "loss=([0-9.]+)"})
runs = [yard.train(job) for _ in range(int(sys.argv[1]))]
for run in runs:
    if run.wait().state != "succeeded":
        sys.exit(f"{run.id}: {run.reason}")
"""
_BARE, _LATEST, _ALL = "python -c pass", "trainyard runs", "trainyard runs --limit 0"


def measure(setting: Setting) -> list[Figure]:
    """The latest runs, and all of them, with 1,000 real ones in the ledger."""
    count = setting.size(1000, 20)
    project = setting.project("list", train_py="print('loss=0.5')\n", trainyard_toml=_JOB, fill_py=_FILL)
    home = setting.folder / "list-home"
    variables = setting.variables(home)
    setting.say(f"making {count} runs to list")
    setting.run(setting.python, "fill.py", count, folder=project, variables=variables)
    commands = [
        Command(_BARE, [setting.python, "-c", "pass"], project, variables),
        Command(_LATEST, [*setting.trainyard, "runs"], project, variables),
        Command(_ALL, [*setting.trainyard, "runs", "--limit", "0"], project, variables),
    ]
    samples = interleave(commands, setting.runs, setting.say)
    return [
        Figure(
            "list",
            f"{what}, of {count}",
            {what: samples[what], _BARE: samples[_BARE]},
            what,
            _BARE,
        )
        for what in (_LATEST, _ALL)
    ]
