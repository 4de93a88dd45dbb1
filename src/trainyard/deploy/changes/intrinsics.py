"""CloudFormation's intrinsic functions: rendered for people, and what they refer to. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")


class ResourceReference(NamedTuple):
    """A resource or parameter that a value refers to; `attribute` is empty for `Ref`."""

    logical_id: str
    attribute: str


def canonical(value: Any) -> str:
    """The same text for equal JSON values, and for no others: `1`, `true` and `"1"` differ."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def as_list(value: Any) -> list[Any]:
    """One or several, as IAM and CloudFormation let it be written; nothing for None."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def is_intrinsic(value: Any) -> bool:
    """Whether the value is a call such as `{"Ref": …}`."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return False
    name = next(iter(value))
    return isinstance(name, str) and (name == "Ref" or name.startswith("Fn::"))


def render(value: Any) -> str:
    """A value as text: `Ref`, `Fn::GetAtt`, `Fn::Sub` and `Fn::Join` as `${…}`, whatever else as JSON."""
    if isinstance(value, str):
        return value
    if not is_intrinsic(value):
        return canonical(value)
    name, argument = next(iter(value.items()))
    if name == "Ref":
        return f"${{{argument}}}"
    if name == "Fn::GetAtt":
        return f"${{{_dotted(argument)}}}"
    if name == "Fn::Sub":
        return _substituted(argument)
    if name == "Fn::Join" and _is_join(argument):
        return str(argument[0]).join(render(part) for part in argument[1])
    return f"{name.removeprefix('Fn::')}({', '.join(render(each) for each in as_list(argument))})"


def references(value: Any) -> Iterator[ResourceReference]:
    """Every resource, parameter and pseudo parameter that a value refers to."""
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from references(each)
    elif is_intrinsic(value):
        name, argument = next(iter(value.items()))
        yield from _called(name, argument)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from references(each)


def _called(name: str, argument: Any) -> Iterator[ResourceReference]:
    if name == "Ref" and isinstance(argument, str):
        yield ResourceReference(argument, "")
    elif name == "Fn::GetAtt":
        logical_id, _, attribute = _dotted(argument).partition(".")
        yield ResourceReference(logical_id, attribute)
    elif name == "Fn::Sub":
        text, values = _sub_parts(argument)
        for variable in _VARIABLE.findall(text):
            if variable not in values:
                logical_id, _, attribute = variable.partition(".")
                yield ResourceReference(logical_id, attribute)
        yield from references(list(values.values()))
    else:
        yield from references(argument)


def _dotted(argument: Any) -> str:
    return ".".join(render(part) for part in as_list(argument))


def _is_join(argument: Any) -> bool:
    return isinstance(argument, list) and len(argument) == 2 and isinstance(argument[1], list)


def _sub_parts(argument: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(argument, list) and len(argument) == 2 and isinstance(argument[1], Mapping):
        return str(argument[0]), argument[1]
    return (argument if isinstance(argument, str) else canonical(argument)), {}


def _substituted(argument: Any) -> str:
    text, values = _sub_parts(argument)
    return _VARIABLE.sub(lambda found: render(values[found[1]]) if found[1] in values else found[0], text)
