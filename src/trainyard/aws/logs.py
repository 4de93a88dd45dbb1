"""The logs of a run, out of CloudWatch Logs: nothing missing, nothing twice, in order within a task."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from ..core.errors import AccountRefused
from ..core.ports.engine import LogLine
from ..worker.protocol import attempt_at
from .account import parallel
from .account.errors import ignoring
from .account.session import Session

MISSING = frozenset({"ResourceNotFoundException"})
_EXPIRED = "InvalidParameterException"


class Pace:
    """How long to pause between two looks: from `first` seconds to `most`, half as much again each time.

    What changes seldom, the state of a run and its streams, is asked for every `seldom` seconds while its log
    is read. `linger` is how long CloudWatch may take to show the last lines of a job that has ended. No more
    than `rate` requests for lines are made a second; 0 is no limit.
    """

    def __init__(
        self, first: float, most: float, linger: float, seldom: float = 0.0, rate: float = 0.0
    ) -> None:
        self.first, self.most, self.linger, self.seldom, self.rate = first, most, linger, seldom, rate

    def pauses(self) -> Iterator[float]:
        """The pauses, one after another, without end."""
        pause = self.first
        while True:
            yield pause
            pause = min(pause * 1.5, self.most)


AWS = Pace(0.2, 5.0, 5.0)
AWS_LOGS = Pace(1.0, 5.0, 5.0, seldom=3.0, rate=5.0)
"""GetLogEvents and DescribeLogStreams may be asked some 10 to 25 times a second, by all of an account: half
of the least is left to colleagues."""
_ABREAST = 16
"""Streams that are asked before lines of theirs are given: with a thousand, a round takes minutes."""
LOOPBACK = Pace(0.05, 0.25, 0.0)
"""An emulator on this machine shows everything at once, and is nobody else's to spare."""


class Stream:
    """One log stream of one task, read from where it was left. `attempt` is that of the lines to come,
    `ended` when its task was seen to have ended, by the monotonic clock, or None."""

    def __init__(self, session: Session, group: str, name: str, task: str, attempt: int) -> None:
        self._session, self._group, self.name, self.task, self.attempt = session, group, name, task, attempt
        self._token = ""
        self._newest = 0.0
        self._last, self._alike = -1, 0
        self._since: dict[str, int] = {}
        self._asked = 0.0
        self.ended: float | None = None
        self.is_drained = False

    def page(self) -> list[LogLine]:
        """The next lines, as many as one request gives; sets `is_drained` where there are no more so far."""
        self._asked = time.monotonic()
        try:
            answer = self._ask({"nextToken": self._token} if self._token else {})
        except AccountRefused as error:
            if not self._token or error.code != _EXPIRED:
                raise
            # A token lives for 24 hours. What has the time of the last line, and was given, comes again.
            self._since = {"startTime": max(self._last, 0)}
            answer = self._ask({})
            given = sum(event["timestamp"] == self._last for event in answer["events"][: self._alike])
            answer["events"] = answer["events"][given:]
        self.is_drained = answer["nextForwardToken"] == self._token
        self._token = answer["nextForwardToken"]
        return [
            line for event in answer["events"] for line in self._line(event["message"], event["timestamp"])
        ]

    def is_over(self, linger: float) -> bool:
        """Whether there will be no more lines: its task had ended for `linger` seconds when it was asked."""
        return self.is_drained and self.ended is not None and self._asked >= self.ended + linger

    def _ask(self, given: Mapping[str, Any]) -> dict[str, Any]:
        with ignoring(*MISSING):
            return self._session.call(
                "logs",
                "get_log_events",
                logGroupName=self._group,
                logStreamName=self.name,
                startFromHead=True,
                **self._since,
                **given,
            )
        # Batch names the stream before its agent has made it.
        return {"events": (), "nextForwardToken": self._token}

    def _line(self, text: str, milliseconds: int) -> Iterator[LogLine]:
        if milliseconds >= self._last:
            self._alike = self._alike + 1 if milliseconds == self._last else 1
            self._last = milliseconds
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
        self._turn, self._lock = 0.0, threading.Lock()

    def lines(self) -> Iterator[LogLine]:
        """All lines so far, by time."""
        self._streams += self._source.find()
        first = parallel.each(self._page, self._streams)
        return _by_time(map(self._rest, self._streams, first))

    def _rest(self, stream: Stream, lines: list[LogLine]) -> Iterator[LogLine]:
        yield from lines
        while not stream.is_drained:
            yield from self._page(stream)

    def _page(self, stream: Stream) -> list[LogLine]:
        if self._pace.rate:
            with self._lock:
                now = time.monotonic()
                turn = self._turn = max(self._turn + 1 / self._pace.rate, now)
            time.sleep(turn - now)
        return stream.page()

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
        for start in range(0, len(self._streams), _ABREAST):
            yield from _by_time(parallel.each(self._page, self._streams[start : start + _ABREAST]))
        self._drop()

    def _drop(self) -> bool:
        """Ask those no more that will give nothing; whether there are none left of some."""
        before, self._streams = (
            self._streams,
            [each for each in self._streams if not each.is_over(self._pace.linger)],
        )
        return bool(before) and not self._streams

    def _last(self) -> Iterator[LogLine]:
        quiet_since = time.monotonic()
        while True:
            for line in self.lines():
                quiet_since = time.monotonic()
                yield line
            left = quiet_since + self._pace.linger - time.monotonic()
            if self._drop() or left <= 0:
                return
            time.sleep(min(left, 1.0))


def _by_time(streams: Iterable[Iterable[LogLine]]) -> Iterator[LogLine]:
    return heapq.merge(*streams, key=lambda line: line.time)
