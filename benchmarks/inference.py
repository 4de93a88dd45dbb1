"""How many rows a second batch inference predicts, beside the loop that one would write by hand."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from figures import SECONDS, Figure
from setting import Setting
from timing import Command, interleave

_SHARDS = 2
_JOB = '[infer]\nname = "rates"\nhandler = "predict.py"\nbatch_size = 256\n'
_HANDLERS = {
    "rows": (
        'def predict_fn(batch, model):\n    return [float(row["x"]) + float(row["y"]) for row in batch]\n'
    ),
    "columns": (
        'import numpy as np\n\nbatch_format = "columns"\n\n\n'
        "def predict_fn(batch, model):\n"
        '    return np.asarray(batch["x"], dtype=float) + np.asarray(batch["y"], dtype=float)\n'
    ),
    "arrow": (
        'import pyarrow as pa\nimport pyarrow.compute as pc\n\nbatch_format = "arrow"\n\n\n'
        "def predict_fn(batch, model):\n"
        '    x, y = (batch[name].cast(pa.float64()) for name in ("x", "y"))\n'
        "    return pc.add(x, y)\n"
    ),
}
_NEEDS = {"rows": (), "columns": ("numpy",), "arrow": ("pyarrow",)}
_LOOP = """\
import csv
import sys
from itertools import islice

from predict import predict_fn

with open(sys.argv[1], newline="") as source, open(sys.argv[2], "w", newline="") as target:
    reader = csv.DictReader(source)
    writer = csv.writer(target)
    writer.writerow([*reader.fieldnames, "prediction"])
    while batch := list(islice(reader, 256)):
        results = predict_fn(batch, None)
        writer.writerows([*row.values(), result] for row, result in zip(batch, results))
"""
_BARE = "csv loop, one process"


def measure(setting: Setting) -> list[Figure]:
    """CSV in two shards, its rows as dicts, as columns and as Arrow tables."""
    count = setting.size(500_000, 4_000)
    rows = setting.folder / "rows.csv"
    _write_rows(rows, count)
    model = setting.folder / "rates-model"
    model.mkdir()
    (model / "model.txt").write_text("a model\n")
    commands = [_loop(setting, rows)]
    for name, needs in _NEEDS.items():
        missing = [package for package in needs if find_spec(package) is None]
        if missing:
            setting.say(f"batch_format {name!r} is left out: {missing[0]} is not installed here")
        else:
            commands.append(_ours(setting, name, rows, model))
    samples = interleave(commands, max(1, setting.runs // 2), setting.say)
    return [
        Figure(
            "infer",
            f"{count:,} rows of CSV, {command.name}",
            {command.name: samples[command.name], _BARE: samples[_BARE]},
            command.name,
            _BARE,
            SECONDS,
            rows=count,
        )
        for command in commands[1:]
    ]


def _loop(setting: Setting, rows: Path) -> Command:
    project = setting.project("rates-loop", predict_py=_HANDLERS["rows"], loop_py=_LOOP)
    target = setting.folder / "loop.csv"
    return Command(_BARE, [setting.python, "loop.py", rows, target], project, setting.variables())


def _ours(setting: Setting, name: str, rows: Path, model: Path) -> Command:
    project = setting.project(f"rates-{name}", predict_py=_HANDLERS[name], trainyard_toml=_JOB)
    output = setting.folder / f"rates-{name}-output"
    argv: list[str | Path] = [
        *setting.trainyard,
        "infer",
        model,
        rows,
        "--shards",
        str(_SHARDS),
        "--output",
        output,
    ]
    variables = setting.variables(setting.folder / "rates-home")

    def clear() -> None:
        shutil.rmtree(output, ignore_errors=True)

    return Command(f"{_SHARDS} shards, {name}", argv, project, variables, clear)


def _write_rows(path: Path, count: int) -> None:
    with path.open("w", newline="") as stream:
        stream.write("id,x,y,label\n")
        stream.writelines(f"{n},{n / 7:.4f},{n % 1000 / 3:.4f},class-{n % 10}\n" for n in range(count))
