"""Long lists, a page at a time."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from .protocols import AwsError

T = TypeVar("T")


class Page(NamedTuple, Generic[T]):
    """A part of a longer list, and the token of the next; None at the list's end."""

    items: Sequence[T]
    token: str | None


def page_of(items: Sequence[T], token: str | None, most: int, refusal: AwsError) -> Page[T]:
    """The page that a token of the one before leads to, the first for None. Raises `refusal` for a token that
    is none."""
    try:
        start = int(base64.b64decode(token, validate=True)) if token else 0
    except ValueError:
        raise refusal from None
    end = start + most
    return Page(items[start:end], base64.b64encode(b"%d" % end).decode() if end < len(items) else None)
