"""Things to do later, in order of their time."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable

Action = Callable[[], None]


class Timers:
    """A heap of actions; times are of the monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Action]] = []
        self._count = itertools.count()

    def after(self, seconds: float, action: Action) -> None:
        """Do it once, so many seconds from now."""
        heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._count), action))

    def run_due(self) -> None:
        """Do all whose time has come."""
        while self._heap and self._heap[0][0] <= time.monotonic():
            heapq.heappop(self._heap)[2]()

    def wait(self) -> float | None:
        """Seconds until the next is due; None when there is none."""
        return max(0.0, self._heap[0][0] - time.monotonic()) if self._heap else None
