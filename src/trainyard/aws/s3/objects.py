"""Small objects of the buckets, read whole: what workers write down of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ...core.errors import AccountRefused
from ..account.errors import DENIED, ignoring
from ..account.session import Session, translated

TAKEN = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
"""What S3 says where an object is there already that must not be, or is just being written."""
ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})


def new(bucket: str, key: str, body: str | bytes, kind: str = "application/json") -> dict[str, Any]:
    """PutObject of an object, JSON if nothing else is said, where there is none of that key."""
    return {"Bucket": bucket, "Key": key, "Body": body, "ContentType": kind, "IfNoneMatch": "*"}


def put_new(session: Session, request: Mapping[str, Any]) -> bool:
    """Send what `new` made; False where there is such an object. Raises `AccountRefused`."""
    with ignoring(*TAKEN):
        session.call("s3", "put_object", **request)
        return True
    return False


def read(session: Session, bucket: str, key: str) -> bytes | None:
    """The content of an object; None where there is none. Raises `AccountRefused`."""
    try:
        return _content(session, bucket, key)
    except AccountRefused as error:
        if error.code in ABSENT:
            return None
        if error.code not in DENIED:
            raise
    # Who may list some folders of a bucket alone is told "forbidden" of an object that is not there (S3 API
    # Reference, GetObject). One that is listed may have come just now.
    return _content(session, bucket, key) if _is_listed(session, bucket, key) else None


def _content(session: Session, bucket: str, key: str) -> bytes:
    body = session.call("s3", "get_object", Bucket=bucket, Key=key)["Body"]
    with translated("s3:GetObject"), body:
        content: bytes = body.read()
        return content


def _is_listed(session: Session, bucket: str, key: str) -> bool:
    found = session.call("s3", "list_objects_v2", Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", ())
    return any(each["Key"] == key for each in found)


def read_json(session: Session, bucket: str, key: str) -> dict[str, Any] | None:
    """The JSON object that an object holds; None where there is none, or something else."""
    content = read(session, bucket, key)
    try:
        found = json.loads(content or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def size(session: Session, bucket: str, key: str, version: str = "") -> int | None:
    """The bytes of an object, or of a version of it; None where there is none."""
    if not version:
        return dict(sizes(session, bucket, key)).get(key)
    try:
        head = session.call("s3", "head_object", Bucket=bucket, Key=key, VersionId=version)
    except AccountRefused as error:
        if error.code not in ABSENT:
            raise
        return None
    return int(head["ContentLength"])


def version(session: Session, bucket: str, key: str) -> str:
    """The version of an object that is there now; "" where there are none, or it cannot be known."""
    with ignoring(*ABSENT, *DENIED):
        head = session.call("s3", "head_object", Bucket=bucket, Key=key)
        return str(head.get("VersionId", ""))
    return ""


def sizes(session: Session, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    """The keys below a prefix and the bytes of each, in their order; a request for each 1,000."""
    for page in session.pages("s3", "list_objects_v2", Bucket=bucket, Prefix=prefix):
        for each in page.get("Contents", ()):
            yield each["Key"], each["Size"]


def keys(session: Session, bucket: str, prefix: str) -> Iterator[str]:
    """The keys below a prefix, in their order; a request for each 1,000."""
    for key, _ in sizes(session, bucket, prefix):
        yield key
