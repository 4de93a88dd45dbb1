"""An account that moto emulates in this process, with nothing of the surroundings' credentials."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from trainyard.core.environments.facts import parameter_name

from .jobs import FACTS

REGION = "eu-central-1"


class Account:
    """The account: clients of it, and an environment deployed in it."""

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION)

    def publish(self, facts: dict[str, str], name: str = "dev") -> None:
        """Publish facts as a deployment does."""
        ssm = self.client("ssm")
        for fact, value in facts.items():
            ssm.put_parameter(Name=parameter_name(name, fact), Value=value, Type="String", Overwrite=True)

    def deploy(self, name: str = "dev", **changes: str) -> dict[str, str]:
        """Publish an environment whose repository is there; its facts."""
        repository = self.client("ecr").create_repository(
            repositoryName=f"{name}-images", imageTagMutability="IMMUTABLE"
        )["repository"]
        changes = {key.replace("_", "-"): value for key, value in changes.items()}
        facts = {**FACTS, "repository-uri": repository["repositoryUri"], **changes}
        self.publish(facts, name)
        return facts


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Account]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("REGION", REGION)):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    with mock_aws():
        yield Account()
