"""What S3 answers when it does not do what was asked, in words ("Error responses", S3 API Reference)."""

from __future__ import annotations

import http.client
import time
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from xml.etree import ElementTree

from ..errors import InputError, Missing, OutputError, ServiceError, Unmet

_PASSING_STATUSES = {307, 408, 429, 500, 502, 503, 504}
_PASSING = {
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
}
_STALE = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
_UNKNOWN = {"InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"}
_UNMET = {"InvalidRange", "NoSuchUpload", "PreconditionFailed"}
_LONGEST = 65_536
_GRANT = {
    "read": "name its bucket in read_buckets of the environment, or copy it into the environment's own",
    "write": "grant the role s3:PutObject there",
}


class ErrorResponse(Exception):
    """An answer other than success. `region` is that of the bucket, where S3 says it; `skew` the seconds by
    which this machine's clock is ahead of S3's; `location` the address to ask instead."""

    def __init__(
        self, status: int, code: str, message: str, *, region: str = "", skew: float = 0.0, location: str = ""
    ) -> None:
        super().__init__(f"{status} {code}" if code else str(status))
        self.status, self.code, self.message = status, code, message
        self.region, self.skew, self.location = region, skew, location

    @property
    def is_stale(self) -> bool:
        """Whether the credentials have expired."""
        return self.code in _STALE

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed later."""
        return self.code in _PASSING or (self.status in _PASSING_STATUSES and self.code != "NotImplemented")

    @classmethod
    def of(cls, response: http.client.HTTPResponse) -> ErrorResponse:
        """What an answer says; its body is read."""
        body = response.read(_LONGEST)
        said = _fields(body)
        headers = response.headers
        return cls(
            response.status,
            said.code,
            said.message,
            region=headers.get("x-amz-bucket-region", "") or said.region,
            skew=_skew(headers.get("Date", "")),
            location=headers.get("Location", "") if response.status == 307 else "",
        )


class _Fields(NamedTuple):
    code: str = ""
    message: str = ""
    region: str = ""


def _fields(body: bytes) -> _Fields:
    try:
        root = ElementTree.fromstring(body.strip())
    except ElementTree.ParseError:
        return _Fields()
    found = {child.tag.rpartition("}")[2]: " ".join((child.text or "").split()) for child in root}
    return _Fields(found.get("Code", ""), found.get("Message", ""), found.get("Region", ""))


def _skew(date: str) -> float:
    try:
        return time.time() - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return 0.0


def explained(error: ErrorResponse, where: str, region: str, *, writes: bool) -> Exception:
    """The error that a final error response is to the person who reads it.

    Missing, Unmet, ServiceError; else InputError, or OutputError where it `writes`.
    """
    if error.code in _UNMET or error.status in (412, 416):
        return Unmet(where)
    kind = OutputError if writes else InputError
    elsewhere = error.region and error.region != region
    if error.status in (301, 400) and elsewhere:
        return kind(
            f"{where} is in {error.region} and the job in {region}; copy it into a bucket of {region}"
        )
    if error.code == "NoSuchBucket":
        return kind(f"{where}: there is no such bucket; name one that exists")
    if error.status == 404:
        return missing(where)
    if error.code == "InvalidObjectState":
        return kind(f"{where} is archived; restore it, or name another")
    return _about_access(error, where, kind, "write" if writes else "read")


def missing(where: str) -> Missing:
    """The error for an object that is not there."""
    return Missing(f"{where}: there is no such object; name one that exists")


def _about_access(error: ErrorResponse, where: str, kind: type[Exception], verb: str) -> Exception:
    if error.code == "RequestTimeTooSkewed":
        minutes = abs(error.skew) / 60
        side = "ahead of" if error.skew > 0 else "behind"
        return ServiceError(f"this machine's clock is {minutes:.0f} minutes {side} AWS's; set it right")
    if error.is_stale:
        return ServiceError(f"{where}: the AWS credentials have expired; give the job a role, or newer ones")
    if error.code in _UNKNOWN:
        return ServiceError(
            f"{where}: AWS does not accept the credentials ({error.code}); give the job a role"
        )
    said = f" ({error.message})" if error.message else ""
    if error.status in (401, 403):
        return kind(f"{where}: the job's role may not {verb} it{said}; {_GRANT[verb]}")
    return kind(f"{where}: S3 will not have it: {error}{said}; correct the address")
