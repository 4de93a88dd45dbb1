"""Hyperparameters: encoded, carried as strings, decoded, and given to the script."""

import argparse
import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.worker.contract.contract import arguments, decode_hyperparameter, encode_hyperparameter

Scalar = str | int | float | bool
SCALARS = st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.booleans())


def passable(value: Scalar) -> bool:
    return "\0" not in str(value)


PLAIN = SCALARS.filter(lambda value: passable(value) and not str(value).startswith("-"))


@given(SCALARS)
def test_what_is_encoded_decodes_to_the_same_value_of_the_same_type(value: Scalar) -> None:
    decoded = decode_hyperparameter(encode_hyperparameter(value))
    assert decoded == value
    assert type(decoded) is type(value)


@given(SCALARS.filter(passable))
def test_argparse_gives_the_script_the_value_that_was_set(value: Scalar) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--value", type=type(value) if type(value) is not bool else "True".__eq__)
    parsed = parser.parse_args(arguments({"value": encode_hyperparameter(value)}))
    assert parsed.value == value
    assert type(parsed.value) is type(value)


@given(
    st.text(max_size=9).filter(passable).filter("-".__ne__).map("-".__add__), st.sampled_from(["v", "value"])
)
def test_a_value_with_a_dash_reaches_argparse_whole(value: str, key: str) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-v", "--value", dest="value")
    assert parser.parse_args(arguments({key: encode_hyperparameter(value)})).value == value


@pytest.mark.parametrize("value", ["-3", "-0.25", "-.5", "-"])
def test_a_plain_negative_number_follows_its_key_as_on_sagemaker(value: str) -> None:
    assert arguments({"value": json.dumps(value)}) == ["--value", value]


def test_nan_and_the_infinities_arrive() -> None:
    assert math.isnan(float(arguments({"x": encode_hyperparameter(math.nan)})[1]))
    assert float(arguments({"x": encode_hyperparameter(math.inf)})[1]) == math.inf


@given(st.dictionaries(st.text(min_size=1).filter(passable), PLAIN, max_size=6))
def test_every_hyperparameter_is_one_key_and_one_value(values: dict[str, Scalar]) -> None:
    line = arguments({key: encode_hyperparameter(value) for key, value in values.items()})
    own = {key: value for key, value in values.items() if not key.startswith("sagemaker_")}
    assert line[1::2] == [str(own[key]) for key in sorted(own)]
    assert line[::2] == [f"--{key}" if len(key) > 1 else f"-{key}" for key in sorted(own)]


def test_a_real_process_sees_every_argument_in_its_place() -> None:
    line = arguments({"b": '"two words"', "a": "null", "ü": '"ß\\n"', "lr": "1e-05"})
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    shown = subprocess.run([sys.executable, "-c", code, *line], check=True, capture_output=True, text=True)
    assert json.loads(shown.stdout) == ["-a", "", "-b", "two words", "--lr", "1e-05", "-ü", "ß\n"]


@pytest.mark.parametrize(
    ("wire", "shown"),
    [
        ("true", "True"),
        ('"true"', "true"),
        ("null", ""),
        ("0.001", "0.001"),
        ("[1, 2]", "[1, 2]"),
        ('{"b": 2, "a": 1}', "a=1,b=2"),
        ("adam", "adam"),
        ('"007"', "007"),
        ("[" * 100_000, "[" * 100_000),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_values_are_written_as_the_toolkit_writes_them(wire: str, shown: str) -> None:
    assert arguments({"value": wire}) == ["--value", shown]


def test_keys_are_sorted_and_short_ones_have_one_dash() -> None:
    assert arguments({"zeta": "1", "b": "2", "alpha": "3"}) == ["--alpha", "3", "-b", "2", "--zeta", "1"]


def test_sagemakers_own_settings_are_no_arguments() -> None:
    settings = {
        "sagemaker_program": '"train.py"',
        "sagemaker_anything": "1",
        "_tuning_objective_metric": '"accuracy"',
        "default_user_module_name": "x",
        "epochs": "3",
    }
    assert arguments(settings) == ["--epochs", "3"]


@pytest.mark.parametrize("hyperparameters", [{"a\0b": "1"}, {"name": '"a\\u0000b"'}, {"name": '"\\ud800"'}])
def test_what_no_process_can_be_given_is_refused_by_name(hyperparameters: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"hyperparameter '(a|name)") as refusal:
        arguments(hyperparameters)
    assert "\n" not in str(refusal.value)
