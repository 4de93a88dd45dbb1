"""Where deploying and destroying tell how things stand: the port that the command line fills."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from .events import Progress


class Teller(Protocol):
    """Whoever watches."""

    def say(self, line: str) -> None:
        """A line of text."""

    def progress(self, progress: Progress) -> None:
        """A resource is done."""

    def during(self, what: str, under_way: Mapping[str, float]) -> AbstractContextManager[object]:
        """While entered, `what` goes on, with the resources under way; the mapping changes meanwhile."""
