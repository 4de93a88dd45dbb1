"""Our own stdout, which is the log of the job that we run."""

from __future__ import annotations

import os
import select

from ..reasons import TAIL


class Log:
    """Passes on what is written at once, and keeps the end of it."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._tail = bytearray()
        self._is_amid_line = False

    @property
    def tail(self) -> bytes:
        """The last bytes since `forget`, enough to find a reason in."""
        return bytes(self._tail[-TAIL:])

    def forget(self) -> None:
        """Begin a new tail."""
        self._tail.clear()

    def write(self, content: bytes) -> None:
        """Pass `content` on at once; what nobody takes any more is dropped."""
        self._tail += content
        if len(self._tail) > 4 * TAIL:
            del self._tail[:-TAIL]
        self._is_amid_line = not content.endswith(b"\n")
        try:
            while content:
                content = content[self._send(content) :]
        except OSError:
            # The reader is gone, or its disk full: the script is not to die of it.
            pass

    def say(self, line: str) -> None:
        """Write a line of ours, on a line of its own."""
        lead = b"\n" if self._is_amid_line else b""
        self.write(lead + line.encode("utf-8", "replace") + b"\n")

    def _send(self, content: bytes) -> int:
        try:
            return os.write(self._descriptor, content)
        except BlockingIOError:
            select.select([], [self._descriptor], [])
            return 0
