"""Floats narrower than Python's, to be written as text: `0.1` and not `0.10000000149011612`."""

from __future__ import annotations

import re
import struct
from typing import Any

from .libraries import numpy

_NARROW = re.compile(r"b?[fF]loat(16|32)$|^(?!.*\bdouble\b).*\b(half)?float\b")
"""How NumPy, pandas, torch and JAX name their narrow types; Arrow its own, and those made of them."""
_DIGITS = {"e": range(1, 6), "f": range(6, 10)}
"""By struct's letter of the type: of so many digits, the last always say which number it was, and fewer than
the first never say it more shortly."""
_NORMAL = 1.2e-38
"""Below it, numbers of float32 have fewer digits."""
_EXACT = 22
"""10 to this power is the last that a double holds exactly."""


def narrow(values: Any) -> str:
    """struct's letter of the floats that an array, a tensor or a scalar holds, "" for all but narrow ones."""
    kind = getattr(values, "dtype", None) or getattr(values, "type", None)
    text = "" if kind is None or isinstance(kind, type) else str(kind)
    if not _NARROW.search(text):
        return ""
    return "e" if "half" in text or re.search(r"(?<!b)float16$", text) else "f"


def shortest(values: Any, letter: str) -> Any:
    """`values`, an array or a scalar of narrow floats, as Python's floats (in lists): of those that are the
    same number as narrow ones, each has the shortest text."""
    if getattr(getattr(values, "dtype", None), "kind", "") == "f":
        array = numpy().asarray(values)
        # With a null of pandas' in it, it is none of floats.
        return _of_array(array, letter).tolist() if array.dtype.kind == "f" else _of(array.tolist(), letter)
    for method in ("as_py", "to_pylist", "tolist"):
        if hasattr(values, method):
            return _of(getattr(values, method)(), letter)
    return values


def _of(value: Any, letter: str) -> Any:
    if isinstance(value, (list, tuple)):
        return [_of(item, letter) for item in value]
    if isinstance(value, dict):
        return {key: _of(item, letter) for key, item in value.items()}
    if not isinstance(value, float):
        return value
    texts = (f"{value:.{digits}g}" for digits in (_DIGITS[letter] if abs(value) > _NORMAL else range(1, 10)))
    return next(
        (float(text) for text in texts if _packed(float(text), letter) == _packed(value, letter)), value
    )


def _packed(value: float, letter: str) -> bytes:
    try:
        return struct.pack(letter, value)
    except OverflowError:
        return b""


def _of_array(values: Any, letter: str) -> Any:
    """The same for all of a NumPy array at once."""
    np = numpy()
    tens = np.array([float(f"1e{power}") for power in range(_EXACT + 1)])
    with np.errstate(all="ignore"):
        wide = found = values.astype(np.float64)
        exponents = np.floor(np.log10(np.abs(wide)))
        finite = np.isfinite(exponents)
        left = (
            finite & (exponents >= _DIGITS[letter][-1] - _EXACT) & (exponents < _DIGITS[letter][0] + _EXACT)
        )
        others = finite & ~left
        exponents = np.where(left, exponents, 0).astype(int)
        for digits in _DIGITS[letter]:
            powers = digits - 1 - exponents
            scale = tens[np.abs(powers)]
            rounded = np.where(powers < 0, np.rint(wide / scale) * scale, np.rint(wide * scale) / scale)
            fits = left & (rounded.astype(values.dtype) == values)
            found = np.where(fits, rounded, found)
            left = left & ~fits
    others |= left
    if others.any():
        found[others] = [float(str(value)) for value in values[others]]
    return found
