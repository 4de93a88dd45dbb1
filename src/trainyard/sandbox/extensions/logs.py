"""CloudWatch Logs: moto's FilterLogEvents looks at no logStreamNamePrefix, gives the events of one stream
after those of another, and knows a group by its name alone. Clients that tail a group need all three. And to
CloudFormation its group's Arn lacks the `:*` that makes policies cover the group's streams.

Source: FilterLogEvents in the CloudWatch Logs API, which of `interleaved` says that "as of June 17, 2019,
this parameter is ignored and the value is assumed to be true"; "AWS::Logs::LogGroup", return values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.logs.models import LogGroup

from ..api.dispatch import ApiRequest, operation
from ..api.protocols import AwsError
from ..world.world import World


@operation("logs", "FilterLogEvents")
def filter_events(world: World, request: ApiRequest) -> Mapping[str, Any]:
    """The events of the streams that are wanted, by time; moto applies the pattern and makes the pages."""
    wanted = dict(request.parameters)
    group, names, prefix = (
        _group(wanted),
        wanted.get("logStreamNames"),
        wanted.pop("logStreamNamePrefix", None),
    )
    if names and prefix:
        message = "LogStreamNamePrefix and LogStreamNames are mutually exclusive."
        raise AwsError("InvalidParameterException", message)
    if wanted.get("startFromHead") is False:
        message = "the sandbox does not emulate logs:FilterLogEvents with startFromHead=false"
        raise AwsError("NotImplemented", message, 501)
    found = world.backend("logs").groups.get(group)
    streams = found.streams if found else {}
    if found and not all(name in streams for name in names or ()):
        raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
    if prefix:
        # To moto no names are all names, and no stream has an empty one.
        names = [name for name in streams if name.startswith(prefix)] or [""]
    return request.forwarded(
        {**wanted, "logGroupName": group, "logStreamNames": names or [], "interleaved": True}
    )


def _group(wanted: dict[str, Any]) -> str:
    """The group's name, out of its ARN where it is given by that."""
    name, identifier = wanted.get("logGroupName"), wanted.pop("logGroupIdentifier", None)
    if bool(name) is bool(identifier):
        message = "Exactly one of logGroupName and logGroupIdentifier is required."
        raise AwsError("InvalidParameterException", message)
    return str(name or identifier.rpartition(":log-group:")[2].removesuffix(":*"))


def _attribute(self: LogGroup, name: str) -> Any:
    return f"{self.arn}:*" if name == "Arn" else _OF_MOTO(self, name)


_OF_MOTO = LogGroup.get_cfn_attribute
if _OF_MOTO.__module__ != __name__:
    LogGroup.get_cfn_attribute = _attribute  # type: ignore[method-assign,assignment]
