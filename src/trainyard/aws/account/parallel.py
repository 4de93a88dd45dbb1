"""Several requests at a time, where one waits for the network and not for this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

_AT_A_TIME = 16


def each(make: Callable[[_Given], _Made], given: Iterable[_Given]) -> list[_Made]:
    """`make` of each, in order; raises what the first that failed raised."""
    items = list(given)
    if len(items) < 2:
        return [make(item) for item in items]
    with ThreadPoolExecutor(min(len(items), _AT_A_TIME)) as pool:
        return list(pool.map(make, items))
