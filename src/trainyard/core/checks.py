"""Checks of one value of a job or an environment.

Each error is in the job file's own terms: TOML's types, the key, the cure. A job can be made from
Python too, so types are checked here and not only where TOML is read; a boolean is no integer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .errors import BadInput

INTEGER_MAX = 2**31 - 1
"""AWS's `integer` has 32 bits: the bound where a service model names no other (Smithy, "Simple shapes")."""

LONGEST = 2_048
"""Characters of an ARN (IAM's arnType), and so of any text that has a form."""

_SHOWN = 48
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a float"),
    (str, "a string"),
    (Mapping, "a table"),
    (list, "an array"),
    (tuple, "an array"),
    (type(None), "nothing"),
)
_DATES = {"datetime": "a date-time", "date": "a date", "time": "a time"}


def kind_of(value: object) -> str:
    """What TOML calls a value's type: `a string`, `an integer`, `a table`, …"""
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    name = type(value).__name__
    return _DATES.get(name, f"a {name}")


def show(value: object) -> str:
    """A value as it is shown in an error: one short printable piece."""
    try:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    except ValueError:
        # Python refuses to write an integer of more than 4300 digits.
        return "an enormous integer"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def entry(key: str, name: object) -> str:
    """The dotted key of `name` in the table `key`; the table's own where the name can't be shown."""
    if isinstance(name, str) and name.isprintable() and 0 < len(name) <= 64:
        return f"{key}.{name}" if key else name
    return key


def wrong_type(value: object, key: str, wanted: str) -> BadInput:
    """The error for a value of another type than `wanted` ("an integer")."""
    scalar = isinstance(value, (str, int, float))
    return BadInput(
        f"must be {wanted}, not {kind_of(value)}" + (f" ({show(value)})" if scalar else ""), key=key
    )


def check_integer(value: Any, key: str, low: int, high: int = INTEGER_MAX, *, unit: str = "") -> None:
    """Refuse what is no integer from `low` to `high`, both included; `unit` is for the message."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(value, key, "an integer")
    if not low <= value <= high:
        span = f"at least {low}" if high == INTEGER_MAX and value < low else f"from {low} to {high}"
        raise BadInput(f"{show(value)} is out of bounds", key=key, cure=f"write {span} {unit}".rstrip())


def check_boolean(value: Any, key: str) -> None:
    """Refuse what is neither true nor false."""
    if not isinstance(value, bool):
        raise wrong_type(value, key, "a boolean")


def check_text(value: Any, key: str, low: int, high: int, *, cure: str = "") -> None:
    """Refuse what is no string of `low` to `high` characters, or holds what no argument or file name can.

    Characters are Unicode's, as Smithy's `length` counts them for every AWS request.
    """
    if not isinstance(value, str):
        raise wrong_type(value, key, "a string")
    if len(value) < low:
        raise BadInput("is empty", key=key, cure=cure)
    if len(value) > high:
        raise BadInput(f"is {len(value)} characters long", key=key, cure=f"use at most {high}")
    if "\0" in value or not (value.isascii() or is_unicode(value)):
        raise BadInput(f"{show(value)} holds a character that is no text", key=key, cure="leave it out")


def is_unicode(text: str) -> bool:
    """Whether a string can be written as UTF-8 (one with lone surrogates can't)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_table(value: Any, key: str, high: int, of: str) -> None:
    """Refuse what is no table with string keys and at most `high` entries; `of` names them in the plural."""
    if not isinstance(value, Mapping):
        raise wrong_type(value, key, "a table")
    if len(value) > high:
        raise BadInput(f"has {len(value)} {of}", key=key, cure=f"use at most {high}")
    for name in value:
        if not isinstance(name, str):
            raise BadInput(f"its key {show(name)} must be a string, not {kind_of(name)}", key=key)


def check_section(value: Any, key: str, kind: str, names: tuple[str, ...]) -> None:
    """Refuse what hasn't the attributes `names` of a `kind` ("Spot")."""
    if not all(hasattr(value, name) for name in names):
        raise wrong_type(value, key, f"a {kind}")


def check_form(value: Any, key: str, pattern: str, what: str, cure: str) -> None:
    """Refuse what is no string of the form `pattern`, in ASCII's classes; `what` names what it is not."""
    check_text(value, key, 0, LONGEST)
    if not re.fullmatch(pattern, value, re.ASCII):
        raise BadInput(f"{show(value)} is no {what}" if value else "is empty", key=key, cure=cure)


def formed(pattern: str, what: str, cure: str) -> Callable[[Any, str], None]:
    """`check_form` of a pattern, as a check of an item of a list."""
    return lambda item, key: check_form(item, key, pattern, what, cure)


def check_list(value: Any, key: str, most: int, check: Callable[[Any, str], None]) -> None:
    """Refuse what is no tuple of at most `most` different items that each pass `check(item, key)`."""
    if not isinstance(value, tuple):
        raise wrong_type(value, key, "an array")
    if len(value) > most:
        raise BadInput(f"has {len(value)} entries", key=key, cure=f"use at most {most}")
    for index, item in enumerate(value):
        check(item, key)
        if item in value[:index]:
            raise BadInput(f"{show(item)} stands twice", key=key, cure="leave one out")
