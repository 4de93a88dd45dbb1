"""Who may knock at all: a client on this machine that was told the address, and no web page.

A page in a browser can send requests to loopback, and with a name that is made to mean 127.0.0.1 read the
answers too. Both show: in the header Origin, and in a Host that is not this machine's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_HOST = re.compile(r"(127\.0\.0\.1|\[::1\]|localhost)(:\d+)?", re.IGNORECASE)
"""No names below localhost: moto takes a bucket from them, and permissions go by the path."""
_CLOSED = ("/moto-api/", "/latest/meta-data/", "/latest/api/", "/favicon.ico")
"""Of moto's own, and of no AWS service: they ask for no credentials."""


class Gate:
    """The WSGI application around all others."""

    def __init__(self, inner: WSGIApplication) -> None:
        self._inner = inner

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if reason := refusal(environ):
            body = f"trainyard's sandbox: {reason}\n".encode()
            headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
            start_response("403 Forbidden", [*headers, ("Connection", "close")])
            return [body]
        return self._inner(environ, start_response)


def refusal(environ: WSGIEnvironment) -> str:
    """Why a request is refused; "" where it is not."""
    host = str(environ.get("HTTP_HOST", ""))
    if not _HOST.fullmatch(host):
        return "it answers to 127.0.0.1 and localhost alone"
    if environ.get("HTTP_ORIGIN") or environ.get("HTTP_SEC_FETCH_SITE") not in (None, "none"):
        return "no web page may ask it"
    if str(environ.get("PATH_INFO", "")).startswith(_CLOSED):
        return "moto's own interfaces are closed here"
    return ""
