"""AWS's protocols: a request to its parameters, an answer or an error to its bytes.

Parsing and writing are moto's, which works from botocore's models. Whether parameters are as the model
wants them (required, types, lengths, ranges, patterns, enumerations) is found out here, in AWS's words.
"""

from __future__ import annotations

import datetime
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from moto.core.model import OperationModel, ServiceModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request as MotoRequest
from moto.core.request import determine_request_protocol
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "list": (list, tuple),
    "map": (dict,),
    "structure": (dict,),
}

_ANY_CASE = frozenset({"RetryAction"})
"""Enumerations whose values "aren't case sensitive", as their documentation has it."""


class AwsError(Exception):
    """An error that a client gets as AWS would send it. `fields` are further members of its shape."""

    def __init__(self, code: str, message: str, status: int = 400, **fields: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status
        # Where moto's serializers look for the members of an error.
        vars(self).update(fields)


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def model_of(service: str) -> ServiceModel:
    """botocore's model of a service; KeyError for none of that name."""
    try:
        return get_service_model(service)
    except Exception as error:  # botocore's own class is not ours to name
        raise KeyError(service) from error


def parse(model: OperationModel, request: MotoRequest, path_parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a request; times are aware datetimes. Raises AwsError for what cannot be read."""
    protocol = determine_request_protocol(model.service_model, request.content_type)
    parser = PROTOCOL_PARSERS[protocol](model, timestamp_parser=_time)
    try:
        parsed = parser.parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": request.get_data(),
                "url_path": request.path,
                "url_params": dict(path_parameters),
            }
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise AwsError("SerializationException", f"the request cannot be read: {error}") from None
    return dict(parsed)


def write_error(
    service: ServiceModel, model: OperationModel | None, request: MotoRequest, error: AwsError
) -> Answer:
    """The answer of an operation that was refused."""
    answer = write(model or OperationModel({}, service), request, error)
    return answer._replace(status=error.status if error.status != 400 else answer.status)


def write(model: OperationModel, request: MotoRequest, result: object) -> Answer:
    """The answer of an operation that was done, or an error. Members that are None are left out."""
    service = model.service_model
    protocol = determine_request_protocol(service, request.content_type)
    serializer = get_serializer_class(service.service_name, protocol)(operation_model=model)
    done = serializer.serialize(result or {})
    body = done["body"]
    headers = {"x-amzn-RequestId": str(uuid.uuid4()), **done["headers"]}
    return Answer(done["status_code"], headers, body.encode() if isinstance(body, str) else body)


def present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an answer that there are: those that are None are left out."""
    return {name: value for name, value in fields.items() if value is not None}


def _time(value: Any) -> datetime.datetime:
    if isinstance(value, (int, float)):
        return datetime.datetime.fromtimestamp(value, datetime.UTC)
    text = str(value)
    try:
        return datetime.datetime.fromtimestamp(float(text), datetime.UTC)
    except ValueError:
        read = datetime.datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=datetime.UTC)


def problems(model: OperationModel, parameters: Mapping[str, Any]) -> list[str]:
    """What the service's model has against the parameters, in the words of AWS's front ends."""
    shape = model.input_shape
    return list(_structure(shape, parameters, "")) if shape else []


def check(model: OperationModel, parameters: Mapping[str, Any], code: str = "ValidationException") -> None:
    """Raises AwsError of this code when the parameters do not fit the model."""
    found = problems(model, parameters)
    if found:
        count = f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected"
        raise AwsError(code, f"{count}: {'; '.join(found)}")


def _problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    wanted = _TYPES.get(shape.type_name)
    is_flag = isinstance(value, bool) and shape.type_name != "boolean"
    if wanted and (is_flag or not isinstance(value, wanted)):
        yield f"{_at(path, value)}: Member must be a {shape.type_name}"
        return
    if shape.type_name == "structure":
        yield from _structure(shape, value, path)
        return
    for constraint in _constraints(shape, value):
        yield f"{_at(path, value)}: {constraint}"
    if shape.type_name == "list":
        for index, each in enumerate(value, start=1):
            yield from _problems(shape.member, each, f"{path}.{index}.member")
    elif shape.type_name == "map":
        for key, each in value.items():
            for constraint in _constraints(shape.key, key):
                yield f"{_at(path, value)}: Map keys must satisfy constraint: [{constraint}]"
            yield from _problems(shape.value, each, f"{path}.{key}.member")


def _structure(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"{_at(prefix + _lower(name))}: Member must not be null"
    for name, each in value.items():
        if name in shape.members and each is not None:
            yield from _problems(shape.members[name], each, prefix + _lower(name))


def _constraints(shape: Any, value: Any) -> Iterator[str]:
    facts = shape.metadata
    if shape.type_name in ("string", "list", "map"):
        if len(value) < facts.get("min", 0):
            yield f"Member must have length greater than or equal to {facts['min']}"
        if len(value) > facts.get("max", len(value)):
            yield f"Member must have length less than or equal to {facts['max']}"
    elif shape.type_name in ("integer", "long", "float", "double"):
        if value < facts.get("min", value):
            yield f"Member must have value greater than or equal to {facts['min']}"
        if value > facts.get("max", value):
            yield f"Member must have value less than or equal to {facts['max']}"
    if shape.type_name == "string":
        if facts.get("enum") and (value.upper() if shape.name in _ANY_CASE else value) not in facts["enum"]:
            yield f"Member must satisfy enum value set: [{', '.join(facts['enum'])}]"
        if facts.get("pattern") and not _matches(facts["pattern"], value):
            yield f"Member must satisfy regular expression pattern: {facts['pattern']}"


def _matches(pattern: str, value: str) -> bool:
    try:
        # Java's classes, which Python does not know.
        translated = pattern.replace(r"\p{L}\p{Z}\p{N}", r"\w\s").replace(r"\p{L}", "a-zA-Z")
        return re.fullmatch(translated, value, re.DOTALL if pattern == ".*" else 0) is not None
    except re.error:
        return True


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _at(path: str, value: Any = None) -> str:
    if value is None:
        shown = "null"
    else:
        shown = f"'{value if isinstance(value, str) else json.dumps(value, default=str)}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint"
