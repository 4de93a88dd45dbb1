"""Small objects, sent and fetched with a third of the work that a client's call takes.

A call through botocore's client costs 1.5 to 2 ms of Python, which ten thousand small files feel and no
number of threads helps against. Here are botocore's own signature, connections and certificates, without the
layers of its client. Whatever does not go well at once is done over by the client, which knows about retries,
throttling, redirects and errors.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from typing import Any
from urllib.parse import quote

from ..account.session import CONNECTIONS, SECONDS_TO_CONNECT, SECONDS_TO_READ, Session, translated

_CAREFUL = 5.0
"""Seconds for which a bucket that is throttled is left to the client, which slows all its calls down."""
_THROTTLED = (429, 503)


class Wire:
    """The objects of one bucket. Safe to use from several threads."""

    def __init__(self, session: Session, bucket: str) -> None:
        # Half a second's worth, which the session has paid for.
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        self._session, self._bucket = session, bucket
        self._base = _base(session, bucket)
        self._careful_until = 0.0
        self._http = URLLib3Session(
            verify=session.verification(),
            proxies={} if session.endpoint else get_environ_proxies(self._base),
            timeout=(SECONDS_TO_CONNECT, SECONDS_TO_READ),
            max_pool_connections=CONNECTIONS,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )

    def close(self) -> None:
        self._http.close()

    def put(self, key: str, content: bytes, *, new: bool) -> None:
        """Make `content` the object, with `new` only where there is none; S3 verifies and keeps its SHA-256.

        Raises as `Session.call` does.
        """
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        named = {"x-amz-sdk-checksum-algorithm": "SHA256", "x-amz-checksum-sha256": digest}
        named |= {"If-None-Match": "*"} if new else {}
        answer = self._ask("PUT", key, content, named)
        if answer is not None:
            self._session.tally("s3:PutObject")
            return
        request = {"Key": key, "Body": content, "ChecksumAlgorithm": "SHA256", "ChecksumSHA256": digest}
        request |= {"IfNoneMatch": "*"} if new else {}
        self._session.call("s3", "put_object", Bucket=self._bucket, **request)

    def get(self, key: str) -> bytes | None:
        """The content of the object; None where it is to be asked for by the client."""
        answer = self._ask("GET", key, b"", {"x-amz-checksum-mode": "ENABLED"})
        if answer is None:
            return None
        content: bytes = answer.content
        if len(content) != int(answer.headers.get("content-length", len(content))):
            return None
        kept = answer.headers.get("x-amz-checksum-sha256", "")
        # One that was sent in parts has a checksum of checksums: `…-3`.
        if kept and "-" not in kept and base64.b64decode(kept) != hashlib.sha256(content).digest():
            return None
        self._session.tally("s3:GetObject")
        return content

    def _ask(self, method: str, key: str, body: bytes, headers: dict[str, str]) -> Any:
        """The answer where all is well; else None."""
        from botocore.auth import S3SigV4Auth  # see __init__
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError, HTTPClientError

        if time.monotonic() < self._careful_until:
            return None
        url = self._base + quote(key, safe="/~")
        request = AWSRequest(method, url, headers=headers, data=body)
        S3SigV4Auth(self._session.signer(), "s3", self._session.region).add_auth(request)
        try:
            answer = self._http.send(request.prepare())
        except (BotoCoreError, HTTPClientError):
            return None
        if answer.status_code in _THROTTLED:
            self._careful_until = time.monotonic() + _CAREFUL
        return answer if answer.status_code == 200 else None


def _base(session: Session, bucket: str) -> str:
    """Where the client would find the objects of a bucket: `https://bucket.s3.eu-central-1.amazonaws.com/`."""
    from botocore.awsrequest import AWSResponse  # see Wire

    asked = []

    def answer(request: Any, **_: Any) -> Any:
        asked.append(request.url)
        return AWSResponse(request.url, 200, {}, _Nothing())

    client = session.client("s3")
    # An operation that nothing else uses: it is answered here, and never sent.
    client.meta.events.register_first("before-send.s3.GetObjectTorrent", answer)
    with translated("s3:GetObject"):
        client.get_object_torrent(Bucket=bucket, Key="x")
    del session.counted["s3:GetObjectTorrent"]
    return str(asked[0]).removesuffix("x?torrent")


class _Nothing:
    """The body of an answer that is none."""

    def stream(self, *_: Any, **__: Any) -> Any:
        return iter(())
