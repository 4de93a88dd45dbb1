"""S3, by the standard library alone: objects read in ranges, listed, and written whole or not at all.

Sources: the S3 API Reference (operations, "Error responses") and User Guide ("Conditional requests",
"Checking object integrity"). Nothing is lost to a connection that breaks, a throttled request or a machine of
theirs that fails: requests are sent again, and reading goes on where it broke off.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import http.client
import os
import threading
from typing import Callable, ContextManager, Iterator, Mapping, NamedTuple, Sequence, TypeVar
from urllib.parse import quote, unquote, urlencode, urlsplit

from ..errors import InputError, Missing, ServiceError, Unmet
from ..protocol import ENDPOINT_VARIABLE, REGION_VARIABLE
from . import credentials, responses, signing
from .address import S3Address, own_endpoint
from .backoff import Backoff
from .connections import FAILURES, Connections
from .errors import ErrorResponse, explained, missing
from .responses import DIGEST, Object, ObjectFacts

NEW: Mapping[str, str] = {"If-None-Match": "*"}
"""The condition that there is no object of that name yet."""
_BLOCK = 1 << 16
"""Bytes that are read at once: what came of a block is lost when the connection breaks within it."""

_T = TypeVar("_T")
_Query = Sequence["tuple[str, str]"]


class _Request(NamedTuple):
    method: str
    place: S3Address
    query: _Query = ()
    headers: Mapping[str, str] = {}
    body: bytes | memoryview = b""
    digest: str = ""  # of the body, SHA-256 in hexadecimal; "": to be computed


def address_of(uri: str) -> S3Address:
    """The address that `uri` writes down. Raises InputError where it is none."""
    found = S3Address.parse(uri)
    if not S3Address.is_one(uri) or not found.bucket:
        raise InputError(f"{uri}: not an address of S3; write s3://bucket/key")
    return found


def if_match(etag: str) -> Mapping[str, str]:
    """The condition that the object is still the one with that `etag`."""
    return {"If-Match": etag}


class Client:
    """S3 as one region's machines see it; for all threads. `endpoint` stands in for AWS's own addresses.

    Every method raises InputError (reading) or OutputError (writing) for what S3 finally refuses, Missing for
    an object that is not there, and ServiceError where S3 cannot be reached or the credentials not be had.
    """

    def __init__(self, region: str, endpoint: str = "") -> None:
        self.region = region
        self._endpoint = endpoint.rstrip("/")
        self._connections = Connections()
        self._moved: dict[str, str] = {}
        self._version: _Query = ()

    def pinned(self, version: str) -> Client:
        """The same, over the same connections, to read that version of an object; it lists as ever."""
        found = copy.copy(self)
        found._version = [("versionId", version)]
        return found

    def close(self) -> None:
        """Close the connections; the next request opens one again."""
        self._connections.close()

    def head(self, where: S3Address) -> ObjectFacts:
        """What is known of an object."""
        return self._call(_Request("HEAD", where), responses.facts)

    def get(self, where: S3Address) -> bytes:
        """The whole of a small object."""
        return self._call(_Request("GET", where), responses.whole)

    def read(self, where: S3Address, start: int, end: int, etag: str) -> bytearray:
        """The bytes `start` to `end` (exclusive) of an object. Raises Unmet when it is no longer the one with
        that `etag`."""
        content = bytearray(end - start)
        self.read_into(where, start, memoryview(content), etag)
        return content

    def read_into(self, where: S3Address, start: int, target: memoryview, etag: str) -> None:
        """Fill `target` with the bytes of an object from `start` on. Raises as `read` does."""
        done = 0
        backoff = Backoff(str(where))

        def take(response: http.client.HTTPResponse) -> None:
            nonlocal done
            if response.headers.get("ETag", etag) != etag:
                raise Unmet(str(where))
            if response.status != 206 and start + done:
                raise http.client.HTTPException("the range was not heeded")
            while done < len(target):
                count = response.readinto(target[done : done + _BLOCK])
                if not count:
                    raise http.client.IncompleteRead(b"", len(target) - done)
                done += count
                backoff.progress()

        while done < len(target):
            span = f"bytes={start + done}-{start + len(target) - 1}"
            request = _Request("GET", where, headers={"Range": span, **if_match(etag)})
            self._once(request, take, backoff)

    def lists(self, where: S3Address) -> bool:
        """Whether a listing has the object, which comes first in it.

        To who may list some folders of a bucket alone, HEAD says "forbidden" of what is not there.
        """
        query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", "1"), ("prefix", where.key)]
        found, _ = self._call(_Request("GET", S3Address(where.bucket, ""), query), responses.listed)
        return any(each.key == where.key for each in found)

    def listing(self, where: S3Address, *, delimiter: str = "") -> Iterator[Object]:
        """What lies below a prefix, by key; with a delimiter, only up to its next occurrence."""
        query = [("list-type", "2"), ("encoding-type", "url"), ("prefix", where.key)]
        query += [("delimiter", delimiter)] if delimiter else []
        page: Sequence[tuple[str, str]] = ()
        while True:
            request = _Request("GET", S3Address(where.bucket, ""), [*query, *page])
            found, more = self._call(request, responses.listed)
            yield from found
            if not more:
                return
            page = [("continuation-token", more)]

    def put(
        self,
        where: S3Address,
        content: bytes | memoryview,
        *,
        condition: Mapping[str, str] = {},
        metadata: Mapping[str, str] = {},
    ) -> str:
        """Write an object whole; its ETag. Raises Unmet when the `condition` (NEW, `if_match`) does not hold
        and what is there is anything else than `content`."""
        digest = hashlib.sha256(content).hexdigest()
        headers = {**condition, **described(metadata, digest), **checksum(digest)}
        request = _Request("PUT", where, (), headers, content, digest)
        return self.settled(where, digest, lambda: self._call(request, responses.etag))

    def settled(self, where: S3Address, digest: str, write: Callable[[], str]) -> str:
        """The ETag that `write` gives, or that of the object which already is what was to be written: by
        another attempt, or by us, where the answer was lost."""
        try:
            return write()
        except Unmet:
            try:
                facts = self.head(where)
            except Missing:
                raise Unmet(str(where)) from None
            if facts.digest != digest:
                raise
            return facts.etag

    def begin_upload(self, where: S3Address, metadata: Mapping[str, str], digest: str) -> str:
        """Begin an upload in parts of what has the SHA-256 `digest`; its id."""
        headers = {**described(metadata, digest), "x-amz-checksum-algorithm": "SHA256"}
        return self._call(_Request("POST", where, [("uploads", "")], headers), responses.upload)

    def put_part(self, where: S3Address, upload: str, number: int, content: bytes | memoryview) -> str:
        """Send a part of an upload, numbered from 1; what `complete_upload` wants to know of it."""
        digest = hashlib.sha256(content).hexdigest()
        query = [("partNumber", str(number)), ("uploadId", upload)]
        headers = checksum(digest)
        etag = self._call(_Request("PUT", where, query, headers, content, digest), responses.etag)
        known = f"<ETag>{etag}</ETag><ChecksumSHA256>{headers[_CHECKSUM]}</ChecksumSHA256>"
        return f"<Part><PartNumber>{number}</PartNumber>{known}</Part>"

    def complete_upload(
        self, where: S3Address, upload: str, parts: Sequence[str], condition: Mapping[str, str]
    ) -> str:
        """Make an object of its parts; its ETag. Raises Unmet when the condition does not hold, or the upload
        is no longer there."""
        body = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
        return self._call(
            _Request("POST", where, [("uploadId", upload)], condition, body), responses.completed
        )

    def abort_upload(self, where: S3Address, upload: str) -> None:
        """Forget an upload and its parts."""
        self._call(_Request("DELETE", where, [("uploadId", upload)]), responses.whole)

    def _call(self, request: _Request, receive: Callable[[http.client.HTTPResponse], _T]) -> _T:
        """Send a request until it is answered: what `receive` makes of the answer."""
        backoff = Backoff(str(request.place))
        found: list[_T] = []
        while not found:
            self._once(request, lambda response: found.append(receive(response)), backoff)
        return found[0]

    def _once(
        self, request: _Request, receive: Callable[[http.client.HTTPResponse], None], backoff: Backoff
    ) -> None:
        """Send a request, and wait where that failed and it may be sent again."""
        try:
            with self._sent(request) as response:
                if response.status < 300:
                    return receive(response)
                error_response = ErrorResponse.of(response)
        except FAILURES as error:
            return backoff.after_failure(error)
        except ErrorResponse as found:
            error_response = found
        self._take_in(request, error_response)
        return backoff.after_response(error_response)

    def _take_in(self, request: _Request, error_response: ErrorResponse) -> None:
        """Prepare for the next try. Raises what the response means where there need be none."""
        if request.method == "HEAD" and error_response.status in (400, 403):
            error_response = self._reason_of(request.place, error_response)
        if error_response.location:
            self._moved[request.place.bucket] = _base(error_response.location, request.place)
        renewed = error_response.is_stale and credentials.forget()
        if not (error_response.is_passing or renewed):
            writes = request.method not in ("GET", "HEAD")
            if error_response.code == "AccessDenied" and not writes and self._lacks(request.place):
                raise missing(str(request.place)) from None
            raise explained(error_response, str(request.place), self.region, writes=writes) from None

    def _lacks(self, where: S3Address) -> bool:
        """Whether there is surely no such object."""
        try:
            return bool(where.key) and not self.lists(where)
        except (InputError, ServiceError):
            return False

    def _reason_of(self, where: S3Address, error_response: ErrorResponse) -> ErrorResponse:
        """Why HEAD was refused, which has no body to say it in: what GET says."""
        request = _Request("GET", where, headers={"Range": "bytes=0-0"})
        for _ in range(3):
            try:
                with self._sent(request) as response:
                    said = ErrorResponse.of(response)
                    return said if said.status == error_response.status else error_response
            except FAILURES:
                pass
        return error_response

    def _sent(self, request: _Request) -> ContextManager[http.client.HTTPResponse]:
        url = self._url(request)
        headers = signing.sign(
            request.method,
            url,
            request.headers,
            request.digest or hashlib.sha256(request.body).hexdigest(),
            service="s3",
            region=self.region,
            credentials=credentials.current(),
        )
        return self._connections.exchange(request.method, url, headers, request.body)

    def _url(self, request: _Request) -> str:
        bucket, key = request.place
        asked = request.query or self._version
        query = f"?{urlencode(asked, quote_via=quote, safe='~')}" if asked else ""
        return f"{self._moved.get(bucket) or self._base(bucket)}/{quote(key, safe='/~')}{query}"

    def _base(self, bucket: str) -> str:
        if self._endpoint:
            return f"{self._endpoint}/{bucket}"
        address = own_endpoint(self.region)
        # The certificate of AWS's addresses covers one label, and a bucket's dots make it several.
        return f"{address}/{bucket}" if "." in bucket else address.replace("://", f"://{bucket}.")


def _base(location: str, where: S3Address) -> str:
    """The address of a bucket, of a redirection to a place in it."""
    there = urlsplit(location)
    folder = "" if unquote(there.path) == f"/{where.key}" else f"/{where.bucket}"
    return f"{there.scheme}://{there.netloc}{folder}"


_CHECKSUM = "x-amz-checksum-sha256"


def checksum(digest: str) -> dict[str, str]:
    """The header by which S3 checks what it gets, of a SHA-256 in hexadecimal."""
    return {_CHECKSUM: base64.b64encode(bytes.fromhex(digest)).decode("ascii")}


def described(metadata: Mapping[str, str], digest: str) -> dict[str, str]:
    """The headers that describe what is written."""
    return {**{f"x-amz-meta-{name}": value for name, value in metadata.items()}, DIGEST: digest}


class _SharedClient:
    """The client of this process, made when it is first asked for."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.client: Client | None = None


_shared = _SharedClient()


def client() -> Client:
    """This process's client, of the region and at the endpoint that its environment names."""
    with _shared.lock:
        if _shared.client is None:
            _shared.client = Client(*settings(os.environ))
        return _shared.client


def settings(variables: Mapping[str, str]) -> tuple[str, str]:
    """The region, and the endpoint ("": AWS's own), as AWS's SDKs find them; `TRAINYARD_*` go first.

    Raises ServiceError where no region is named.
    """
    regions = (REGION_VARIABLE, "AWS_REGION", "AWS_DEFAULT_REGION")
    region = _first(variables, regions)
    if not region:
        raise ServiceError(f"no region: set {REGION_VARIABLE} to the bucket's region, such as eu-central-1")
    # Where it is set to nothing, AWS's own address is meant, whatever the handler's variables say.
    endpoint = variables.get(ENDPOINT_VARIABLE)
    if endpoint is None:
        endpoint = _first(variables, ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    return region, endpoint


def _first(variables: Mapping[str, str], names: Sequence[str]) -> str:
    return next((variables[name] for name in names if variables.get(name)), "")


def close() -> None:
    """Close this process's client, where there is one."""
    with _shared.lock:
        found, _shared.client = _shared.client, None
    if found:
        found.close()
