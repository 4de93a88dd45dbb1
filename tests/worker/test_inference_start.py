"""The worker starts from its folder, from a zip file of it and as a module, under any supported Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

from .inference_run import WORKER, InferenceRun

SHADOW = "import plan\ndef predict_fn(batch, model):\n    return [plan.MARK] * len(batch)\n"


def shadowing(home: Path) -> InferenceRun:
    run = InferenceRun(home, SHADOW, shards=2)
    (run.code / "plan.py").write_text("MARK = 'mine'\n")
    (run.input / "t.csv").write_text("a\n1\n2\n")
    return run


def execute_all(run: InferenceRun, command: list[str]) -> None:
    for verb, index in (("plan", 0), ("shard", 0), ("shard", 1), ("commit", 0)):
        spec = run.command(verb, index)[-1]
        done = subprocess.run(
            [*command, verb, spec], cwd=run.code, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
    assert [part.read_text() for part in run.parts()] == ["a,prediction\n1,mine\n", "a,prediction\n2,mine\n"]
    assert json.loads((run.output / "_SUCCESS").read_text())["rows_out"] == 2


def zipped(home: Path) -> str:
    folder = home / "worker"
    shutil.copytree(WORKER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    archive = home / "worker.pyz"
    zipapp.create_archive(folder, archive)
    shutil.rmtree(folder)
    return str(archive)


def test_the_folder_runs_without_trainyard_and_hides_none_of_the_users_modules(tmp_path: Path) -> None:
    execute_all(shadowing(tmp_path), [sys.executable, "-S", WORKER])


def test_a_zip_file_of_the_folder_runs(tmp_path: Path) -> None:
    execute_all(shadowing(tmp_path), [sys.executable, "-S", zipped(tmp_path)])


def test_python_3_8_runs_it(tmp_path: Path) -> None:
    execute_all(shadowing(tmp_path), [python_3_8(), zipped(tmp_path)])


def python_3_8() -> str:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for path in (shutil.which("python3.8"), *pyenv.glob("versions/3.8.*/bin/python")):
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(path)
    pytest.skip("no Python 3.8 on this machine")


def test_the_module_runs(tmp_path: Path) -> None:
    run = InferenceRun(tmp_path)
    (run.input / "t.csv").write_text("a\n1\n2\n")
    run.plan()
    run.predict()
    spec = run.command("commit")[-1]
    subprocess.run([sys.executable, "-m", "trainyard.worker", "commit", spec], timeout=60, check=True)
    assert json.loads(run.summary.read_text())["rows_out"] == 2


def test_anything_but_a_verb_and_a_spec_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, WORKER, "serve"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "usage: worker plan|shard|commit SPEC.json\n"
    done = subprocess.run(
        [sys.executable, WORKER, "plan", str(tmp_path / "absent.json")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "absent.json" in done.stderr
