"""The worker's own client of S3 reads, lists and writes what is there, whole and once."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainyard.worker.errors import InputError, Missing, OutputError, ServiceError, Unmet
from trainyard.worker.s3 import backoff, connections, transfers
from trainyard.worker.s3.address import S3Address
from trainyard.worker.s3.client import NEW, Client, address_of, if_match
from trainyard.worker.s3.client import settings as found_settings
from trainyard.worker.s3.transfers import PART

from .faulty import NONE, SLOW_DOWN, Fault, Proxy, Request, s3_error
from .s3_server import BUCKET

KEY = "predictions/a b+c/ü=&?#.csv"
HERE = S3Address(BUCKET, KEY)


def stored(bucket: Any, key: str = KEY) -> bytes:
    content: bytes = bucket.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return content


def keys(bucket: Any) -> list[str]:
    return [each["Key"] for each in bucket.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def unfinished(bucket: Any) -> list[Any]:
    found: list[Any] = bucket.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return found


def upload(client: Client, where: S3Address, path: Path, condition: Any = NEW) -> str:
    content = path.read_bytes()
    return transfers.upload(
        client,
        where,
        str(path),
        size=len(content),
        digest=hashlib.sha256(content).hexdigest(),
        condition=condition,
        metadata={"trainyard-rows": "3"},
    )


def test_what_was_put_is_read_under_any_name(bucket: Any, client: Client) -> None:
    etag = client.put(HERE, b"content", metadata={"trainyard-rows": "3"})
    facts = client.head(HERE)
    assert facts == (7, etag, hashlib.sha256(b"content").hexdigest(), facts.metadata)
    assert facts.metadata["trainyard-rows"] == "3"
    assert client.get(HERE) == stored(bucket) == b"content"
    assert client.read(HERE, 1, 4, etag) == b"ont"
    assert [each.key for each in client.listing(S3Address(BUCKET, "predictions/"))] == [KEY]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=30))
def test_any_name_that_botocore_can_write_is_the_same_here(bucket: Any, client: Client, name: str) -> None:
    key = f"k/{name}"
    bucket.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    assert client.get(S3Address(BUCKET, key)) == b"x"
    client.put(S3Address(BUCKET, key), b"y")
    assert stored(bucket, key) == b"y"
    assert key in [each.key for each in client.listing(S3Address(BUCKET, "k/"))]


def test_listings_are_read_page_by_page(bucket: Any, client: Client) -> None:
    for number in range(1005):
        client.put(S3Address(BUCKET, f"many/{number:04d}"), b"")
    assert [each.key for each in client.listing(S3Address(BUCKET, "many/"))] == [
        f"many/{number:04d}" for number in range(1005)
    ]


def test_a_listing_with_a_delimiter_shows_one_level(bucket: Any, client: Client) -> None:
    for name in ("a", "_run/plan.json", "_run/results/0.json", "z"):
        client.put(S3Address(BUCKET, f"out/{name}"), b"")
    found = list(client.listing(S3Address(BUCKET, "out/"), delimiter="/"))
    assert [(each.key, each.size) for each in found] == [("out/a", 0), ("out/z", 0), ("out/_run/", -1)] or [
        (each.key, each.size) for each in found
    ] == [("out/_run/", -1), ("out/a", 0), ("out/z", 0)]


def test_a_new_object_is_written_once(bucket: Any, client: Client) -> None:
    etag = client.put(HERE, b"first", condition=NEW)
    assert client.put(HERE, b"first", condition=NEW) == etag
    with pytest.raises(Unmet):
        client.put(HERE, b"second", condition=NEW)
    assert stored(bucket) == b"first"


def test_an_object_is_replaced_only_as_long_as_it_is_the_known_one(bucket: Any, client: Client) -> None:
    etag = client.put(HERE, b"first")
    newer = client.put(HERE, b"second", condition=if_match(etag))
    assert client.put(HERE, b"second", condition=if_match(etag)) == newer
    with pytest.raises(Unmet):
        client.put(HERE, b"third", condition=if_match(etag))
    assert stored(bucket) == b"second"


def test_a_range_of_an_object_that_became_another_is_not_read(bucket: Any, client: Client) -> None:
    etag = client.put(HERE, b"first")
    client.put(HERE, b"other")
    with pytest.raises(Unmet):
        client.read(HERE, 0, 2, etag)


def test_a_large_file_goes_up_in_parts_and_comes_down_in_ranges(
    bucket: Any, client: Client, proxy: Proxy, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(3 * PART + 12345))
    etag = upload(client, HERE, path)
    assert len(proxy.made("PUT", "partNumber=")) == 4
    assert all("x-amz-checksum-sha256" in each.headers for each in proxy.made("PUT"))
    assert client.head(HERE).digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert client.head(HERE).metadata["trainyard-rows"] == "3"
    copy = tmp_path / "copy"
    transfers.download(client, HERE, str(copy), path.stat().st_size, etag)
    assert copy.read_bytes() == path.read_bytes() == stored(bucket)


def test_a_large_file_that_is_there_already_stays(bucket: Any, client: Client, tmp_path: Path) -> None:
    path, other = tmp_path / "large", tmp_path / "other"
    path.write_bytes(os.urandom(2 * PART + 1))
    other.write_bytes(os.urandom(2 * PART + 1))
    etag = upload(client, HERE, path)
    assert upload(client, HERE, path) == etag
    with pytest.raises(Unmet):
        upload(client, HERE, other)
    assert stored(bucket) == path.read_bytes()
    assert unfinished(bucket) == []


def test_an_upload_that_fails_leaves_no_parts_behind(
    bucket: Any, client: Client, proxy: Proxy, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(2 * PART + 1))
    proxy.judge = lambda request: (
        s3_error(403, "AccessDenied", "not you") if "partNumber=2" in request.target else NONE
    )
    with pytest.raises(OutputError, match="the job's role may not write it \\(not you\\)"):
        upload(client, HERE, path)
    assert unfinished(bucket) == [] == keys(bucket)


def test_a_file_that_shrinks_while_it_is_sent_is_no_object(
    bucket: Any, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 100)
    with pytest.raises(OSError, match="became shorter"):
        transfers.upload(client, HERE, str(path), size=3 * PART, digest="00" * 32, condition=NEW, metadata={})
    assert unfinished(bucket) == [] == keys(bucket)


def every_other(fault: Fault) -> Any:
    return lambda request: fault if request.again % 2 == 0 else NONE


@pytest.mark.parametrize(
    "fault",
    [
        Fault(SLOW_DOWN),
        Fault((500, "not XML")),
        Fault(reset_before=True),
        Fault(reset_after=True),
        Fault(cut_after=0),
        Fault(cut_after=200_000),
    ],
    ids=["503", "500", "reset-before", "reset-after", "no-body", "half-a-body"],
)
def test_nothing_is_lost_or_doubled_when_every_other_request_fails(
    bucket: Any, client: Client, proxy: Proxy, tmp_path: Path, fault: Fault
) -> None:
    proxy.judge = every_other(fault)
    small, large = S3Address(BUCKET, "new/small"), S3Address(BUCKET, "new/large")
    assert client.put(small, b"a" * 5000, condition=NEW)
    path = tmp_path / "large"
    path.write_bytes(os.urandom(2 * PART + 999))
    etag = upload(client, large, path)
    assert stored(bucket, "new/small") == client.get(small) == b"a" * 5000
    assert client.read(large, 7, 2 * PART, etag) == path.read_bytes()[7 : 2 * PART]
    assert [(each.key, each.size) for each in client.listing(S3Address(BUCKET, "new/"))] == [
        ("new/large", 2 * PART + 999),
        ("new/small", 5000),
    ]
    # An upload of which we never learned its id is for the bucket's own rule to forget.
    assert len(unfinished(bucket)) == int(fault.reset_after or fault.cut_after == 0)


def test_reading_goes_on_where_it_broke_off(bucket: Any, client: Client, proxy: Proxy) -> None:
    content = os.urandom(1_000_000)
    etag = client.put(HERE, content)
    proxy.sent = 0
    proxy.judge = lambda request: Fault(cut_after=70_000) if request.method == "GET" else NONE
    assert client.read(HERE, 0, len(content), etag) == content
    # Only a part of a block is asked for again, however often the connection breaks.
    assert proxy.sent < 1.2 * len(content)
    assert len(proxy.made("GET")) > backoff.ATTEMPTS


def test_a_connection_that_says_nothing_is_given_up(
    bucket: Any, client: Client, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ", 0.2)
    content = os.urandom(200_000)
    etag = client.put(HERE, content)
    proxy.judge = lambda request: Fault(hang_after=80_000) if request.again == 0 else NONE
    assert client.read(HERE, 0, len(content), etag) == content


def test_patience_ends(bucket: Any, client: Client, proxy: Proxy) -> None:
    proxy.judge = lambda request: Fault(SLOW_DOWN)
    with pytest.raises(ServiceError, match=r"the-models/.*S3 keeps refusing \(503 SlowDown\); try again"):
        client.get(HERE)
    assert len(proxy.requests) == backoff.ATTEMPTS
    proxy.judge = lambda request: Fault(reset_before=True)
    with pytest.raises(ServiceError, match=r"S3 cannot be reached \(.*; see that the job's network"):
        client.get(HERE)


def test_patience_ends_with_time_too(
    bucket: Any, client: Client, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "LIMIT", -1.0)
    proxy.judge = lambda request: Fault(SLOW_DOWN)
    with pytest.raises(ServiceError):
        client.get(HERE)
    assert len(proxy.requests) == 1


def test_a_connection_is_used_again_and_one_that_s3_closed_is_not_missed(
    bucket: Any, client: Client, proxy: Proxy
) -> None:
    client.put(HERE, b"x")
    for _ in range(20):
        client.get(HERE)
    assert proxy.connections == 1
    proxy.judge = lambda request: Fault(reset_before=True) if request.again == 20 else NONE
    assert client.get(HERE) == b"x"
    assert proxy.connections == 2


def test_an_upload_whose_last_answer_was_an_error_is_completed_again(
    bucket: Any, client: Client, proxy: Proxy, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(2 * PART + 1))
    failed = Fault((200, "<Error><Code>InternalError</Code><Message>again</Message></Error>"))
    proxy.judge = lambda request: (
        failed if request.method == "POST" and "uploadId" in request.target and request.again < 2 else NONE
    )
    upload(client, HERE, path)
    assert stored(bucket) == path.read_bytes()


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (
            s3_error(403, "AccessDenied", "Access Denied"),
            InputError,
            "the job's role may not read it (Access",
        ),
        (s3_error(404, "NoSuchKey"), Missing, "there is no such object; name one that exists"),
        (s3_error(404, "NoSuchBucket"), InputError, "there is no such bucket; name one that exists"),
        (
            s3_error(301, "PermanentRedirect", x_amz_bucket_region="us-east-1"),
            InputError,
            "is in us-east-1 and the job in eu-central-1; copy it into a bucket of eu-central-1",
        ),
        (
            Fault(
                (
                    400,
                    "<Error><Code>AuthorizationHeaderMalformed</Code><Region>us-west-2</Region></Error>",
                )
            ),
            InputError,
            "is in us-west-2 and the job in eu-central-1",
        ),
        (s3_error(403, "InvalidObjectState"), InputError, "is archived; restore it"),
        (s3_error(403, "InvalidAccessKeyId"), ServiceError, "AWS does not accept the credentials"),
        (s3_error(400, "ExpiredToken"), ServiceError, "the AWS credentials have expired"),
        (
            s3_error(403, "RequestTimeTooSkewed", Date="Tue, 15 Nov 1994 08:12:31 GMT"),
            ServiceError,
            "minutes ahead of AWS's; set it right",
        ),
        (s3_error(400, "InvalidArgument", "so not"), InputError, "S3 will not have it: 400 InvalidArgument"),
    ],
)
def test_a_refusal_is_one_line_with_the_cure(
    bucket: Any, client: Client, proxy: Proxy, fault: Fault, kind: type[Exception], words: str
) -> None:
    def judge(request: Request) -> Fault:
        if request.method != "HEAD" or not fault.answer:
            return fault
        return Fault((fault.answer[0], "", *fault.answer[2:]))

    proxy.judge = judge
    for attempt in (lambda: client.get(HERE), lambda: client.head(HERE)):
        with pytest.raises(kind) as caught:
            attempt()
        assert "\n" not in str(caught.value)
        if "NoSuchBucket" not in str(fault):
            assert words in str(caught.value)
    assert len(proxy.requests) <= 5


def test_an_object_that_only_a_listing_tells_of_is_missing(bucket: Any, client: Client, proxy: Proxy) -> None:
    def judge(request: Request) -> Fault:
        if "list-type" in request.target:
            return NONE
        return Fault((403, "")) if request.method == "HEAD" else s3_error(403, "AccessDenied", "no")

    proxy.judge = judge
    for attempt in (lambda: client.get(HERE), lambda: client.head(HERE)):
        with pytest.raises(Missing):
            attempt()
    bucket.put_object(Bucket=BUCKET, Key=KEY, Body=b"x")
    with pytest.raises(InputError, match=r"may not read it \(no\)"):
        client.get(HERE)


def test_a_refused_write_is_an_error_of_the_output(bucket: Any, client: Client, proxy: Proxy) -> None:
    proxy.judge = lambda request: s3_error(403, "AccessDenied", "no")
    with pytest.raises(OutputError, match=r"may not write it \(no\); grant the role s3:PutObject there"):
        client.put(HERE, b"")


def test_a_redirection_is_followed(bucket: Any, client: Client, proxy: Proxy, moto: str) -> None:
    client.put(HERE, b"x")

    def judge(request: Request) -> Fault:
        return s3_error(307, "TemporaryRedirect", Location=f"{moto}{request.target}")

    proxy.judge = judge
    before = len(proxy.requests)
    assert client.get(HERE) == b"x"
    assert client.get(HERE) == b"x"
    assert len(proxy.requests) == before + 1


def test_addresses_are_virtual_hosts_but_for_dots_and_endpoints() -> None:
    def url(region: str, bucket: str, endpoint: str = "") -> str:
        from trainyard.worker.s3.client import _Request

        return Client(region, endpoint)._url(_Request("GET", S3Address(bucket, "a/b c"), [("x", "y z")]))

    assert url("eu-west-1", "b") == "https://b.s3.eu-west-1.amazonaws.com/a/b%20c?x=y%20z"
    assert url("cn-north-1", "b") == "https://b.s3.cn-north-1.amazonaws.com.cn/a/b%20c?x=y%20z"
    assert url("eu-west-1", "b.c") == "https://s3.eu-west-1.amazonaws.com/b.c/a/b%20c?x=y%20z"
    assert url("eu-west-1", "b", "http://h:1/") == "http://h:1/b/a/b%20c?x=y%20z"


def test_region_and_endpoint_are_found_as_the_sdks_find_them() -> None:
    region = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}
    endpoint = {"AWS_ENDPOINT_URL": "http://all"}
    assert found_settings(region) == ("eu-west-1", "")
    assert found_settings({**region, "TRAINYARD_REGION": "eu-central-1"}) == ("eu-central-1", "")
    assert found_settings({**region, **endpoint}) == ("eu-west-1", "http://all")
    assert found_settings({**region, **endpoint, "AWS_ENDPOINT_URL_S3": "http://s3"})[1] == "http://s3"
    assert found_settings({**region, **endpoint, "TRAINYARD_S3_ENDPOINT": ""})[1] == ""
    with pytest.raises(ServiceError, match="no region: set TRAINYARD_REGION"):
        found_settings({"AWS_REGION": ""})


def test_what_is_no_address_is_refused() -> None:
    for text in ("s3://", "s3:///key", "/tmp/x", "S3://a/b"):
        with pytest.raises(InputError, match="write s3://bucket/key"):
            address_of(text)
    assert address_of("s3://b") == S3Address("b", "")
    assert str(address_of("s3://b/k/")) == "s3://b/k/"
