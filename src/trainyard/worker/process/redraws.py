"""Progress bars in a log: a line that is redrawn after carriage returns becomes lines of its own.

CloudWatch ends an event at a newline alone, so that a bar of an hour would be one event at its end, and its
newest value the last that is seen. So a redraw is a line, in every yard: at most one a second, and the last
always. What is not redrawn passes as it is.
"""

from __future__ import annotations

PERIOD = 1.0
"""Seconds between two redraws that are passed on."""
_SETTLED = 0.2
"""Seconds after which what came of a redraw counts as the whole of it: before, it may be half a number."""
_LONGEST = 1 << 20
_NEVER = float("inf")


class Redraws:
    """One output on its way; times are in seconds, of whatever clock."""

    def __init__(self) -> None:
        self._rest = b""  # what came of a redraw so far, or a carriage return that a newline may follow
        self._held = b""  # a redraw that came too soon after another
        self._shown = b""
        self._is_redrawn = False
        self._leads = False  # carriage returns stand before redraws, and not behind
        self._is_amid_line = False
        self._last = self._came = -_NEVER

    @property
    def due(self) -> float:
        """When `tick` has something to pass on; infinity where it has not."""
        next = self._last + PERIOD
        if self._is_new(self._held):
            return next
        return max(next, self._whole_from()) if self._is_new(self._rest) else _NEVER

    def feed(self, content: bytes, now: float) -> bytes:
        """What is to be passed on, now that this has come."""
        if not content:
            return self.tick(now)
        if not (self._is_redrawn or self._rest or b"\r" in content):
            self._is_amid_line = not content.endswith(b"\n")
            return content
        # What is due was so before this came.
        passed = [self.tick(now)]
        self._came = now
        # Of bytes: at \n, \r\n and \r.
        pieces = (self._rest + content).splitlines(True)
        self._rest = b"" if pieces[-1].endswith(b"\n") else pieces.pop()
        for piece in pieces:
            self._take(piece, now, passed)
        if not self._is_redrawn:
            self._pass_beginning(passed)
        elif len(self._rest) > _LONGEST:
            passed.append(self._rest)
            self._rest = b""
        return b"".join(passed) + self.tick(now)

    def tick(self, now: float) -> bytes:
        """What is to be passed on as time goes by."""
        if now < self.due:
            return b""
        is_whole = self._is_new(self._rest) and now >= self._whole_from()
        return self._shown_now(self._rest.rstrip(b"\r") if is_whole else self._held, now)

    def finish(self) -> bytes:
        """What is to be passed on at the end."""
        rest = self._rest
        if self._is_redrawn:
            rest = self._shown_now(rest.rstrip(b"\r") or self._held, self._last)
        self._begin_line()
        self._rest = b""
        return rest

    def _is_new(self, text: bytes) -> bool:
        return self._is_redrawn and text.rstrip(b"\r") not in (b"", self._shown)

    def _whole_from(self) -> float:
        """When what came of a redraw so far can be taken for the whole of it."""
        return self._came if self._rest.endswith(b"\r") else self._came + _SETTLED

    def _take(self, piece: bytes, now: float, passed: list[bytes]) -> None:
        """Take in a line that ended at a newline, or a redraw that ended at a carriage return."""
        if not piece.endswith(b"\n"):
            self._redraw(piece[:-1], now, passed)
        elif not self._is_redrawn:
            passed.append(piece)
            self._begin_line()
        else:
            text = piece.rstrip(b"\r\n")
            if self._held and not (self._leads and text):
                passed.append(self._shown_now(self._held, now))
            if text and text != self._shown:
                passed.append(text + b"\n")
            self._begin_line()

    def _redraw(self, text: bytes, now: float, passed: list[bytes]) -> None:
        if self._is_redrawn:
            self._held = text or self._held
            return
        self._is_redrawn, self._leads = True, not (text or self._is_amid_line)
        if not self._leads:
            self._shown, self._last = text, now
            passed.append(text + b"\n")

    def _pass_beginning(self, passed: list[bytes]) -> None:
        """Pass on the beginning of a line that is not redrawn so far, but for a return at its end."""
        text = self._rest.rstrip(b"\r")
        if text:
            passed.append(text)
            self._rest = self._rest[len(text) :]
            self._is_amid_line = True

    def _shown_now(self, text: bytes, now: float) -> bytes:
        self._held = b""
        if not text or text == self._shown:
            return b""
        self._shown, self._last = text, now
        return text + b"\n"

    def _begin_line(self) -> None:
        self._is_redrawn = self._leads = self._is_amid_line = False
        self._held = self._shown = b""
