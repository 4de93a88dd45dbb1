"""An HTTP server before another one, which does to requests what networks and busy servers do."""

from __future__ import annotations

import http.client
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

SLOW_DOWN = (503, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")


class Request(NamedTuple):
    """A request that came; `number` counts them all from 1, `again` equal ones."""

    number: int
    again: int
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Fault(NamedTuple):
    """What happens to a request. At most one of these:

    an `answer` (status, body, headers) in place of the server's; a reset connection before the server sees
    it, or after, so that its work is done and its answer lost; an answer cut off, or hanging, after so many
    bytes of its body.
    """

    answer: tuple[int, str] | tuple[int, str, Mapping[str, str]] | None = None
    reset_before: bool = False
    reset_after: bool = False
    cut_after: int | None = None
    hang_after: int | None = None
    delay: float = 0.0


NONE = Fault()
Judge = Callable[[Request], Fault]


def s3_error(status: int, code: str, message: str = "", **headers: str) -> Fault:
    """The answer of S3 to a request that it refuses."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Fault((status, body, {name.replace("_", "-"): value for name, value in headers.items()}))


class Proxy:
    """Passes requests on to the server at `url`, but for what `judge` says of them."""

    def __init__(self, url: str) -> None:
        self.judge: Judge = lambda request: NONE
        self.requests: list[Request] = []
        self.connections = 0
        self.most = 0
        """Requests that were delayed at the same time, at the most."""
        self._delayed = 0
        self.sent = 0
        """Bytes of bodies that were sent to clients."""
        self._lock = threading.Lock()
        self._halted = threading.Event()
        target = urlsplit(url)
        assert target.hostname
        self._target = (target.hostname, target.port or 80)
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            # Head and body go out apart: with Nagle's algorithm, each answer waits 40 ms for the other side.
            disable_nagle_algorithm = True

            def handle(self) -> None:
                proxy.connections += 1
                try:
                    while proxy._serve(self.rfile, self.request):
                        pass
                except OSError:
                    pass

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._halted.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def made(self, method: str, pattern: str = "") -> list[Request]:
        """The requests of a method whose target matches."""
        return [each for each in self.requests if each.method == method and re.search(pattern, each.target)]

    def _serve(self, stream: object, line: socket.socket) -> bool:
        """Serve one request; whether another may come over the same connection."""
        head = stream.readline().decode("latin-1").split()  # type: ignore[attr-defined]
        if len(head) < 3:
            return False
        headers = dict(http.client.parse_headers(stream).items())  # type: ignore[arg-type]
        length = next((int(value) for name, value in headers.items() if name.lower() == "content-length"), 0)
        if any(name.lower() == "expect" for name in headers):
            line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = stream.read(length)  # type: ignore[attr-defined]
        request, fault = self._judged(head[0], head[1], headers, body)
        with self._busy():
            time.sleep(fault.delay)
        if fault.reset_before:
            return _reset(line)
        if fault.answer:
            return self._answer(line, *fault.answer)
        status, reason, answered, content = self._passed_on(request)
        if fault.reset_after:
            return _reset(line)
        return self._send(line, request, fault, f"HTTP/1.1 {status} {reason}", answered, content)

    @contextmanager
    def _busy(self) -> Iterator[None]:
        with self._lock:
            self._delayed += 1
            self.most = max(self.most, self._delayed)
        yield
        with self._lock:
            self._delayed -= 1

    def _judged(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[Request, Fault]:
        with self._lock:
            number = len(self.requests) + 1
            spans = headers.get("Range", "")
            equal = [
                each
                for each in self.requests
                if (each.method, each.target, each.headers.get("Range", "")) == (method, target, spans)
            ]
            request = Request(number, len(equal), method, target, headers, body)
            self.requests.append(request)
        return request, self.judge(request)

    def _passed_on(self, request: Request) -> tuple[int, str, list[tuple[str, str]], bytes]:
        server = http.client.HTTPConnection(*self._target, timeout=30)
        try:
            kept = {
                name: value
                for name, value in request.headers.items()
                if name.lower() not in ("connection", "expect")
            }
            server.request(request.method, request.target, request.body, kept)
            response = server.getresponse()
            return response.status, response.reason, response.getheaders(), response.read()
        finally:
            server.close()

    def _send(
        self,
        line: socket.socket,
        request: Request,
        fault: Fault,
        status: str,
        headers: list[tuple[str, str]],
        content: bytes,
    ) -> bool:
        dropped = {"transfer-encoding", "connection"}
        if request.method != "HEAD":
            dropped.add("content-length")
        lines = [f"{name}: {value}" for name, value in headers if name.lower() not in dropped]
        if request.method != "HEAD":
            lines.append(f"Content-Length: {len(content)}")
        line.sendall("\r\n".join([status, *lines, "", ""]).encode("latin-1"))
        if request.method == "HEAD":
            return True
        cut = fault.cut_after if fault.cut_after is not None else fault.hang_after
        whole = content if cut is None else content[:cut]
        line.sendall(whole)
        with self._lock:
            self.sent += len(whole)
        if fault.hang_after is not None:
            self._halted.wait(60)
        return cut is None

    def _answer(
        self, line: socket.socket, status: int, body: str, headers: Mapping[str, str] | None = None
    ) -> bool:
        content = body.encode()
        lines = [f"HTTP/1.1 {status} No", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        line.sendall("\r\n".join([*lines, "", ""]).encode() + content)
        return False


def _reset(line: socket.socket) -> bool:
    """End a connection by RST, as a machine that goes down does."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()
    return False
