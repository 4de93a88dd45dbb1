"""stdout, stderr, and below them on a terminal one line that keeps telling how things stand.

Lines of a script's log pass through with their colours and returns (`text.harmless`), which is why the live
line is drawn here in a few bytes and not by a library that lays text out.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from .text import clean, dim, fit

_FIRST = 0.3
_PERIOD = 0.25
_FLOOD = 0.05
_ERASE = "\r\x1b[2K"


class Screen:
    """Where a followed run is shown. With `status`, its text stands on the last line of a terminal's stderr
    from 0.3 s on, four times a second anew; it is asked in a thread of its own, and is gone at the end."""

    def __init__(self, status: Callable[[], str] | None = None) -> None:
        self._status = status if is_live(sys.stderr) else None
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._shown = False
        self._text = ""
        self._drawn = 0.0

    def __enter__(self) -> Screen:
        if self._status is not None:
            self._thread = threading.Thread(target=self._keep_telling, args=(self._status,), daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        with self._lock:
            self._erase()

    def print(self, text: str) -> None:
        """A line on stdout."""
        self._write(sys.stdout, text)

    def say(self, text: str) -> None:
        """A line on stderr."""
        self._write(sys.stderr, text)

    def _write(self, stream: TextIO, text: str) -> None:
        with self._lock:
            self._erase()
            stream.write(f"{text}\n")
            stream.flush()
            # Below a line now and then the live line stands again at once; a flood is not to wait for it.
            if self._text and not self._ended.is_set() and time.monotonic() - self._drawn > _FLOOD:
                self._draw(self._text)

    def _keep_telling(self, status: Callable[[], str]) -> None:
        pause = _FIRST
        while not self._ended.wait(pause):
            pause = _PERIOD
            try:
                text = status()
                with self._lock:
                    if not self._ended.is_set():
                        self._draw(text)
            except Exception:
                # The run is followed elsewhere, and told there if it cannot be: here only its picture ends.
                return

    def _draw(self, text: str) -> None:
        line = fit(clean(text), os.get_terminal_size(sys.stderr.fileno()).columns - 1)
        sys.stderr.write(_ERASE + dim(line))
        sys.stderr.flush()
        self._shown = True
        self._text, self._drawn = text, time.monotonic()

    def _erase(self) -> None:
        if self._shown:
            self._shown = False
            sys.stderr.write(_ERASE)
            sys.stderr.flush()


def is_live(stream: TextIO) -> bool:
    """Whether the stream is a terminal that can rewrite a line."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def abandon(stream: TextIO) -> None:
    """Let a stream whose reader has gone lead nowhere: Python flushes it once more on its way out."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
