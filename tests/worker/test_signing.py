"""Requests are signed as botocore, AWS's own signer, signs them."""

from __future__ import annotations

import datetime
import string
from unittest import mock
from urllib.parse import quote, urlencode

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from trainyard.worker.s3.credentials import Credentials
from trainyard.worker.s3.signing import UNSIGNED, sign

MOMENT = 1_767_225_600
names = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=20)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
# Names that HTTP clients, proxies and the signer itself set.
HEADERS_OF_ITS_OWN = {"host", "x-amz-date", "date", "x-amz-content-sha256", "x-amz-security-token"}
headers = st.dictionaries(names.map(lambda name: f"x-{name}"), values, max_size=5).filter(
    lambda found: len({name.lower() for name in found} - HEADERS_OF_ITS_OWN) == len(found)
)
queries = st.lists(st.tuples(st.text(max_size=10), st.text(max_size=10)), max_size=5)
credentials = st.builds(
    Credentials, st.just("AKIDEXAMPLE"), st.text(min_size=1, max_size=40), st.sampled_from(["", "a+token/=="])
)


def botocore_signs(
    signer: type[botocore.auth.SigV4Auth],
    request: AWSRequest,
    named: Credentials,
    service: str,
) -> dict[str, str]:
    now = datetime.datetime.fromtimestamp(MOMENT, datetime.UTC)
    known = ReadOnlyCredentials(named.access_key, named.secret_key, named.token)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=now):
        signer(known, service, "eu-central-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def query_of(pairs: list[tuple[str, str]]) -> str:
    query = urlencode(pairs, quote_via=quote, safe="~")
    return f"?{query}" if query else ""


def lowered(signed: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in signed.items() if name != "Host"}


@given(
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    st.text(max_size=40),
    queries,
    headers,
    st.binary(max_size=50),
    credentials,
)
def test_a_request_to_s3_is_signed_as_botocore_signs_it(
    method: str,
    key: str,
    pairs: list[tuple[str, str]],
    extra: dict[str, str],
    body: bytes,
    named: Credentials,
) -> None:
    path = quote(key.encode("utf-8", "replace"), safe="/~")
    url = f"https://the-models.s3.eu-central-1.amazonaws.com/{path}{query_of(pairs)}"
    request = AWSRequest(method, url, headers=dict(extra), data=body)
    theirs = botocore_signs(botocore.auth.S3SigV4Auth, request, named, "s3")
    ours = sign(method, url, extra, body, service="s3", region="eu-central-1", credentials=named, now=MOMENT)
    assert ours["Host"] == "the-models.s3.eu-central-1.amazonaws.com"
    assert lowered(ours) == theirs


@given(st.text(string.ascii_letters + "./%- ~é", max_size=20), queries, st.binary(max_size=50), credentials)
def test_a_request_to_another_service_is_signed_as_botocore_signs_it(
    path: str, pairs: list[tuple[str, str]], body: bytes, named: Credentials
) -> None:
    url = f"https://secretsmanager.eu-central-1.amazonaws.com/{quote(path, safe='/~')}{query_of(pairs)}"
    extra = {"X-Amz-Target": "secretsmanager.GetSecretValue", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", url, headers=dict(extra), data=body)
    theirs = botocore_signs(botocore.auth.SigV4Auth, request, named, "secretsmanager")
    ours = sign(
        "POST",
        url,
        extra,
        body,
        service="secretsmanager",
        region="eu-central-1",
        credentials=named,
        now=MOMENT,
    )
    assert lowered(ours) == theirs


@pytest.mark.parametrize("port", ["", ":8080"])
def test_the_signed_host_is_the_one_that_is_sent(port: str) -> None:
    url = f"http://localhost{port}/bucket/key"
    named = Credentials("AKIDEXAMPLE", "secret")
    ours = sign("GET", url, {}, b"", service="s3", region="eu-central-1", credentials=named, now=MOMENT)
    theirs = botocore_signs(botocore.auth.S3SigV4Auth, AWSRequest("GET", url), named, "s3")
    assert ours["Host"] == f"localhost{port}"
    assert ours["Authorization"] == theirs["authorization"]


def test_a_body_can_be_left_unsigned_or_be_named_by_its_hash() -> None:
    url = "https://the-models.s3.eu-central-1.amazonaws.com/key"
    named = Credentials("AKIDEXAMPLE", "secret")
    fixed = {"service": "s3", "region": "eu-central-1", "credentials": named, "now": MOMENT}
    unsigned = sign("PUT", url, {}, UNSIGNED, **fixed)
    request = AWSRequest("PUT", url, data=b"body", headers={"Content-MD5": "x"})
    request.context["payload_signing_enabled"] = False
    theirs = botocore_signs(botocore.auth.S3SigV4Auth, request, named, "s3")
    assert unsigned["X-Amz-Content-SHA256"] == theirs["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    digest = "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"
    assert sign("PUT", url, {}, digest, **fixed) == sign("PUT", url, {}, b"body", **fixed)


def test_the_signed_headers_tell_nothing_of_the_secret() -> None:
    named = Credentials("AKIDEXAMPLE", "the-secret", "the-token")
    ours = sign("GET", "https://host/", {}, b"", service="s3", region="eu-central-1", credentials=named)
    assert "the-secret" not in repr(ours) + repr(named)
    assert "the-token" not in repr(named)
