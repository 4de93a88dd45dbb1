"""What is asked of the sandbox itself, below `/_trainyard/`, in JSON.

    @control("interrupt")
    def interrupt(world: World, call: Call) -> Mapping[str, Any]:
        …                       # without world.lock; raises BadInput for what cannot be done

Calls carry the sandbox's token, but for those that are `open`: these are known by their paths.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from ...core.errors import BadInput
from ..world.world import World

PREFIX = "/_trainyard/"
_LARGEST = 1 << 20
_log = logging.getLogger(__name__)


class Call(NamedTuple):
    """`GET /_trainyard/<name>/<rest>?<query>` with its JSON body ({} for none) and its headers, in WSGI's
    names (`HTTP_AUTHORIZATION`)."""

    method: str
    rest: str
    query: Mapping[str, str]
    body: Mapping[str, Any]
    headers: Mapping[str, str]


Controller = Callable[[World, Call], Mapping[str, Any]]
_CONTROLLERS: dict[str, tuple[Controller, bool]] = {}


def control(name: str, *, is_open: bool = False) -> Callable[[Controller], Controller]:
    """Have this function answer calls of that name; `is_open` ones take no token."""

    def register(controller: Controller) -> Controller:
        _CONTROLLERS[name] = controller, is_open
        return controller

    return register


class Controls:
    """The WSGI application: calls below `/_trainyard/` for the sandbox, the rest for AWS."""

    def __init__(self, world: World, token: str, aws: WSGIApplication) -> None:
        self._world, self._token, self._aws = world, token, aws

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = str(environ.get("PATH_INFO", ""))
        if not path.startswith(PREFIX):
            return self._aws(environ, start_response)
        status, content = self._answer(environ, path[len(PREFIX) :])
        body = json.dumps(content).encode() + b"\n"
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(status, headers)
        return [body]

    def _answer(self, environ: WSGIEnvironment, path: str) -> tuple[str, Mapping[str, Any]]:
        name, _, rest = path.partition("/")
        controller, is_open = _CONTROLLERS.get(name, (None, False))
        token = str(environ.get("HTTP_X_TRAINYARD_TOKEN", ""))
        if not is_open and not hmac.compare_digest(token.encode(), self._token.encode()):
            return "403 Forbidden", {"error": "this call needs the sandbox's token"}
        if controller is None:
            return "404 Not Found", {"error": f"{name}: no such call"}
        sent = environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH") or 0), _LARGEST))
        try:
            return "200 OK", controller(self._world, _call(environ, rest, sent))
        except BadInput as error:
            return "400 Bad Request", {"error": str(error)}
        except Exception:
            _log.exception("%s failed", name)
            return "500 Internal Server Error", {"error": "the sandbox failed: see its log"}


def _call(environ: WSGIEnvironment, rest: str, sent: bytes) -> Call:
    try:
        body = json.loads(sent or b"{}")
    except ValueError as error:
        raise BadInput(f"the call's body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadInput("the call's body is no JSON object")
    headers = {name: str(value) for name, value in environ.items() if name.startswith("HTTP_")}
    query = dict(parse_qsl(str(environ.get("QUERY_STRING", ""))))
    return Call(str(environ["REQUEST_METHOD"]), rest, query, body, headers)
