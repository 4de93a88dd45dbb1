"""IAM conditions, as canonical JSON: in words, and which of two lets less through. Pure."""

from __future__ import annotations

import json

_WORDS = {
    "StringEquals": "is",
    "StringNotEquals": "is not",
    "StringLike": "is like",
    "StringNotLike": "is not like",
    "ArnEquals": "is",
    "ArnNotEquals": "is not",
    "ArnLike": "is like",
    "ArnNotLike": "is not like",
    "Bool": "is",
    "Null": "is absent:",
    "IpAddress": "is in",
    "NotIpAddress": "is not in",
    "NumericLessThanEquals": "is at most",
    "DateGreaterThan": "is after",
    "DateLessThan": "is before",
}
_ALTERNATIVES = frozenset({"StringEquals", "StringLike", "ArnEquals", "ArnLike", "IpAddress"})
"""Operators of which one value is enough: each further one lets more through."""

Tests = dict[tuple[str, str], list[str]]
"""The values by operator and key."""


def words_of(condition: str) -> str:
    """`aws:SourceAccount is ${AWS::AccountId} and s3:prefix is like a/* or b/*`."""
    return " and ".join(
        f"{key} {_operator(operator)} {' or '.join(values)}"
        for (operator, key), values in _tests(condition).items()
    )


def is_narrower(condition: str, other: str) -> bool:
    """Whether whatever the condition lets through, the other does. May be false where it is so, never the
    reverse; "" lets everything through."""
    strict, loose = _tests(condition), _tests(other)
    return all(test in strict and _at_most(test[0], strict[test], values) for test, values in loose.items())


def _at_most(operator: str, values: list[str], of: list[str]) -> bool:
    if operator in _ALTERNATIVES:
        return set(values) <= set(of)
    return values == of


def _operator(name: str) -> str:
    base, lenient = name.removesuffix("IfExists"), name.endswith("IfExists")
    words = _WORDS.get(base, base)
    return f"(where there is one) {words}" if lenient else words


def _tests(condition: str) -> Tests:
    parsed = json.loads(condition) if condition else {}
    return {(operator, key): values for operator, tests in parsed.items() for key, values in tests.items()}
