"""S3 on loopback, and the worker's own client of it."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from faulty import Proxy
from s3_server import BUCKET, REGION, variables

from trainyard.worker import credentials, patience, places, s3


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[str]:
    """The address of moto's server."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def proxy(moto_s3: str) -> Iterator[Proxy]:
    """A server in front of S3 that makes faults."""
    request = urllib.request.Request(f"{moto_s3}/moto-api/reset", method="POST")
    with urllib.request.urlopen(request, timeout=30):
        pass
    found = Proxy(moto_s3)
    yield found
    found.close()


@pytest.fixture
def bucket(moto_s3: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """botocore's client of an S3 that has the bucket BUCKET; the worker's goes through the `proxy`."""
    for name, value in variables(proxy.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(patience, "UNIT", 0.001)
    client = botocore.session.Session().create_client(
        "s3",
        region_name=REGION,
        endpoint_url=moto_s3,
        aws_access_key_id="test",
        aws_secret_access_key="test-secret",
    )
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield client
    places.close()
    credentials.forget()
    client.close()


@pytest.fixture
def client(bucket: Any) -> s3.Client:
    """The worker's client."""
    return s3.client()
