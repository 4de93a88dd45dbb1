"""Signature Version 4, by which AWS knows who asks.

Source: the IAM User Guide, "Create a signed AWS API request", and the S3 API reference, "Authenticating
Requests: Using the Authorization Header".
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import time
from typing import TYPE_CHECKING, Mapping
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from .credentials import Credentials

UNSIGNED = "UNSIGNED-PAYLOAD"
"""The hash that S3 takes for a body that is not signed: its length and TLS protect it."""

_ALGORITHM = "AWS4-HMAC-SHA256"
# What proxies and clients may change on the way.
_UNSIGNED_HEADERS = {"authorization", "connection", "expect", "transfer-encoding", "user-agent"}


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    payload: bytes | str,
    *,
    service: str,
    region: str,
    credentials: Credentials,
    now: float | None = None,
) -> dict[str, str]:
    """The headers to send: those given, `Host`, the time, the session's token and the signature.

    `url` is sent as it stands: its path and query are percent-encoded already. `payload` is the body, or
    (text) its SHA-256 in hexadecimal, or UNSIGNED. `now` is in seconds since the epoch, by default this
    moment. A signature is good for 15 minutes.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    parts = urlsplit(url)
    digest = payload if isinstance(payload, str) else hashlib.sha256(payload).hexdigest()
    signed = {**headers, "Host": parts.netloc.rpartition("@")[2], "X-Amz-Date": moment}
    if service == "s3":
        signed["X-Amz-Content-SHA256"] = digest
    if credentials.token:
        signed["X-Amz-Security-Token"] = credentials.token
    names, lines = _canonical_headers(signed)
    path = parts.path if service == "s3" else _encoded_again(parts.path)
    request = "\n".join([method, path or "/", _canonical_query(parts.query), lines, names, digest])
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(request.encode("utf-8")).hexdigest()])
    key = _key(credentials.secret_key, moment[:8], region, service)
    signature = hmac.new(key, text.encode("utf-8"), hashlib.sha256).hexdigest()
    signed["Authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    return signed


def _canonical_headers(headers: Mapping[str, str]) -> tuple[str, str]:
    """The names of the headers that are signed, and their lines."""
    found = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names = sorted(name for name in found if name not in _UNSIGNED_HEADERS)
    return ";".join(names), "".join(f"{name}:{found[name]}\n" for name in names)


def _canonical_query(query: str) -> str:
    pairs = [part.partition("=") for part in query.split("&") if part]
    return "&".join(f"{name}={value}" for name, value in sorted((name, value) for name, _, value in pairs))


def _encoded_again(path: str) -> str:
    """The path as every service but S3 wants it: without dots, and what is encoded encoded once more."""
    plain = posixpath.normpath(path) if path else "/"
    # normpath keeps two slashes at the head, as POSIX wants them.
    plain = "/" + plain.lstrip("/")
    if path.endswith(("/", "/.", "/..")) and plain != "/":
        plain += "/"
    return quote(plain, safe="/~")


def _key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for text in (date, region, service, "aws4_request"):
        key = hmac.new(key, text.encode("utf-8"), hashlib.sha256).digest()
    return key
