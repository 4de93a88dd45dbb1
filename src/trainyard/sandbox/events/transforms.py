"""What an EventBridge target gets: the event, a part of it, or a text made from parts of it.

"Transforming Amazon EventBridge target input" of the EventBridge user guide. moto puts values into a template
without writing them as JSON, so that a text becomes no JSON, and leaves variables with no value standing.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_VARIABLE = re.compile(r"<([A-Za-z0-9_.-]+)>")
_STEP = re.compile(r"\.([A-Za-z0-9_/-]+)|\[(\d+|\*)\]|\['([^']*)'\]|\.(\*)")
_NOTHING: Any = object()


def message(target: Mapping[str, Any], event: Mapping[str, Any], rule: Mapping[str, str]) -> str:
    """The text for a target; `rule` has the rule's `arn` and `name`."""
    if target.get("Input") is not None:
        return str(target["Input"])
    if target.get("InputPath"):
        found = at(str(target["InputPath"]), event)
        return _json(None if found is _NOTHING else found)
    transformer = target.get("InputTransformer")
    if transformer:
        return _fill(str(transformer["InputTemplate"]), _values(transformer, event, rule))
    return _json(event)


def at(path: str, event: Any) -> Any:
    """What lies at a JSON path of dots, dashes, indices and asterisks; a value of its own for nothing."""
    if not path.startswith("$"):
        return _NOTHING
    found, rest = [event], path[1:]
    many = False
    while rest:
        step = _STEP.match(rest)
        if step is None:
            return _NOTHING
        name = next(part for part in step.groups() if part is not None)
        many = many or name == "*"
        found = [inner for outer in found for inner in _inside(outer, name, is_index=step[2] is not None)]
        rest = rest[step.end() :]
    if many:
        return found
    return found[0] if found else _NOTHING


def _inside(value: Any, name: str, *, is_index: bool) -> Iterator[Any]:
    if name == "*":
        yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    elif is_index:
        if isinstance(value, list) and int(name) < len(value):
            yield value[int(name)]
    elif isinstance(value, dict) and name in value:
        yield value[name]


def _values(
    transformer: Mapping[str, Any], event: Mapping[str, Any], rule: Mapping[str, str]
) -> dict[str, Any]:
    """The variables that have a value: "if you specify a variable to match a JSON path that doesn't exist in
    the event, that variable isn't created and won't appear in the output"."""
    paths = transformer.get("InputPathsMap") or {}
    values = {name: at(path, event) for name, path in paths.items()}
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {name: value for name, value in values.items() if value is not _NOTHING} | {
        "aws.events.rule-arn": rule["arn"],
        "aws.events.rule-name": rule["name"],
        "aws.events.event.ingestion-time": now,
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.json": dict(event),
    }


def _fill(template: str, values: Mapping[str, Any]) -> str:
    """The template with its variables; as JSON without blanks where it is JSON."""
    quoted = list(_quoted(template))

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            return ""
        got = values[found[1]]
        return got if quoted[found.start()] and isinstance(got, str) else _json(got)

    filled = _VARIABLE.sub(value, template)
    try:
        return _json(json.loads(filled))
    except ValueError:
        return filled


def _quoted(text: str) -> Iterator[bool]:
    """For each character, whether it is inside of a JSON string."""
    inside = escaped = False
    for character in text:
        yield inside
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = inside
        elif character == '"':
            inside = not inside


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
