"""How long a trivial attached training run takes over the script itself, and beside peers."""

from __future__ import annotations

from pathlib import Path

import peers
from figures import Figure
from setting import Setting, remove_home, stop_supervisor
from timing import Command, interleave

_SCRIPT = "print('hello')\n"
_JOB = '[train]\nname = "trivial"\nentry_script = "train.py"\n'
_FLOW = """\
from metaflow import FlowSpec, step


class Trivial(FlowSpec):
    @step
    def start(self):
        print("hello")


if __name__ == "__main__":
    Trivial()
"""
_MLPROJECT = "name: trivial\nentry_points:\n  main:\n    command: python train.py\n"

_BARE, _UP = "python train.py", "trainyard train, supervisor up"
_STARTS, _NEW = "trainyard train, supervisor starts", "trainyard train, new home"


def measure(setting: Setting) -> list[Figure]:
    """Attached runs: supervisor up (at most 120 ms over the script), started (180 ms), home made too."""
    project = setting.project("train", train_py=_SCRIPT, trainyard_toml=_JOB)
    commands = [*_ours(setting, project), *_peers(setting)]
    samples = interleave(commands, setting.runs, setting.say)
    others = {name: times for name, times in samples.items() if not name.startswith(("python", "trainyard"))}
    bare = {_BARE: samples[_BARE]}
    twice = {name: 2.0 for name in others if name == "metaflow"}
    return [
        Figure(
            "train",
            what,
            {what: samples[what]} | bare | others,
            what,
            _BARE,
            most_over=most,
            least_faster=twice,
        )
        for what, most in ((_UP, 0.120), (_STARTS, 0.180), (_NEW, None))
    ]


def _ours(setting: Setting, project: Path) -> list[Command]:
    up, starts, new = (setting.folder / f"train-{name}" for name in ("up", "starts", "new"))
    argv = [*setting.trainyard, "train"]
    return [
        Command(_BARE, [setting.python, "train.py"], project, setting.variables()),
        Command(_UP, argv, project, setting.variables(up)),
        Command(_STARTS, argv, project, setting.variables(starts), lambda: stop_supervisor(starts)),
        Command(_NEW, argv, project, setting.variables(new), lambda: remove_home(new)),
    ]


def _peers(setting: Setting) -> list[Command]:
    commands = []
    metaflow, mlflow = peers.python_of("metaflow", setting), peers.python_of("mlflow", setting)
    if metaflow:
        project = setting.project("metaflow", flow_py=_FLOW)
        argv: list[str | Path] = [metaflow, "flow.py", "run"]
        commands.append(Command("metaflow", argv, project, metaflow_variables(setting), is_peer=True))
    if mlflow:
        project = setting.project("mlflow", train_py=_SCRIPT)
        (project / "MLproject").write_text(_MLPROJECT)
        argv = [mlflow.with_name("mlflow"), "run", ".", "--env-manager", "local"]
        variables = setting.variables(HOME=str(project), MLFLOW_DISABLE_TELEMETRY="true")
        commands.append(Command("mlflow", argv, project, variables, is_peer=True))
    return commands


def metaflow_variables(setting: Setting) -> dict[str, str]:
    """Metaflow refuses to run as root; it keeps everything in the benchmark's folder."""
    return setting.variables(
        USER="bench",
        HOME=str(setting.folder),
        METAFLOW_HOME=str(setting.folder / "metaflow-home"),
        METAFLOW_DEFAULT_DATASTORE="local",
        METAFLOW_DEFAULT_METADATA="local",
        METAFLOW_DATASTORE_SYSROOT_LOCAL=str(setting.folder),
    )
