"""The variables of a job as they are shown."""

from __future__ import annotations

import pytest

from trainyard.core.jobs.variables import shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_TOKEN", "hf_1"),
        ("HFTOKEN", "hf_1"),
        ("wandb_api_key", "1"),
        ("DB_PASSWORD", "1"),
        ("AWS_SECRET_ACCESS_KEY", "1"),
        ("SENTRY_DSN", "1"),
        ("DATABASE_URL", "postgres://ann:1@db/x"),
        ("INDEX", "https://token@host/simple"),
    ],
)
def test_what_looks_like_a_secret_is_shown_by_name_only(name: str, value: str) -> None:
    assert shown({name: value, "A": "1"}) == sorted(["A=1", name])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEVEL", "debug"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("MONKEY", "1"),
        ("URL", "https://host/a@b"),
        ("TOKEN", "env:HF_TOKEN"),
        ("TOKEN", "secretsmanager:trainyard-dev/huggingface"),
    ],
)
def test_what_does_not_is_shown(name: str, value: str) -> None:
    assert shown({name: value}) == [f"{name}={value}"]
