"""Things to do later, on a thread of their own."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

Action = Callable[[], None]
_log = logging.getLogger(__name__)


class Timer:
    """An action that waits for its time; `cancel` is silent when it is done or cancelled already."""

    def __init__(self, action: Action, period: float = 0.0) -> None:
        self.action, self.period = action, period
        self.is_cancelled = False

    def cancel(self) -> None:
        """Never do it; what is being done goes on."""
        self.is_cancelled = True


class Clock:
    """Does short actions at their times, one after the other, on one thread that ends with `end`.

    Whatever takes long (a transfer, a task's end) belongs on a thread of its own: it would hold up all.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self._has_ended = False
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
        self._thread.start()

    def after(self, seconds: float, action: Action) -> Timer:
        """Do it once, so many seconds from now."""
        return self._add(seconds, Timer(action))

    def every(self, seconds: float, action: Action) -> Timer:
        """Do it again and again, for the first time so many seconds from now."""
        return self._add(seconds, Timer(action, seconds))

    def end(self) -> None:
        """Do nothing any more; returns when nothing is being done."""
        with self._condition:
            self._has_ended = True
            self._condition.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _add(self, seconds: float, timer: Timer) -> Timer:
        with self._condition:
            heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._count), timer))
            self._condition.notify()
        return timer

    def _run(self) -> None:
        while (timer := self._next()) is not None:
            if timer.is_cancelled:
                continue
            try:
                timer.action()
            except Exception:
                _log.exception("a timer's action failed")
            if timer.period and not timer.is_cancelled:
                self._add(timer.period, timer)

    def _next(self) -> Timer | None:
        with self._condition:
            while not self._has_ended:
                wait = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._heap)[2]
                self._condition.wait(wait)
        return None
