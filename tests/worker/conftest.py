"""S3 on loopback, and the worker's own client of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from trainyard.worker.s3 import backoff, credentials
from trainyard.worker.s3 import client as s3_client
from trainyard.worker.storage import places

from .faulty import Proxy
from .s3_server import BUCKET, REGION, variables


@pytest.fixture
def proxy(moto: str) -> Iterator[Proxy]:
    """A server in front of S3 that makes faults."""
    found = Proxy(moto)
    yield found
    found.close()


@pytest.fixture
def bucket(moto: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """botocore's client of an S3 that has the bucket BUCKET; the worker's goes through the `proxy`."""
    for name, value in variables(proxy.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(backoff, "UNIT", 0.001)
    client = botocore.session.Session().create_client(
        "s3",
        region_name=REGION,
        endpoint_url=moto,
        aws_access_key_id="test",
        aws_secret_access_key="test-secret",
    )
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield client
    places.close()
    credentials.forget()
    client.close()


@pytest.fixture
def client(bucket: Any) -> s3_client.Client:
    """The worker's client."""
    return s3_client.client()
