"""The HTTP side of the CloudFormation on loopback: the Query protocol, in and out."""

from __future__ import annotations

import threading
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

from .cloudformation import CloudFormation, Refused

_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"


class Server:
    """The service, listening on a port of 127.0.0.1 until `close`."""

    def __init__(self, service: CloudFormation) -> None:
        handler = type("Handler", (_Handler,), {"service": service})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    service: CloudFormation
    protocol_version = "HTTP/1.1"
    # Head and body go out apart: with Nagle's algorithm, each answer waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        query = parse(self.rfile.read(length).decode())
        action = query["Action"]
        try:
            body, status = _success(action, self.service.answer(action, query)), 200
        except Refused as refused:
            body, status = _error(refused), refused.status
        except Exception as error:  # so that a test says what is wrong with this file
            body, status = _error(Refused("InternalFailure", repr(error))), 400
        self._send(body.encode(), status)

    def _send(self, body: bytes, status: int) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):  # the client was killed
            self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionResetError:
            pass

    def log_message(self, format: str, *args: object) -> None:
        pass


def parse(text: str) -> dict[str, Any]:
    """A query as nested dicts and lists: `Tags.member.1.Key=a` -> `{"Tags": [{"Key": "a"}]}`."""
    root: dict[str, Any] = {}
    for key, value in urllib.parse.parse_qsl(text, keep_blank_values=True):
        node, parts = root, key.split(".")
        for part in parts[:-1]:
            node = node.setdefault(part, {})
        node[parts[-1]] = value
    listed = _listed(root)
    assert isinstance(listed, dict)
    return listed


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if set(node) == {"member"}:
        return [_listed(node["member"][key]) for key in sorted(node["member"], key=int)]
    return {key: _listed(value) for key, value in node.items()}


def _success(action: str, result: dict[str, Any]) -> str:
    inner = _xml(result)
    return (
        f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{inner}</{action}Result>'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{action}Response>"
    )


def _error(refused: Refused) -> str:
    return (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{escape(refused.code)}</Code>'
        f"<Message>{escape(refused.message)}</Message></Error>"
        f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{key}>{_xml(each)}</{key}>" for key, each in value.items() if each != "")
    if isinstance(value, list):
        return "".join(f"<member>{_xml(each)}</member>" for each in value)
    return escape(str(value).lower() if isinstance(value, bool) else str(value))
