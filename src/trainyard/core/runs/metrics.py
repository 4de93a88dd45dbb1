"""Metrics out of a log: regular expressions with one group, as SageMaker's `MetricDefinitions`."""

from __future__ import annotations

import re
import signal
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple

from ..record import NOTHING

_LONGEST_LINE = 1 << 20
_TIMEOUT = 2.0
_SHOWN = 40
SERIES = "metrics.csv"
"""Where in a run's folder its values lie."""


class Lines:
    """Cuts what a log gets into lines, as metrics are searched in them: each redraw of a progress bar, which
    ends at a carriage return, is one."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, content: bytes) -> list[str]:
        """The lines that are whole now."""
        *lines, self._rest = (self._rest + content).replace(b"\r", b"\n").split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            # What never ends its line is given in pieces, whole words each, and not kept for ever.
            whole, _, self._rest = self._rest.rpartition(b" ")
            lines.append(whole or self._rest)
            self._rest = self._rest if whole else b""
        return [line.decode("utf-8", "replace") for line in lines]

    def finish(self) -> list[str]:
        """A last line that has no end."""
        rest, self._rest = self._rest, b""
        return [rest.decode("utf-8", "replace")] if rest else []


class Point(NamedTuple):
    """A value of a metric: `time` in seconds since the epoch, `step` counts the values from 0."""

    name: str
    step: int
    time: float
    value: float


def read_series(path: str) -> list[Point]:
    """The values in a `metrics.csv`; none where there is no such file."""
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            content = stream.read()
    except FileNotFoundError:
        return []
    import csv  # for runs that have metrics alone

    # The last row may be on its way.
    rows = csv.DictReader(content[: content.rfind("\n") + 1].splitlines(keepends=True))
    return [Point(row["name"], int(row["step"]), float(row["time"]), float(row["value"])) for row in rows]


class Extractor:
    """Finds the values of all metrics in lines of text, and counts each one's steps."""

    def __init__(self, definitions: Mapping[str, str]) -> None:
        self._patterns = {name: re.compile(regex) for name, regex in definitions.items()}
        self.steps = dict.fromkeys(definitions, 0)
        self.troubles: dict[str, str] = {}
        """What is wrong with an expression: it was given up, or it has captured no number so far."""
        self._is_timing = False

    def find(self, text: str, time: float) -> Iterator[Point]:
        """The values in a line of the log, `nan` and infinities among them; what is no number is none."""
        for name in self._patterns:
            yield from self._points(name, text, time)

    def find_all(self, lines: list[str], time: float) -> list[Point]:
        """The values in all the lines, in a bounded time: a pattern that takes seconds to fail (`(a+)+b`)
        is given up. Main thread only, as it takes a signal."""
        if not self._patterns:
            return []
        previous = signal.signal(signal.SIGALRM, self._ring)
        try:
            found = [each for name in list(self._patterns) for each in self._find_in_time(name, lines, time)]
        finally:
            signal.signal(signal.SIGALRM, previous)
        found.sort(key=lambda each: each[0])
        return [point for _, point in found]

    def _find_in_time(self, name: str, lines: list[str], time: float) -> list[tuple[int, Point]]:
        """The values of one metric, each with its line's index."""
        found: list[tuple[int, Point]] = []
        try:
            self._is_timing = True
            signal.setitimer(signal.ITIMER_REAL, _TIMEOUT)
            for index, line in enumerate(lines):
                found.extend((index, point) for point in self._points(name, line, time))
            self._is_timing = False
        except _TookTooLong:
            del self._patterns[name]
            self.troubles[name] = "was given up, since its regular expression took too long on a line"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return found

    def _points(self, name: str, line: str, time: float) -> Iterator[Point]:
        for match in self._patterns[name].finditer(line):
            value = _number(match.group(1))
            if value is not None:
                yield Point(name, self.steps[name], time, value)
                self.steps[name] += 1
                self.troubles.pop(name, None)
            elif not self.steps[name]:
                self._note(name, match.group(1))

    def _note(self, name: str, text: str | None) -> None:
        shown = repr((text or "")[:_SHOWN])
        self.troubles[name] = f"has no value: its regular expression captured {shown}, which is no number"

    def _ring(self, *_: object) -> None:
        # It may ring when the search has just ended.
        if self._is_timing:
            self._is_timing = False
            raise _TookTooLong


class _TookTooLong(Exception):
    pass


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def without_value(
    definitions: Iterable[str], values: Container[str], troubles: Mapping[str, str] = NOTHING
) -> list[str]:
    """A warning for each metric of which a run that has ended had no value, or not to its end."""
    none = "has no value: its regular expression found no number in the log"
    found = {name: none for name in definitions if name not in values}
    return [f"the metric {name!r} {what}" for name, what in {**found, **troubles}.items()]
