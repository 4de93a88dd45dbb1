"""Connections to AWS that are kept for the next request, through the proxies and with the certificates that
the environment names (`HTTPS_PROXY`, `NO_PROXY`, `AWS_CA_BUNDLE`, …)."""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import threading
import time
from contextlib import contextmanager
from typing import Iterator, Mapping, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import ServiceError

CONNECT = 10.0
"""Seconds to connect in."""
READ = 60.0
"""Seconds of silence after which a connection is taken for lost."""
IDLE = 10.0
"""Seconds after which a connection that was not used is not used again: S3 closes idle ones itself."""

FAILURES = (OSError, http.client.HTTPException)
"""What goes wrong on the way; a request may be sent again."""


class _Kept(NamedTuple):
    connection: http.client.HTTPConnection
    since: float


class Connections:
    """Open connections, used by one request at a time; for all threads."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str], list[_Kept]] = {}
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    @contextmanager
    def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | memoryview = b""
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request; its answer, to be read inside of the block. Raises FAILURES, and ServiceError for a
        certificate that is not trusted."""
        parts = urlsplit(url)
        connection = self._taken(parts)
        whole = False
        try:
            response = self._asked(connection, method, url, headers, body)
            yield response
            whole = response.isclosed() and not response.will_close
        finally:
            if whole:
                self._keep(parts, connection)
            else:
                connection.close()

    def close(self) -> None:
        """Close what is not in use."""
        with self._lock:
            kept = [each for idle in self._idle.values() for each in idle]
            self._idle.clear()
        for each in kept:
            each.connection.close()

    def _asked(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | memoryview,
    ) -> http.client.HTTPResponse:
        kept = connection.sock is not None
        with _trust(urlsplit(url).netloc):
            try:
                _send(connection, method, url, headers, body)
                return connection.getresponse()
            except ConnectionError:
                # S3 has closed a kept connection meanwhile: no failure, and no news.
                if not kept:
                    raise
            connection.close()
            _send(connection, method, url, headers, body)
            return connection.getresponse()

    def _taken(self, parts: SplitResult) -> http.client.HTTPConnection:
        with self._lock:
            idle = self._idle.get((parts.scheme, parts.netloc), [])
            old = [each for each in idle if each.since < time.monotonic() - IDLE]
            idle[:] = idle[len(old) :]
            kept = idle.pop() if idle else None
        for each in old:
            each.connection.close()
        return kept.connection if kept else self._opened(parts)

    def _keep(self, parts: SplitResult, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            idle = self._idle.setdefault((parts.scheme, parts.netloc), [])
            idle.append(_Kept(connection, time.monotonic()))

    def _opened(self, parts: SplitResult) -> http.client.HTTPConnection:
        """A connection that is still to be made: by http.client, when the request is sent."""
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        proxy = "" if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme, "")
        if not proxy:
            return self._connection(secure, host, parts.port)
        way = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        connection = self._connection(secure, way.hostname or "", way.port or 8080)
        if secure:
            connection.set_tunnel(host, parts.port, headers=_proxy_headers(way))
        else:
            connection.__dict__["proxy_headers"] = _proxy_headers(way)
        return connection

    def _connection(self, secure: bool, host: str, port: int | None) -> http.client.HTTPConnection:
        if secure:
            return http.client.HTTPSConnection(host, port, timeout=CONNECT, context=self._trusted())
        return http.client.HTTPConnection(host, port, timeout=CONNECT)

    def _trusted(self) -> ssl.SSLContext:
        # Reading the certificates takes longer than a request: once for all connections.
        with self._lock:
            if self._context is None:
                self._context = context()
            return self._context


def context() -> ssl.SSLContext:
    """The certificates that are trusted: those of `AWS_CA_BUNDLE`, else of `SSL_CERT_FILE` or the system."""
    bundle = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or None
    try:
        found = ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise ServiceError(
            f"{bundle}: no certificates can be read there ({error}); correct AWS_CA_BUNDLE"
        ) from None
    found.minimum_version = ssl.TLSVersion.TLSv1_2
    return found


@contextmanager
def _trust(host: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise ServiceError(
            f"{host}: its certificate is not trusted ({error.verify_message}); install CA certificates in "
            "the image, or name them by AWS_CA_BUNDLE"
        ) from None


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | memoryview,
) -> None:
    if connection.sock is None:
        _connect(connection)
    own = {"Content-Length": str(len(body))} if body or method in ("PUT", "POST") else {}
    extra = connection.__dict__.get("proxy_headers", {})
    try:
        connection.request(method, _target(connection, url), body or None, {**headers, **own, **extra})
    except BrokenPipeError:
        # A server that refuses a body answers before it has all of it: the answer says why.
        pass


def _connect(connection: http.client.HTTPConnection) -> None:
    connection.connect()
    connection.sock.settimeout(READ)


def _target(connection: http.client.HTTPConnection, url: str) -> str:
    """What the request line names: a proxy without a tunnel wants the whole address."""
    if "proxy_headers" in connection.__dict__:
        return url
    parts = urlsplit(url)
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def _proxy_headers(way: SplitResult) -> dict[str, str]:
    if not way.username:
        return {}
    user = f"{unquote(way.username)}:{unquote(way.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(user.encode('utf-8')).decode('ascii')}"}
