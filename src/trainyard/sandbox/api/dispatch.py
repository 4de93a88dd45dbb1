"""Who answers a request: an operation of ours, or moto.

    @operation("sagemaker", "StopTrainingJob")
    def stop_training_job(world: World, request: Request) -> Result:
        name = request.parameters["TrainingJobName"]
        …                                    # under world.lock, so nothing here may wait
        raise AwsError("ValidationException", "Requested resource not found.")

The result is a dictionary with the members of the answer, None for an empty one, `PASS` to let moto answer
(AddTags on what is no training job), or what `request.forward()` got from moto, changed. Parameters are
held to botocore's model before the operation is called. Importing a module registers its operations.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.core.model import OperationModel, ServiceModel
from moto.core.routing import get_service_router
from moto.moto_server.werkzeug_app import BackendRequest

from ..world.world import World
from . import canonical, intake, protocols
from .protocols import Answer, AwsError

_log = logging.getLogger(__name__)

# Where the name that requests are signed with is not the name of botocore's model.
_MODELS = {
    "monitoring": "cloudwatch",
    "email": "ses",
    "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi",
}
# moto answers these while it waits: for messages, for subscribers that it calls over HTTP, for functions.
# The lock must be free then.
_UNLOCKED = {"lambda", "sns", "sqs", "stepfunctions"}


class _Pass:
    pass


PASS: Final = _Pass()
"""Returned by an operation that leaves the request to moto."""

Result = Mapping[str, Any] | None | _Pass


class ApiRequest:
    """One request as an operation sees it. What is costly is found out when it is asked for."""

    def __init__(
        self,
        world: World,
        environ: WSGIEnvironment,
        moto: WSGIApplication,
        signature: intake.Signature = intake.UNSIGNED,
    ) -> None:
        self.world, self.environ, self._moto = world, environ, moto
        self.access_key, self.region, self.signed_for = signature
        self.service = _MODELS.get(self.signed_for, self.signed_for)
        """The name of botocore's model: `cloudwatch`, not `monitoring`. "" for an unsigned request."""
        self._path_parameters: Mapping[str, Any] = {}

    def settle(self) -> None:
        """Take in the body, and leave the request with one reading. Raises AwsError where it has none.

        Over the network, and so without the lock: whoever sends slowly must not hold up the others.
        """
        canonical.settle_path(self.environ)
        intake.take_in(self.environ, self.service)
        if self.service in ("s3", ""):
            canonical.settle_s3(self.environ)
        elif self.model is not None:
            canonical.settle(self.environ, self.model)
            if self._is_rest and self.operation_model:
                canonical.settle_members(self.environ, self.operation_model, self.body)

    @property
    def _is_rest(self) -> bool:
        return self.model is not None and self.model.metadata.get("protocol") == "rest-json"

    @functools.cached_property
    def http(self) -> BackendRequest:
        """The HTTP request; its body may be read again and again."""
        return BackendRequest(self.environ)

    @functools.cached_property
    def body(self) -> bytes:
        """The body, whole; moto finds it again."""
        data = self.http.get_data(cache=True)
        self.environ["wsgi.input"] = io.BytesIO(data)
        return data

    @functools.cached_property
    def model(self) -> ServiceModel | None:
        """botocore's model of the service; None where it has none."""
        try:
            return protocols.model_of(self.service) if self.service else None
        except KeyError:
            return None

    @functools.cached_property
    def operation(self) -> str:
        """The operation's name; "" where it cannot be told."""
        target = str(self.environ.get("HTTP_X_AMZ_TARGET", ""))
        if target:
            return target.rpartition(".")[2]
        if found := canonical.RPC.fullmatch(str(self.environ.get("PATH_INFO", ""))):
            return found[1]
        if self.model is None:
            return ""
        if self.model.metadata.get("protocol") in ("query", "ec2"):
            self.body  # noqa: B018  (read before werkzeug takes the form out of it)
            return str(self.http.values.get("Action", ""))
        return self._routed()

    def _routed(self) -> str:
        try:
            found, self._path_parameters = get_service_router(self.service).match(self.http)
        except Exception:  # what moto's router raises for a path that it does not know has no one class
            return ""
        return str(found.name)

    @functools.cached_property
    def operation_model(self) -> OperationModel | None:
        """botocore's model of the operation; None where it has none."""
        try:
            return self.model.operation_model(self.operation) if self.model and self.operation else None
        except Exception:  # botocore's OperationNotFoundError is not ours to name
            return None

    @functools.cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters by the names of botocore's model. Raises AwsError for what cannot be read."""
        if self.operation_model is None:
            raise AwsError("UnknownOperationException", f"{self.service}: unknown operation", 404)
        self.body  # noqa: B018
        self.operation  # noqa: B018  (finds the parameters in the path)
        return protocols.parse(self.operation_model, self.http, self._path_parameters)

    def forward(self, parameters: Mapping[str, Any] | None = None) -> Answer:
        """moto's answer; with `parameters`, to other ones than were sent (JSON protocols only)."""
        if parameters is not None:
            body = json.dumps(parameters, default=str).encode()
            self.environ["CONTENT_LENGTH"] = str(len(body))
            self.environ["wsgi.input"] = io.BytesIO(body)
        elif "body" in self.__dict__:
            self.environ["wsgi.input"] = io.BytesIO(self.body)
        else:
            self.environ["wsgi.input"].seek(0)
        answer = _collect(self._moto, self.environ)
        if answer.status in (404, 405) and answer.body.startswith(b"<!doctype html>") and self.operation:
            # No route, says the web framework: an operation of the model that moto has not got.
            raise NotImplementedError
        return answer

    def forwarded(self, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """moto's answer read as JSON, to be changed and returned (JSON protocols only). Raises AwsError
        where moto refuses."""
        answer = self.forward(parameters)
        content = json.loads(answer.body or b"{}")
        if answer.status >= 300:
            code = str(content.get("__type", "InternalFailure")).rpartition("#")[2]
            raise AwsError(code, str(content.get("message", content.get("Message", ""))), answer.status)
        return dict(content)


Handler = Callable[[World, ApiRequest], Result]
Guard = Callable[[World, ApiRequest], None]

OPERATIONS: dict[tuple[str, str], Handler] = {}
GUARDS: list[Guard] = []
ADMISSIONS: list[Guard] = []
CODES = {"batch": "ClientException"}
"""The code of a service's error for parameters that its model refuses, where not ValidationException."""


def operation(service: str, *names: str) -> Callable[[Handler], Handler]:
    """Have this function answer operations of a service, both named as botocore's models are."""

    def register(handler: Handler) -> Handler:
        for name in names:
            if (service, name) in OPERATIONS:
                raise ValueError(f"{service}.{name} is answered twice")
            OPERATIONS[service, name] = handler
        return handler

    return register


def guard(check: Guard) -> Guard:
    """Have this function see every request first, moto's too, unsigned ones as well; it refuses by raising
    AwsError.

    Called under the lock. It runs for each request, so it decides by `access_key` before it asks for more.
    """
    GUARDS.append(check)
    return check


def admission(check: Guard) -> Guard:
    """Have this function see every request before its body is taken in, as far as the headers tell; it
    refuses by raising AwsError. Called under the lock.
    """
    ADMISSIONS.append(check)
    return check


class Dispatcher:
    """The WSGI application."""

    def __init__(self, world: World, moto: WSGIApplication) -> None:
        self._world, self._moto = world, moto
        self._services = {service for service, _ in OPERATIONS}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = ApiRequest(self._world, environ, self._moto)
        try:
            request = ApiRequest(self._world, environ, self._moto, intake.signature(environ))
            self._admit(request)
            answer = self._answer(request)
        except AwsError as error:
            answer = _refusal(request, error)
        except NotImplementedError as error:
            answer = _refusal(request, _not_emulated(request, str(error)))
        except Exception:
            _log.exception("%s.%s failed", request.service, request.operation)
            answer = _refusal(request, AwsError("InternalFailure", "the sandbox failed: see its log", 500))
        headers = list(answer.headers.items())
        if "content-length" not in {name.lower() for name, _ in headers}:
            headers.append(("Content-Length", str(len(answer.body))))
        start_response(f"{answer.status} {_phrase(answer.status)}", headers)
        return [answer.body]

    def _admit(self, request: ApiRequest) -> None:
        """Take in the body of a request that is let in at all."""
        try:
            with self._world.lock:
                for check in ADMISSIONS:
                    check(self._world, request)
            request.settle()
        except BaseException:
            intake.replace(request.environ, b"")  # nobody reads what is left of it
            raise

    def _answer(self, request: ApiRequest) -> Answer:
        if request.service in _UNLOCKED and (request.service, request.operation) not in OPERATIONS:
            with self._world.lock:
                self._ask_guards(request)
            return request.forward()
        with self._world.lock:
            self._ask_guards(request)
            result = self._call(request)
            if isinstance(result, _Pass):
                return request.forward()
        assert request.operation_model
        return protocols.write(request.operation_model, request.http, result)

    def _call(self, request: ApiRequest) -> Result:
        if request.service not in self._services:
            return PASS
        handler = OPERATIONS.get((request.service, request.operation))
        if handler is None or request.operation_model is None:
            return PASS
        if request.region != self._world.region:
            region = self._world.region
            raise AwsError("ValidationException", f"the sandbox's region is {region}, not {request.region}")
        code = CODES.get(request.service, "ValidationException")
        protocols.check(request.operation_model, request.parameters, code)
        return handler(self._world, request)

    def _ask_guards(self, request: ApiRequest) -> None:
        for check in GUARDS:
            check(self._world, request)


def _collect(app: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    """What an application answers, whole."""
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
        head[:] = [int(status.split(" ", 1)[0]), dict(headers)]
        return lambda _: None

    chunks = app(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        if close := getattr(chunks, "close", None):
            close()
    return Answer(head[0], head[1], body)


def _refusal(request: ApiRequest, error: AwsError) -> Answer:
    if request.model is not None:
        with contextlib.suppress(NotImplementedError):
            return protocols.write_error(request.model, request.operation_model, request.http, error)
    body = json.dumps({"__type": error.code, "message": error.message}).encode()
    return Answer(error.status, {"Content-Type": "application/json"}, body)


def _not_emulated(request: ApiRequest, described: str) -> AwsError:
    what = f"{request.service}:{request.operation}" if request.operation else described or "this request"
    return AwsError("NotImplemented", f"the sandbox does not emulate {what}", 501)


@functools.cache
def _phrase(status: int) -> str:
    # Slow to import before anything is answered.
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
