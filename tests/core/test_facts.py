"""The names that the account side and the people's side share."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.core.environments import facts
from trainyard.core.environments.facts import (
    DATA_PARAMETERS,
    OPTIONAL_PARAMETERS,
    PLATFORM_PARAMETERS,
    job_name_prefix,
    parameter_name,
)
from trainyard.core.environments.limits import NAME, PREFIX, PREFIX_LENGTH

TABLES = (DATA_PARAMETERS, PLATFORM_PARAMETERS, OPTIONAL_PARAMETERS)
NAMES = [name for table in TABLES for name in table]
FOLDERS = ("DATASETS", "CODE", "CHECKPOINTS", "MODELS", "PREDICTIONS", "LEDGER", "NOTEBOOKS")

names = st.from_regex(NAME, fullmatch=True)
prefixes = st.from_regex(PREFIX, fullmatch=True).filter(lambda prefix: len(prefix) <= PREFIX_LENGTH)


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_is_named_in_kebab_case_and_described_in_words(name: str) -> None:
    assert re.fullmatch(r"[a-z]+(?:-[a-z]+)*", name)
    (description,) = (table[name] for table in TABLES if name in table)
    assert description
    assert not description.endswith(".")


def test_no_parameter_is_published_twice() -> None:
    assert len(NAMES) == len(set(NAMES))


def test_what_the_issue_names_is_published() -> None:
    named = (
        "dataset-bucket model-bucket repository-uri training-role-arn subnet-ids security-group-ids"
        " job-queue-arn job-definition-arn notification-topic-arn notebook-name version"
    )
    assert set(named.split()) <= set(NAMES)


@given(names, st.sampled_from(NAMES))
def test_a_full_name_is_one_that_ssm_takes(environment: str, name: str) -> None:
    # PutParameter.Name: these characters, at most 15 levels, 1,011 characters with the ARN before it, and not
    # `aws` or `ssm` first.
    full = parameter_name(environment, name)
    assert re.fullmatch(r"(?:/[a-zA-Z0-9_.-]+){2,15}", full)
    assert len(full) < 256
    assert not full.lstrip("/").lower().startswith(("aws", "ssm"))
    assert full == f"/trainyard/{environment}/{name}"


@given(names, names)
def test_no_environment_reads_the_parameters_of_another(one: str, other: str) -> None:
    assert (one == other) == parameter_name(one, "x").startswith(parameter_name(other, ""))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_ends_with_a_slash_and_has_no_other(folder: str) -> None:
    assert getattr(facts, folder) == f"{folder.lower()}/"


def test_no_constant_that_looks_like_a_folder_is_missing_here() -> None:
    texts = {name for name, value in vars(facts).items() if isinstance(value, str) and value.endswith("/")}
    assert texts == set(FOLDERS)


@given(prefixes, names, names)
def test_no_environments_job_names_begin_with_anothers_of_the_same_prefix(
    prefix: str, one: str, other: str
) -> None:
    begins = job_name_prefix(prefix, one).startswith(job_name_prefix(prefix, other))
    assert begins == (one == other)


@given(prefixes, names)
def test_a_job_name_prefix_begins_a_name_that_sagemaker_takes(prefix: str, name: str) -> None:
    begin = job_name_prefix(prefix, name)
    assert re.fullmatch(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}", f"{begin}a")
    assert len(begin) <= 63 - 25
