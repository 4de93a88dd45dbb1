"""Errors are one line: what, where, the cure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.core import errors
from trainyard.core.errors import (
    BadInput,
    DiskFull,
    HomeRefused,
    NotFound,
    RunFailed,
    TrainyardError,
    nearest,
)

TEXT = st.text(max_size=30)


@given(problem=TEXT, where=TEXT, key=TEXT, cure=TEXT)
def test_an_error_is_one_line_whatever_it_tells(problem: str, where: str, key: str, cure: str) -> None:
    assert len(str(BadInput(problem, where=where, key=key, cure=cure)).splitlines()) <= 1
    assert len(str(TrainyardError(problem)).splitlines()) <= 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (BadInput("is empty"), "is empty"),
        (BadInput("is empty", key="train.name"), "train.name: is empty"),
        (
            BadInput("is empty", where="a.toml:3", key="train.name", cure="name it"),
            "a.toml:3: train.name: is empty; name it",
        ),
        (BadInput("two\nlines", cure="one\nline"), "two lines; one line"),
    ],
)
def test_where_and_key_come_first_and_the_cure_last(error: BadInput, line: str) -> None:
    assert str(error) == line


def test_an_error_is_placed_in_a_file_and_stays_of_its_kind() -> None:
    placed = NotFound("no such thing", key="train.channels.x", cure="look").at("trainyard.toml:7")
    assert type(placed) is NotFound
    assert str(placed) == "trainyard.toml:7: train.channels.x: no such thing; look"


def test_bad_input_is_status_two_and_everything_else_one() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TrainyardError)
    ]
    assert {kind for kind in kinds if kind.exit_status == 2} == {
        kind for kind in kinds if issubclass(kind, BadInput)
    }
    assert HomeRefused("x").exit_status == 2 and DiskFull("x").exit_status == 1


def test_a_failed_run_tells_its_reason_and_whose_fault_it_was() -> None:
    assert str(RunFailed("toy-1", "no\nluck")) == "toy-1: no luck"
    assert RunFailed("toy-1", "no luck").exit_status == 1
    assert RunFailed("toy-1", "row 3", bad_input=True).exit_status == 2


def test_the_nearest_name_is_offered() -> None:
    assert nearest("digts", ["digits", "houses"]) == "did you mean 'digits'?"
    assert nearest("zzz", ["digits", "houses"]) == "there is digits, houses"
    assert nearest("zzz", []) == ""
    assert nearest("zzz", [f"name{n}" for n in range(20)]).endswith(", …")
