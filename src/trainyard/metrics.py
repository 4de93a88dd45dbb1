"""Metrics out of a log: regular expressions with one group, as SageMaker's `MetricDefinitions`."""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_LONGEST_LINE = 16_384
_PATIENCE = 2.0


class Point(NamedTuple):
    """A value of a metric: `time` in seconds since the epoch, `step` counts the values from 0."""

    name: str
    step: int
    time: float
    value: float


class Extractor:
    """Finds the values of all metrics in lines of text, and counts each one's steps."""

    def __init__(self, definitions: Mapping[str, str]) -> None:
        self._patterns = {name: re.compile(regex) for name, regex in definitions.items()}
        self.steps = dict.fromkeys(definitions, 0)
        self.gave_up: list[str] = []

    def find(self, text: str, time: float) -> Iterator[Point]:
        """The values in a line of the log; what is no finite number is passed over."""
        line = text[:_LONGEST_LINE]
        for name, pattern in self._patterns.items():
            for match in pattern.finditer(line):
                value = _number(match.group(1))
                if value is not None:
                    yield Point(name, self.steps[name], time, value)
                    self.steps[name] += 1

    def find_all(self, lines: list[str], time: float) -> list[Point]:
        """The values in all the lines, in a bounded time: a pattern that takes seconds to fail (`(a+)+b`)
        is given up, and named in `gave_up`. Main thread only, as it takes a signal."""
        found: list[Point] = []
        if not self._patterns:
            return found
        previous = signal.signal(signal.SIGALRM, _raise_timeout)
        try:
            for line in lines:
                found.extend(self._find_in_time(line, time))
        finally:
            signal.signal(signal.SIGALRM, previous)
        return found

    def _find_in_time(self, line: str, time: float) -> list[Point]:
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        try:
            return list(self.find(line, time))
        except _TookTooLong:
            self._give_up(line)
            return []
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _give_up(self, line: str) -> None:
        for name, pattern in list(self._patterns.items()):
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE / 2)
            try:
                for _ in pattern.finditer(line[:_LONGEST_LINE]):
                    pass
            except _TookTooLong:
                del self._patterns[name]
                self.gave_up.append(name)


class _TookTooLong(Exception):
    pass


def _raise_timeout(*_: Any) -> None:
    raise _TookTooLong


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
