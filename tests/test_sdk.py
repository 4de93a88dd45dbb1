"""`import trainyard`: all of the public names, typed, and nothing that is not needed yet."""

from __future__ import annotations

import importlib
import subprocess
import sys
import typing

import pytest

import trainyard

SLOW = (
    "asyncio",
    "dataclasses",
    "inspect",
    "logging",
    "pathspec",
    "rich",
    "sqlite3",
    "subprocess",
    "tempfile",
    "typing",
)


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh Python has after the code and not without it."""
    program = f"import sys; before = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_every_public_name_is_there_and_documented() -> None:
    for name in trainyard.__all__:
        found = getattr(trainyard, name)
        assert name == "__version__" or found.__doc__, name
    assert dir(trainyard) == sorted(trainyard.__all__)


def test_a_name_comes_from_one_module() -> None:
    for name, module in trainyard._MODULES.items():
        assert getattr(trainyard, name) is getattr(importlib.import_module(f"trainyard.{module}"), name)
    assert set(trainyard._MODULES) == set(trainyard.__all__) - {"__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        _ = trainyard.tarin
    with pytest.raises(ImportError):
        exec("from trainyard import tarin")


def test_importing_loads_nothing_but_itself() -> None:
    assert loaded_by("import trainyard") - {"__future__"} == {"trainyard", "trainyard.version"}


def test_a_job_is_made_without_anything_slow() -> None:
    loaded = loaded_by("import trainyard; trainyard.TrainingJob(name='a', entry_script='a.py')")
    assert "trainyard.core.jobs.job" in loaded
    assert not loaded & (set(SLOW) - {"typing"})


def test_looking_at_a_yard_starts_no_slow_module() -> None:
    loaded = loaded_by("import trainyard; trainyard.connect(home='/nonexistent/home').runs()")
    assert "trainyard.yard.yard" in loaded
    assert not loaded & {"asyncio", "inspect", "logging", "pathspec", "rich", "subprocess", "tempfile"}


def test_the_verbs_have_types() -> None:
    for verb in (
        "train",
        "infer",
        "get",
        "runs",
        "wait",
        "logs",
        "stop",
        "resume",
        "models",
        "data",
        "push",
        "pull",
    ):
        hints = typing.get_type_hints(
            getattr(trainyard.Yard, verb), vars(importlib.import_module("trainyard.yard.yard"))
        )
        assert "return" in hints, verb


def test_the_version_is_one_number_for_all() -> None:
    from trainyard.version import __version__

    assert trainyard.__version__ == __version__
    assert all(part.isdecimal() for part in __version__.split(".")[:2])
