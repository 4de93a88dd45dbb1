"""`python s3server.py`: the least that an S3 can be, in memory. It prints its address and serves until its
stdin ends.

It checks nothing, so that what is timed against it is the client. Whole objects, ranges, listings and
multipart uploads; every bucket exists; `DELETE /` forgets all.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

_DATE = "Wed, 25 Nov 2026 12:00:00 GMT"
_PAGE = 1000


class Objects:
    """What is kept, by the path of its URL."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._parts: dict[tuple[str, str], dict[int, bytes]] = {}

    def answer(
        self, method: str, path: str, query: Mapping[str, list[str]], headers: Mapping[str, str], body: bytes
    ) -> tuple[str, dict[str, str], bytes | memoryview]:
        """Status, headers and body of the answer to a request."""
        if method == "DELETE":
            self._objects.clear()
            self._parts.clear()
            return "204 No Content", {}, b""
        if method == "PUT":
            return self._put(path, query, body)
        if method == "POST":
            return self._post(path, query)
        if "list-type" in query:
            return "200 OK", {}, self._listed(path.strip("/"), query)
        return self._get(path, headers)

    def _put(
        self, path: str, query: Mapping[str, list[str]], body: bytes
    ) -> tuple[str, dict[str, str], bytes]:
        if "uploadId" in query:
            self._parts[path, query["uploadId"][0]][int(query["partNumber"][0])] = body
        else:
            self._objects[path] = body
        return "200 OK", {"ETag": '"1"'}, b""

    def _post(self, path: str, query: Mapping[str, list[str]]) -> tuple[str, dict[str, str], bytes]:
        if "uploads" in query:
            upload = str(len(self._parts) + 1)
            self._parts[path, upload] = {}
            return "200 OK", {}, _xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")
        parts = self._parts[path, query["uploadId"][0]]
        self._objects[path] = b"".join(parts.pop(number) for number in sorted(parts))
        return "200 OK", {}, _xml("CompleteMultipartUploadResult", '<ETag>"1"</ETag>')

    def _get(self, path: str, headers: Mapping[str, str]) -> tuple[str, dict[str, str], bytes | memoryview]:
        found = self._objects.get(path)
        if found is None:
            return "404 Not Found", {}, b""
        tags = {"ETag": '"1"', "Last-Modified": _DATE, "Accept-Ranges": "bytes"}
        if "range" not in headers:
            return "200 OK", tags, found
        first, _, last = headers["range"].removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(found)), len(found) - 1)
        tags["Content-Range"] = f"bytes {start}-{end}/{len(found)}"
        return "206 Partial Content", tags, memoryview(found)[start : end + 1]

    def _listed(self, bucket: str, query: Mapping[str, list[str]]) -> bytes:
        prefix = f"/{bucket}/{query.get('prefix', [''])[0]}"
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        keys = sorted(path for path in self._objects if path.startswith(prefix))
        left = [path for path in keys if path.removeprefix(f"/{bucket}/") > after]
        page = left[:_PAGE]
        found = "".join(
            f"<Contents><Key>{escape(path.removeprefix(f'/{bucket}/'))}</Key>"
            f'<Size>{len(self._objects[path])}</Size><ETag>"1"</ETag>'
            "<LastModified>2026-11-25T12:00:00.000Z</LastModified></Contents>"
            for path in page
        )
        more = len(left) > len(page)
        token = escape(page[-1].removeprefix(f"/{bucket}/")) if more else ""
        following = f"<NextContinuationToken>{token}</NextContinuationToken>" if more else ""
        facts = f"<KeyCount>{len(page)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
        return _xml("ListBucketResult", facts + following + found)


def _xml(name: str, inner: str) -> bytes:
    return f'<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</{name}>'.encode()


class Line(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._received = bytearray()
        self._head: tuple[str, str, dict[str, str]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._head is not None or b"\r\n\r\n" in self._received:
            if self._head is None:
                self._read_head()
            assert self._head is not None
            length = int(self._head[2].get("content-length", 0))
            if len(self._received) < length:
                return
            body = bytes(self._received[:length])
            del self._received[:length]
            head, self._head = self._head, None
            self._answer(*head, body)

    def _read_head(self) -> None:
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        self._received = bytearray(rest)
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        self._head = (method, target, headers)
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        path, _, query = target.partition("?")
        asked = parse_qs(query, keep_blank_values=True)
        status, tags, content = self._objects.answer(method, unquote(path), asked, headers, body)
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in tags.items()]
        self._transport.write("\r\n".join([*lines, "", ""]).encode())
        if method != "HEAD" and content:
            self._transport.write(content)


async def serve() -> None:
    """Serve on a free port of loopback, which is printed, until nobody holds our stdin any more."""
    loop = asyncio.get_running_loop()
    objects = Objects()
    server = await loop.create_server(lambda: Line(objects), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
