"""The benchmarks run. How fast anything is, no test says: that is for `make bench`."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SUBJECTS = {"start": 2, "train": 3, "many": 2, "list": 2, "infer": 3, "push": 2, "s3": 4, "synth": 2}
MODULES = ("timing", "figures", "setting", "peers", "synthesis")


class Modules:
    """The modules of the benchmarks, which are no package."""

    def __init__(self) -> None:
        self.timing, self.figures, self.setting, self.peers, self.synthesis = map(
            importlib.import_module, MODULES
        )


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Modules:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return Modules()


@pytest.fixture
def timing(modules: Modules) -> ModuleType:
    return modules.timing


def setting_of(modules: Modules, folder: Path, *peers: str, said: list[str]) -> Any:
    return modules.setting.Setting(folder, Path(sys.executable), 1, True, peers, said.append)


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv: list[str | Path] = [sys.executable, BENCHMARKS / "run.py", "--quick", "--peers", "none", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def figures_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["figures"]
    return found


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_is_measured_beside_its_limit(subject: str, tmp_path: Path) -> None:
    done = bench("--only", subject, "--json", str(tmp_path / "figures.json"))
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split()[:3] == ["subject", "what", "ours"]
    assert len(rows) == SUBJECTS[subject]
    assert all(re.search(r"\d+\.\d\dx", row) for row in rows)
    figures = figures_of(tmp_path / "figures.json")
    assert [figure["subject"] for figure in figures] == [subject] * len(rows)
    for figure in figures:
        assert figure["of_limit"] == figure["seconds"][figure["ours"]] / figure["seconds"][figure["limit"]]


def test_the_install_is_counted_or_the_reason_why_not_is_told(tmp_path: Path) -> None:
    done = bench("--only", "install", "--json", str(tmp_path / "figures.json"))
    assert done.returncode == 0, done.stderr
    figures = figures_of(tmp_path / "figures.json")
    if figures:
        assert [figure["unit"] for figure in figures] == ["packages", "MB"]
        assert all(figure["amount"] > 0 for figure in figures)
    else:
        assert "install is left out" in done.stderr


def test_medians_are_of_runs_that_lie_beside_each_other(timing: ModuleType) -> None:
    # A machine that is three times slower in its second half changes no ratio.
    ours, limit = [0.2, 0.2, 0.6, 0.6], [0.1, 0.1, 0.3, 0.3]
    assert timing.ratio(ours, limit) == pytest.approx(2)
    assert timing.over(ours, limit) == pytest.approx(0.2)


def test_commands_take_turns_after_one_run_of_each_that_does_not_count(
    timing: ModuleType, tmp_path: Path
) -> None:
    order: list[str] = []
    commands = [
        timing.Command(name, ["true"], tmp_path, os.environ, lambda name=name: order.append(name))
        for name in ("a", "b")
    ]
    samples = timing.interleave(commands, 2, pytest.fail)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert {name: len(times) for name, times in samples.items()} == {"a": 2, "b": 2}


def test_a_peer_that_fails_is_left_out_in_words_and_the_rest_is_measured(
    timing: ModuleType, tmp_path: Path
) -> None:
    said: list[str] = []
    argv = ["sh", "-c", "echo no docker >&2; exit 3"]
    peer = timing.Command("peer", argv, tmp_path, os.environ, is_peer=True)
    ours = timing.Command("ours", ["true"], tmp_path, os.environ)
    assert list(timing.interleave([peer, ours], 1, said.append)) == ["ours"]
    assert said == ["left out: peer: status 3: no docker"]


def test_a_failure_of_ours_is_no_figure(timing: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(timing.CommandFailed, match="status 1"):
        timing.interleave([timing.Command("ours", ["false"], tmp_path, os.environ)], 1, pytest.fail)


def test_a_figure_keeps_its_target_in_seconds_by_its_median(modules: Modules) -> None:
    def figure(*ours: float) -> Any:
        samples = {"ours": list(ours), "limit": [0.1] * len(ours)}
        return modules.figures.Figure("any", "what", samples, "ours", "limit", most=0.5)

    assert figure(0.4, 0.5, 9.0).is_met is True
    assert figure(0.4, 0.6, 0.7).is_met is False
    assert "<= 500 ms" in figure(0.4).cells()
    assert figure(0.4).to_json()["most"] == 0.5


def test_synthesis_is_measured_beside_the_cdk_and_has_a_target_where_it_is_cached(modules: Modules) -> None:
    names = modules.synthesis
    samples = {names.PYTHON: [0.01], names.CDK: [1.0], names.NEW: [2.0], names.CACHED: [0.1]}
    new, cached = names.figures_of(samples)
    assert (new.is_met, new.peers) == (None, [])
    assert cached.is_met is True and not cached.peers


def test_only_the_cached_synthesis_finds_what_the_run_before_it_left(
    modules: Modules, tmp_path: Path
) -> None:
    names = modules.synthesis
    commands = {command.name: command for command in names.commands(setting_of(modules, tmp_path, said=[]))}
    for name, is_kept in ((names.NEW, False), (names.CACHED, True)):
        command = commands[name]
        cache = Path(command.variables["XDG_CACHE_HOME"])
        output = Path(command.argv[command.argv.index("--output") + 1])
        for folder in (cache / "trainyard", output):
            folder.mkdir(parents=True)
        command.prepare()
        assert cache.exists() is is_kept
        assert not output.exists()
        # jsii's own cache lies below it.
        assert command.variables.get("HOME") == os.environ.get("HOME")


def test_variables_that_steer_aws_and_cdk_are_not_handed_on(
    modules: Modules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "CDK_DEFAULT_ACCOUNT", "JSII_NODE"):
        monkeypatch.setenv(name, "anything")
    kept = setting_of(modules, tmp_path, said=[]).variables()
    assert not [name for name in kept if name.startswith(("AWS_", "CDK_", "JSII_"))]
