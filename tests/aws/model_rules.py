"""Whether a request obeys botocore's model: its validator looks at types, names and minima alone.

Patterns are of Java's regular expressions, and have to match as a whole.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import sys
import unicodedata
from typing import Any

import botocore.loaders
import botocore.model
from botocore.validate import ParamValidator

OVERRIDES = 8_192
"""Characters of all overrides together (SubmitJob)."""

LINE_ENDS = "\n\r\u0085\u2028\u2029"
"""What `.` does not match in Java."""


@functools.cache
def service(name: str) -> Any:
    """botocore's model of a service."""
    data = botocore.loaders.Loader().load_service_model(name, "service-2")
    return botocore.model.ServiceModel(data, name)


def violations(name: str, operation: str, request: dict[str, Any]) -> list[str]:
    """What is wrong with the request, a line each; [] for one that the service may take."""
    shape = service(name).operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        return [report.generate_report()]
    return list(_walk(shape, request, operation))


def _walk(shape: Any, value: Any, path: str) -> Any:
    if shape.type_name == "structure":
        for name, item in value.items():
            yield from _walk(shape.members[name], item, f"{path}.{name}")
    elif shape.type_name == "list":
        yield from _counted(shape, len(value), path)
        for index, item in enumerate(value):
            yield from _walk(shape.member, item, f"{path}[{index}]")
    elif shape.type_name == "map":
        yield from _counted(shape, len(value), path)
        for key, item in value.items():
            yield from _walk(shape.key, key, f"{path}.key({key!r})")
            yield from _walk(shape.value, item, f"{path}[{key!r}]")
    elif shape.type_name == "string":
        yield from _counted(shape, len(value), path)
        yield from _formed(shape, value, path)
    elif shape.type_name in ("integer", "long"):
        yield from _counted(shape, value, path)


def _counted(shape: Any, count: int, path: str) -> Any:
    low = shape.metadata.get("min", 0 if shape.type_name not in ("integer", "long") else -(2**31))
    high = shape.metadata.get("max", 2**31 - 1)
    if not low <= count <= high:
        yield f"{path}: {count} is not from {low} to {high}"


def _formed(shape: Any, text: str, path: str) -> Any:
    if shape.enum and text not in shape.enum:
        yield f"{path}: {text!r} is none of the enum {shape.name}"
    pattern = shape.metadata.get("pattern")
    if pattern and not compiled(pattern).fullmatch(text):
        yield f"{path}: {text!r} does not match {pattern}"


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Java's pattern as Python's: `.`, `\\p{L}` and classes of ASCII as Java has them."""
    # The length that some patterns end with is nonsense in Java too, and is said by min and max.
    pattern = re.sub(r"\$\{\d+,\d+\}$", "", pattern)
    parts, in_class = [], False
    for token in re.findall(r"\\p\{\w+\}|\\.|.", pattern, re.DOTALL):
        if token.startswith(r"\p{"):
            ranges = _category(token[3:-1])
            token = ranges if in_class else f"[{ranges}]"
        elif token == "." and not in_class:
            token = f"[^{LINE_ENDS}]"
        elif token == "[":
            token, in_class = (r"\[" if in_class else "["), True
        elif token == "]":
            in_class = False
        parts.append(token)
    return re.compile("".join(parts), re.ASCII)


@functools.cache
def _category(name: str) -> str:
    """All characters of a Unicode category, as the inside of a character class."""
    if name == "Alnum":
        return "A-Za-z0-9"
    members = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith(name)]
    ranges = []
    for _, group in itertools.groupby(enumerate(members), lambda pair: pair[1] - pair[0]):
        codes = [code for _, code in group]
        ranges.append(f"\\U{codes[0]:08x}-\\U{codes[-1]:08x}")
    return "".join(ranges)


def batch_violations(request: dict[str, Any]) -> list[str]:
    """What botocore's model of SubmitJob leaves to its documentation."""
    found = violations("batch", "SubmitJob", request)
    overrides = request["containerOverrides"]
    retry = request["retryStrategy"]
    rules = {
        "jobName": re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", request["jobName"]),
        "containerOverrides": len(json.dumps(overrides)) <= OVERRIDES,
        "command": all(overrides["command"]),
        "environment": not any(each["name"].startswith("AWS_BATCH") for each in overrides["environment"]),
        "arrayProperties": 2 <= request.get("arrayProperties", {}).get("size", 2) <= 10_000,
        "attempts": 1 <= retry["attempts"] <= 10,
        "evaluateOnExit": len(retry["evaluateOnExit"]) <= 5,
        "timeout": request["timeout"]["attemptDurationSeconds"] >= 60,
        "tags": len(request["tags"]) <= 50,
        "dependsOn": len(request.get("dependsOn", [])) <= 20,
    }
    found += [name for name, holds in rules.items() if not holds]
    minima = {"VCPU": 1, "MEMORY": 4, "GPU": 1}
    for each in overrides["resourceRequirements"]:
        if int(each["value"]) < minima[each["type"]]:
            found.append(f"resourceRequirements: {each}")
    for rule in retry["evaluateOnExit"]:
        found += [f"evaluateOnExit: {rule}" for text in rule.items() if not _is_rule(*text)]
    return found


def _is_rule(field: str, text: str) -> bool:
    forms = {
        "onStatusReason": r"[A-Za-z0-9.:\s]{0,511}\*?",
        "onReason": r"[A-Za-z0-9.:\s]{0,511}\*?",
        "onExitCode": r"[0-9]{0,511}\*?",
        "action": "RETRY|EXIT",
    }
    return re.fullmatch(forms[field], text) is not None
