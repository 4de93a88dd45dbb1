"""Which Python runs a job's program: the shell's before the file's, and what is none is said at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainyard.core.errors import BadInput
from trainyard.machine.interpreters import chosen, prefix, proposed


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def refusal(python: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(BadInput) as refused:
        chosen(python, "train.python", {"PATH": os.defpath} if environ is None else environ)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_where_nobody_asks_it_is_our_own_without_anything_being_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/absent/python")
    assert chosen("", "train.python", {"TRAINYARD_PYTHON": ""}) == "/absent/python"


def test_a_path_or_a_command_is_taken_and_the_variable_comes_first(environment: Path) -> None:
    path = str(environment / "bin/python")
    assert chosen(path, "train.python", {}) == path
    assert chosen("/absent", "train.python", {"TRAINYARD_PYTHON": path}) == path
    found = chosen("python3", "train.python", {"PATH": str(environment / "bin")})
    assert Path(found).parent == environment / "bin" and prefix(found) == str(environment)


def test_the_interpreter_behind_a_version_managers_stand_in_is_taken(
    tmp_path: Path, environment: Path
) -> None:
    shim = script(tmp_path / "python", f'exec {environment}/bin/python "$@"')
    assert chosen(str(shim), "train.python", {}) == str(environment / "bin/python")


def test_what_is_no_python_of_3_8_or_later_is_refused_with_the_cure(
    tmp_path: Path, environment: Path
) -> None:
    assert refusal(str(environment)).endswith(f"; write {environment}/bin/python")
    assert refusal("absent-python").startswith("train.python: absent-python is no Python")
    assert refusal("", {"TRAINYARD_PYTHON": "/absent"}).startswith("TRAINYARD_PYTHON: /absent is no Python")
    assert "is no Python" in refusal(str(script(tmp_path / "silent", "exit 0")))
    assert "is no Python" in refusal(str(script(tmp_path / "broken", "exit 1")))
    old = script(tmp_path / "old", "echo 3 7 /usr/bin/python3.7")
    assert refusal(str(old)) == f"train.python: {old} is Python 3.7; name one of 3.8 or later"


def test_an_active_environment_is_proposed_unless_it_is_the_one_that_is_used(environment: Path) -> None:
    path = str(environment / "bin/python")
    active = {"VIRTUAL_ENV": str(environment)}
    assert proposed(sys.executable, active) == path
    assert proposed(path, active) == ""
    assert proposed(sys.executable, {"VIRTUAL_ENV": "/absent"}) == ""
    assert proposed(sys.executable, {"CONDA_PREFIX": str(environment)}) == path
