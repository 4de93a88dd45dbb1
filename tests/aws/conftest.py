"""A yard in the sandbox, with an empty ledger for each test and nothing of it left running afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import trainyard
from sandbox.conftest import RunningSandbox, sandbox
from trainyard import Yard
from trainyard.sandbox import address

from .emulated import account

__all__ = ["account", "sandbox"]


@pytest.fixture
def sandbox_yard(sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    monkeypatch.setenv(address.VARIABLE, str(sandbox.folder / "home"))
    yard = trainyard.connect("sandbox")
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
