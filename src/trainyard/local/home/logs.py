"""The logs of a run, read from its folder: in order within a task, by time across tasks."""

from __future__ import annotations

import bisect
import heapq
import os
import time
from collections.abc import Iterator

from ...core.ports.engine import LogLine
from ...worker.process.redraws import Redraws
from .runfolder import RunPaths, times_of

_CHUNK = 1 << 16
_LONGEST = 1 << 20


class TaskLog:
    """One task's log in one attempt, from where it was read the last time. Holds no open file."""

    def __init__(self, path: str, task: str, attempt: int) -> None:
        self._path, self._task, self._attempt = path, task, attempt
        self._offset = 0
        self._rest = b""
        self._redraws = Redraws()
        self._last = 0.0
        self._ends: list[int] = []
        self._times: list[float] = []
        self._times_offset = 0

    def lines(self, *, at_end: bool) -> Iterator[LogLine]:
        """The lines that came since, a redraw of a progress bar among them; `at_end` also gives a last one
        without a newline."""
        while content := self._read():
            self._load_times()
            for piece in self._pieces(content):
                yield from self._given(self._redraws.feed(piece, self._last))
        yield from self._given(self._redraws.tick(time.time()))
        if at_end:
            yield from self._given(self._redraws.finish())
            if self._rest:
                rest, self._rest = self._rest, b""
                yield self._line(rest)

    def _pieces(self, content: bytes) -> Iterator[bytes]:
        """The content in the pieces that came together; when the one that is given came is in `_last`."""
        while content:
            index = bisect.bisect_right(self._ends, self._offset)
            if index < len(self._ends):
                size, self._last = self._ends[index] - self._offset, self._times[index]
            else:
                # Not noted yet: it has just been written.
                size, self._last = len(content), max(time.time(), self._last)
            piece, content = content[:size], content[size:]
            self._offset += len(piece)
            yield piece

    def _given(self, content: bytes) -> Iterator[LogLine]:
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            yield self._line(line)
        if len(self._rest) > _LONGEST:
            # What never ends its line is given in pieces, and not kept in memory for ever.
            rest, self._rest = self._rest, b""
            yield self._line(rest)

    def _line(self, line: bytes) -> LogLine:
        return LogLine(self._last, self._task, self._attempt, line.decode("utf-8", "replace"))

    def _read(self) -> bytes:
        try:
            with open(self._path, "rb") as stream:
                stream.seek(self._offset)
                return stream.read(_CHUNK)
        except OSError:
            return b""

    def _load_times(self) -> None:
        try:
            with open(times_of(self._path), "rb") as stream:
                stream.seek(self._times_offset)
                content = stream.read()
        except OSError:
            return
        whole = content[: content.rfind(b"\n") + 1]
        self._times_offset += len(whole)
        for line in whole.splitlines():
            when, end = line.split()
            self._times.append(float(when))
            self._ends.append(int(end))


class LocalRunLogs:
    """All logs of a run; new attempts and shards are found as they begin."""

    def __init__(self, folder: str) -> None:
        self._paths = RunPaths(folder)
        self._logs: dict[str, TaskLog] = {}

    def lines(self, *, at_end: bool) -> Iterator[LogLine]:
        """The lines that came since the last call, by time."""
        self._find()
        streams = [log.lines(at_end=at_end) for log in self._logs.values()]
        return heapq.merge(*streams, key=lambda line: line.time)

    def _find(self) -> None:
        for name in _entries(self._paths.attempts):
            if not name.isdecimal():
                continue
            folder = os.path.join(self._paths.attempts, name)
            for log in _entries(folder):
                path = os.path.join(folder, log)
                if log.endswith(".log") and path not in self._logs:
                    self._logs[path] = TaskLog(path, log.removesuffix(".log"), int(name))


def _entries(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder), key=lambda name: (len(name), name))
    except OSError:
        return []
