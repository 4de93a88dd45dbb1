"""A yard in the sandbox, with an empty ledger for each test and nothing of it left running afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from sandbox.conftest import RunningSandbox, sandbox
from trainyard import Yard
from trainyard.aws.account.deployment import Deployment
from trainyard.aws.account.session import Session
from trainyard.sandbox import address
from trainyard.yard import connection

from .emulated import account

__all__ = ["account", "sandbox"]


class Reached(NamedTuple):
    """The sandbox's yard, and what it is reached with."""

    session: Session
    deployment: Deployment
    yard: Yard


def reach() -> Reached:
    """The yard as another command finds it."""
    session, deployment = connection.environment("sandbox")
    return Reached(session, deployment, connection.on_aws(session, deployment))


@pytest.fixture
def reached(sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Reached:
    monkeypatch.setenv(address.VARIABLE, str(sandbox.folder / "home"))
    return reach()


@pytest.fixture
def sandbox_yard(sandbox: RunningSandbox, reached: Reached) -> Iterator[Yard]:
    yard = reached.yard
    forget(sandbox)
    yield yard
    for run in yard.runs():
        if not run.state.ended:
            yard.stop(run)
    for run in yard.runs():
        yard.wait(run, timeout=30)


def forget(sandbox: RunningSandbox) -> None:
    """Empty the ledger: runs, models and data sets are no more, whatever lies in the buckets."""
    s3 = sandbox.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"], Prefix="ledger/")
        for key in [each["Key"] for page in pages for each in page.get("Contents", ())]:
            s3.delete_object(Bucket=bucket["Name"], Key=key)
