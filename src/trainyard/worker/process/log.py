"""Our own stdout, which is the log of the job that we run."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Iterable

from ..reasons import TAIL
from .redraws import Redraws

if TYPE_CHECKING:
    from ..redaction import Redactor


class Log:
    """Passes on what is written at once, without the secrets that it is told, and keeps the end of it."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._tail = bytearray()
        self._is_amid_line = False
        self._redactor: Redactor | None = None
        self._redraws = Redraws()

    def hide(self, secrets: Iterable[str]) -> None:
        """Replace these values from now on, in what is written and in what `redacted` is given."""
        values = list(secrets)
        if values:
            from ..redaction import Redactor  # regular expressions take 10 ms, and most jobs have no secret

            self._redactor = Redactor(values)

    def redacted(self, text: str) -> str:
        """The text without the secrets."""
        return self._redactor.text(text) if self._redactor else text

    @property
    def tail(self) -> bytes:
        """The last bytes since `forget`, enough to find a reason in."""
        return bytes(self._tail[-TAIL:])

    def forget(self) -> None:
        """Begin a new tail."""
        self._tail.clear()

    def write(self, content: bytes) -> None:
        """Pass `content` on at once, but for redraws of a line and an end that may begin a secret; what
        nobody takes any more is dropped."""
        content = self._redactor.feed(content) if self._redactor else content
        self._pass_on(self._redraws.feed(content, time.monotonic()))

    @property
    def due(self) -> float:
        """When `tick` is to be called, by the monotonic clock; infinity for never."""
        return self._redraws.due

    def tick(self) -> None:
        """Pass on a redraw that was held back for long enough."""
        self._pass_on(self._redraws.tick(time.monotonic()))

    def flush(self) -> None:
        """Pass on what was held back: nothing follows it."""
        if self._redactor:
            self._pass_on(self._redraws.feed(self._redactor.flush(), time.monotonic()))
        self._pass_on(self._redraws.finish())

    def say(self, line: str) -> None:
        """Write a line of ours, on a line of its own."""
        self.flush()
        lead = b"\n" if self._is_amid_line else b""
        self._pass_on(lead + self.redacted(line).encode("utf-8", "replace") + b"\n")

    def _pass_on(self, content: bytes) -> None:
        if not content:
            return
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

    def _send(self, content: bytes) -> int:
        try:
            return os.write(self._descriptor, content)
        except BlockingIOError:
            select.select([], [self._descriptor], [])
            return 0
