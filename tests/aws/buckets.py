"""The two buckets of an environment in moto's server, over HTTP, with a proxy in front that makes faults."""

from __future__ import annotations

from collections.abc import Iterator

import botocore.session
import pytest

from trainyard.aws.account.session import Session
from trainyard.aws.s3.ledger import S3Ledger
from trainyard.aws.s3.store import S3Store
from worker.faulty import Proxy

from .jobs import deployment

REGION = "eu-central-1"
WHERE = deployment(dataset_bucket="the-datasets", model_bucket="the-models")


class Buckets:
    """The buckets, looked into past the proxy."""

    def __init__(self, url: str) -> None:
        self.client = botocore.session.Session().create_client(
            "s3",
            region_name=REGION,
            endpoint_url=url,
            aws_access_key_id="test",
            aws_secret_access_key="test-secret",
        )

    def keys(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """What lies there, by key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = [each["Key"] for page in pages for each in page.get("Contents", ())]
        return {key: self.get(bucket, key) for key in found}

    def get(self, bucket: str, key: str) -> bytes:
        with self.client.get_object(Bucket=bucket, Key=key)["Body"] as body:
            content: bytes = body.read()
            return content

    def put(self, bucket: str, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=content)


@pytest.fixture
def buckets(moto: str) -> Iterator[Buckets]:
    found = Buckets(moto)
    for name in (WHERE.dataset_bucket, WHERE.model_bucket):
        found.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield found
    found.client.close()


@pytest.fixture
def proxy(moto: str) -> Iterator[Proxy]:
    """A server in front of S3 that makes faults."""
    found = Proxy(moto)
    yield found
    found.close()


def session_at(url: str) -> Session:
    """A person's session, whose S3 is at the address."""
    return Session(REGION, endpoint=url, credentials=("test", "test-secret"))


@pytest.fixture
def session(buckets: Buckets, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session whose every request goes through the proxy, and is tried again soon."""
    import botocore.retries.standard

    monkeypatch.setattr(botocore.retries.standard.ExponentialBackoff, "_BASE", 1.001)
    monkeypatch.setattr(
        botocore.retries.standard.ExponentialBackoff, "delay_amount", lambda self, context: 0.001
    )
    found = session_at(proxy.url)
    yield found
    found.client("s3").close()


@pytest.fixture
def store(session: Session) -> S3Store:
    return S3Store(session, WHERE)


@pytest.fixture
def ledger(session: Session) -> S3Ledger:
    return S3Ledger(session, WHERE)


def counted(session: Session) -> dict[str, int]:
    """What was asked for since the last time, by operation."""
    found = {name: count for name, count in session.counted.items() if count}
    session.counted.clear()
    return found
