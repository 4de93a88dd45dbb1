"""Follows the log of a running task: notes when its lines came, and hands them on for metrics."""

from __future__ import annotations

import os

from ...core.runs.metrics import Lines
from ..home.runfolder import times_of

_CHUNK = 1 << 20


class Follower:
    """One log file, from where it was left off the last time. The file need not exist yet."""

    def __init__(self, log: str, *, wants_lines: bool) -> None:
        self._log, self._times = log, times_of(log)
        self._wants_lines = wants_lines
        self._offset = _last_offset(self._times)
        self._lines = Lines()

    def read(self, now: float, *, at_end: bool = False) -> list[str]:
        """The complete lines that came since the last call, at most a mebibyte of them; `at_end` also
        gives a last one without a newline. Notes `now` as the time they came."""
        grown = self._grown()
        if grown:
            with open(self._times, "a", encoding="ascii") as stream:
                stream.write(f"{now:.3f} {self._offset + grown}\n")
        content = self._read(grown) if self._wants_lines else b""
        self._offset += grown
        if not self._wants_lines:
            return []
        lines = self._lines.feed(content)
        return lines + self._lines.finish() if at_end and not self.behind else lines

    @property
    def behind(self) -> bool:
        """Whether there is more to read."""
        return self._size() > self._offset

    def _grown(self) -> int:
        grown = max(0, self._size() - self._offset)
        return min(grown, _CHUNK) if self._wants_lines else grown

    def _size(self) -> int:
        try:
            return os.stat(self._log).st_size
        except OSError:
            return 0

    def _read(self, size: int) -> bytes:
        if not size:
            return b""
        with open(self._log, "rb") as stream:
            stream.seek(self._offset)
            return stream.read(size)


def _last_offset(times: str) -> int:
    try:
        with open(times, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 128))
            return int(stream.read().rstrip(b"\n").rpartition(b"\n")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
