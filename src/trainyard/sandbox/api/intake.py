"""What is known of a request from its headers alone, and its body, which is taken in only after that.

Anybody on this machine can connect. Who signed a request is read before a byte of its body is, so that a
stranger's costs no memory; the others' are kept on the disk, and end somewhere.
"""

from __future__ import annotations

import re
import tempfile
import urllib.parse
from collections.abc import Iterator
from io import BytesIO
from typing import IO, NamedTuple
from wsgiref.types import WSGIEnvironment

from .protocols import AwsError

LARGEST_OBJECT, LARGEST = 1 << 30, 128 << 20
"""Bytes of one request's body, at most, to S3 and to the other services. S3 itself takes 5 GiB, but here an
object passes through memory; clients send larger ones in parts."""
_IN_MEMORY, _CHUNK = 1 << 20, 1 << 16
_SCOPE = re.compile(r"(?P<key>[^/,\s=]+)/(?P<date>\d{8})/(?P<region>[\w-]+)/(?P<service>[\w-]+)/aws4_request")
_CREDENTIAL = re.compile(r"Credential=([^,\s]*)")
_PRESIGNED = "x-amz-credential"


class Signature(NamedTuple):
    """Who signed a request, and for what."""

    access_key: str
    region: str
    service: str


UNSIGNED = Signature("", "", "")


def signature(environ: WSGIEnvironment) -> Signature:
    """The signature (Version 4) of a request, in the header or the query; the header is written anew, so that
    whoever reads it next finds the same. Raises AwsError for more than one.
    """
    for name in [name for name in environ if name.startswith("HTTP_X_MOTO_")]:
        del environ[name]  # moto's own: another account, say
    environ.pop("HTTP_ACTION", None)
    # moto takes the region from here before it takes it from the signature.
    environ["HTTP_USER_AGENT"] = str(environ.get("HTTP_USER_AGENT", "")).replace("region/", "region-")
    query = urllib.parse.parse_qsl(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)
    header = str(environ.get("HTTP_AUTHORIZATION", ""))
    found = _CREDENTIAL.findall(header) if header.startswith("AWS4-HMAC-SHA256 ") else []
    found += [value for name, value in query if name.lower() == _PRESIGNED]
    if len(found) > 1:
        raise AwsError("IncompleteSignature", "a request is signed once: it has several credentials")
    scope = _SCOPE.fullmatch(found[0]) if found else None
    if scope is None:
        environ.pop("HTTP_AUTHORIZATION", None)
        return UNSIGNED
    credential = "/".join([scope["key"], scope["date"], scope["region"], scope["service"].lower()])
    environ["HTTP_AUTHORIZATION"] = (
        f"AWS4-HMAC-SHA256 Credential={credential}/aws4_request, SignedHeaders=host, Signature=0"
    )
    return Signature(scope["key"], scope["region"], scope["service"].lower())


def take_in(environ: WSGIEnvironment, service: str) -> None:
    """Have the body lie in `wsgi.input`, whole, with its length: on the disk where it is not small. Raises
    AwsError for one that is too long, and for one that breaks off.
    """
    most = LARGEST_OBJECT if service == "s3" else LARGEST
    declared = int(environ.get("CONTENT_LENGTH") or 0)
    is_chunked = bool(environ.pop("wsgi.input_terminated", False))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    if declared > most:
        raise _too_long(service, most)
    spooled: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  (moto reads it)
    size = 0
    for chunk in _chunks(environ["wsgi.input"], most + 1 if is_chunked else declared):
        size += spooled.write(chunk)
    if size > most:
        raise _too_long(service, most)
    if size < declared:
        raise AwsError("IncompleteBody", "the request's body is shorter than its Content-Length says")
    spooled.seek(0)
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = spooled, str(size)


def replace(environ: WSGIEnvironment, body: bytes) -> None:
    """Make these bytes the body."""
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))


def _chunks(source: IO[bytes], most: int) -> Iterator[bytes]:
    while most > 0:
        try:
            chunk = source.read(min(most, _CHUNK))
        except OSError as error:  # of a chunk without a length, or of a connection that broke
            raise AwsError("IncompleteBody", f"the request's body cannot be read: {error}") from None
        if not chunk:
            return
        most -= len(chunk)
        yield chunk


def _too_long(service: str, most: int) -> AwsError:
    if service == "s3":
        return AwsError("EntityTooLarge", f"more than {most} bytes in one request: send the object in parts")
    return AwsError("RequestEntityTooLarge", f"more than {most} bytes in one request", 413)
