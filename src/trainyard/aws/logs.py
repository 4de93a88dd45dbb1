"""The logs of a run, out of CloudWatch Logs: nothing missing, nothing twice, in order within a task."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from ..core.ports.engine import LogLine
from ..worker.protocol import attempt_at
from .account import parallel
from .account.errors import ignoring
from .account.session import Session

MISSING = frozenset({"ResourceNotFoundException"})


class Pace:
    """How long to pause between two looks: from `first` seconds to `most`, half as much again each time.

    What changes seldom, the state of a run and its streams, is asked for every `seldom` seconds while its log
    is read. `linger` is how long CloudWatch may take to show the last lines of a job that has ended.
    """

    def __init__(self, first: float, most: float, linger: float, seldom: float = 0.0) -> None:
        self.first, self.most, self.linger, self.seldom = first, most, linger, seldom

    def pauses(self) -> Iterator[float]:
        """The pauses, one after another, without end."""
        pause = self.first
        while True:
            yield pause
            pause = min(pause * 1.5, self.most)


AWS = Pace(0.2, 5.0, 5.0)
AWS_LOGS = Pace(1.0, 5.0, 5.0, seldom=3.0)
"""GetLogEvents and DescribeLogStreams may be asked some 10 to 25 times a second, by all of an account."""
LOOPBACK = Pace(0.05, 0.25, 0.0)
"""An emulator on this machine shows everything at once, and is nobody else's to spare."""


class Stream:
    """One log stream of one task, read from where it was left. `attempt` is that of the lines to come."""

    def __init__(self, session: Session, group: str, name: str, task: str, attempt: int) -> None:
        self._session, self._group, self.name, self.task, self.attempt = session, group, name, task, attempt
        self._token = ""
        self._newest = 0.0
        self.is_drained = False

    def page(self) -> list[LogLine]:
        """The next lines, as many as one request gives; sets `is_drained` where there are no more so far."""
        given = {"nextToken": self._token} if self._token else {}
        # Batch names the stream before its agent has made it.
        answer: dict[str, Any] = {"events": (), "nextForwardToken": self._token}
        with ignoring(*MISSING):
            answer = self._session.call(
                "logs",
                "get_log_events",
                logGroupName=self._group,
                logStreamName=self.name,
                startFromHead=True,
                **given,
            )
        self.is_drained = answer["nextForwardToken"] == self._token
        self._token = answer["nextForwardToken"]
        return [
            line for event in answer["events"] for line in self._line(event["message"], event["timestamp"])
        ]

    def rest(self) -> Iterator[LogLine]:
        """All lines from where it was left to the last so far."""
        self.is_drained = False
        while not self.is_drained:
            yield from self.page()

    def _line(self, text: str, milliseconds: int) -> Iterator[LogLine]:
        if attempt := attempt_at(text):
            self.attempt = attempt
            return
        # What one task printed later never comes before what it printed earlier, whatever clocks say.
        self._newest = max(self._newest, milliseconds / 1000)
        yield LogLine(self._newest, self.task, self.attempt, text.removesuffix("\n"))


class Streams(Protocol):
    """Where the streams of a run are found."""

    def find(self) -> list[Stream]:
        """The streams that were not found before."""


class RunLogs:
    """All logs of a run, over its attempts and tasks; new streams are found as they come up."""

    def __init__(self, streams: Streams, pace: Pace) -> None:
        self._source, self._pace = streams, pace
        self._streams: list[Stream] = []

    def lines(self) -> Iterator[LogLine]:
        """All lines so far, by time."""
        self._streams += self._source.find()
        return _by_time(stream.rest() for stream in self._streams)

    def follow(self, has_ended: Callable[[], bool]) -> Iterator[LogLine]:
        """All lines, until the run has ended and its last line is given."""
        pauses = self._pace.pauses()
        while not has_ended():
            found = False
            for line in self._round():
                found = True
                yield line
            if found:
                pauses = self._pace.pauses()
            if all(stream.is_drained for stream in self._streams):
                time.sleep(next(pauses))
        yield from self._last()

    def _round(self) -> Iterator[LogLine]:
        self._streams += self._source.find()
        return _by_time(parallel.each(lambda stream: stream.page(), self._streams))

    def _last(self) -> Iterator[LogLine]:
        quiet_since = time.monotonic()
        while True:
            for line in self.lines():
                quiet_since = time.monotonic()
                yield line
            left = quiet_since + self._pace.linger - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 1.0))


def _by_time(streams: Iterable[Iterable[LogLine]]) -> Iterator[LogLine]:
    return heapq.merge(*streams, key=lambda line: line.time)
