"""Results of a handler as plain Python values, as texts of CSV and as JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Callable, Iterable, Mapping

from ..errors import InputError
from .floats import narrow, shortest
from .results import are_moments, as_list, moment_texts

_AS_THEY_ARE = {int, float, str, type(None)}
_PLAIN = _AS_THEY_ARE | {bool}
_MISSING = ("NAType", "NaTType")
"""The types of what pandas has in the place of a null."""


def plain(value: Any) -> Any:
    """`value` made of None, bool, int, float, str, list and dict alone.

    NumPy's, Arrow's and torch's values become Python's; dates and times their ISO text, decimals their
    digits. Raises InputError for anything else.
    """
    return _plain(value, False)


def for_text(value: Any) -> Any:
    """`plain(value)` to be written as text: what is float32 or float16 becomes the float with the shortest
    text that reads back as the same."""
    return _plain(value, True)


def _plain(value: Any, is_text: bool) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item, is_text) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, is_text) for item in value]
    return _converted(value, is_text)


def _converted(value: Any, is_text: bool) -> Any:
    if type(value).__name__ in _MISSING:
        return None
    if are_moments(value):
        return moment_texts(value)
    for method in ("as_py", "to_pylist", "tolist"):
        convert = getattr(value, method, None)
        if convert is not None:
            letter = narrow(value) if is_text else ""
            found = shortest(value, letter) if letter else convert()
            # A number of more digits than Python's own stays what it is.
            if type(found) is not type(value):
                return _plain(found, is_text)
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if type(value).__name__ == "Decimal":
        return str(value)
    raise InputError(
        f"predict_fn returned a value of type {type(value).__name__}, which cannot be written; "
        "return numbers, texts, lists or dicts"
    )


def text_list(column: Any) -> list[Any]:
    """A column of results as a list, its narrow floats as `for_text` has them."""
    letter = "" if type(column) is list else narrow(column)
    return list(shortest(column, letter)) if letter else as_list(column)


def csv_values(values: list[Any]) -> list[Any]:
    """What csv.writer is given: None is empty, bool true or false, lists and dicts JSON text."""
    if set(map(type, values)) <= _AS_THEY_ARE:
        return values
    return [_csv_value(for_text(value)) for value in values]


def _csv_value(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json_text(value) if isinstance(value, (list, dict)) else value


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=for_text).encode


def json_texts(values: Iterable[Any]) -> list[str]:
    """`values` as strict JSON, one text each: JSON has no NaN and no infinity, they become null."""
    encode: Callable[[Any], str] = _encode
    try:
        return [encode(value) for value in values]
    except (ValueError, TypeError):
        return [json_text(value) for value in values]


def json_text(value: Any) -> str:
    """`value` as strict JSON text; NaN and infinities become null."""
    return _encode(_finite(for_text(value)))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value


def utf8(text: str) -> bytes:
    """JSON text as UTF-8; lone surrogates, which UTF-8 cannot hold, as JSON's escapes."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text).encode("utf-8")
