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
        reason, status = refusal(environ), "403 Forbidden"
        if not reason:
            reason, status = malformation(environ), "400 Bad Request"
        if not reason:
            return self._inner(environ, start_response)
        body = f"trainyard's sandbox: {reason}\n".encode()
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        start_response(status, [*headers, ("Connection", "close")])
        return [body]


def malformation(environ: WSGIEnvironment) -> str:
    """What is wrong with how long a request says its body is; "" where nothing is (RFC 9112, section 6.3)."""
    length = str(environ.get("CONTENT_LENGTH") or "0")
    if not (length.isascii() and length.isdecimal()):
        return "Content-Length is a number of bytes"
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    if coding and (coding.strip().lower() != "chunked" or "CONTENT_LENGTH" in environ):
        return "a body has a Content-Length or comes in chunks"
    return ""


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
