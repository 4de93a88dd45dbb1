"""The worker runs in any image with Python 3.8 or later, with nothing but its standard library."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import trainyard.worker
from trainyard.worker.contract.contract import Layout, TrainingSpec, arguments, environment

FOLDER = Path(trainyard.worker.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))
OF_TRAINING = (
    "checkpoints",
    "configuration",
    "hyperparameters",
    "layout",
    "models",
    "contract",
    "variables",
)

# Loads the folder under a name of its own, as in an image where trainyard is not installed.
LOAD = """
import importlib, importlib.util, os, sys
folder = sys.argv[1]
def load():
    spec = importlib.util.spec_from_file_location(
        "carried", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder])
    sys.modules["carried"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["carried"])
load()
"""


def run(interpreter: str, code: str, *arguments: str) -> str:
    command = [interpreter, "-I", "-S", "-c", LOAD + code, str(FOLDER), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_python38(path: str) -> bool:
    # A shim of a version manager is there but does not run.
    code = "import sys; sys.exit(sys.version_info[:2] != (3, 8))"
    return subprocess.run([path, "-I", "-c", code], check=False, capture_output=True).returncode == 0


def python38() -> str:
    home = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    for path in (shutil.which("python3.8"), *home.glob("versions/3.8.*/bin/python")):
        if path and is_python38(str(path)):
            return str(path)
    pytest.skip("no Python 3.8 on this machine; the grammar is checked all the same")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_module_is_written_in_the_grammar_of_python_38(module: Path) -> None:
    ast.parse(module.read_text(encoding="utf-8"), str(module), feature_version=(3, 8))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_no_module_imports_trainyard_by_name(module: Path) -> None:
    named: list[str] = []
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            named.append(node.module or "")
        elif isinstance(node, ast.ImportFrom):
            depth = len(module.relative_to(FOLDER).parts)
            assert node.level <= depth, f"line {node.lineno} leaves the worker"
    assert [name for name in named if name.split(".")[0] == "trainyard"] == []


def test_importing_needs_nothing_but_the_standard_library() -> None:
    code = "import json, carried.contract.contract; print(json.dumps(sorted(sys.modules)))"
    loaded = {name.split(".")[0] for name in json.loads(run(sys.executable, code))}
    assert loaded - set(sys.stdlib_module_names) - {"carried", "__main__"} == set()


def test_importing_stays_light() -> None:
    code = "before = set(sys.modules); import carried.contract.contract; print(*set(sys.modules) - before)"
    loaded = set(run(sys.executable, code).split())
    assert {f"carried.contract.{name}" for name in OF_TRAINING} <= loaded
    heavy = {"asyncio", "ctypes", "dataclasses", "inspect", "logging", "pathlib", "shutil", "socket", "ssl"}
    assert loaded & (heavy | {"subprocess", "tempfile", "threading", "urllib"}) == set()


def test_python_38_says_the_same_as_this_python(tmp_path: Path) -> None:
    interpreter = python38()
    code = """
import json
training = importlib.import_module("carried.contract.contract")
root, spec = sys.argv[2], training.TrainingSpec(**json.loads(sys.argv[3]))
layout = training.Layout(root)
training.prepare(spec, layout)
variables = training.environment(spec, layout, 1)
line = training.arguments(spec.hyperparameters)
open(os.path.join(layout.model, "weights"), "w").close()
files = training.merge_models([layout.model], os.path.join(root, "merged"))
newest = training.newest_checkpoint(layout.checkpoints)
print(json.dumps([variables, line, files, newest, training.failure(layout)]))
"""
    fields = {
        "job_name": "digits-a1b2",
        "entry_script": "train.py",
        "hosts": ["algo-1", "algo-2"],
        "hyperparameters": {"epochs": "3", "lr": "1e-05", "name": '"größe"', "flags": "[true, null]"},
        "channels": ["train"],
        "num_cpus": 2,
        "num_gpus": 0,
    }
    told = json.loads(run(interpreter, code, str(tmp_path), json.dumps(fields)))
    spec = TrainingSpec(**fields)  # type: ignore[arg-type]
    layout = Layout(str(tmp_path))
    assert told == [environment(spec, layout, 1), arguments(spec.hyperparameters), 1, None, ""]
