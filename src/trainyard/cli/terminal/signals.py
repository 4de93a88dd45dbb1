"""What Ctrl-C, a hangup and SIGTERM mean to a command that follows a run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_EARLY = b"\nstopping as soon as the run has started (Ctrl-C again leaves at once)\n"
_TIMEOUT = 5.0


class Detached(BaseException):
    """SIGHUP or SIGTERM came: leave the run alone. `status` is what a shell expects, 128 and the signal."""

    def __init__(self, number: int) -> None:
        self.status = 128 + number
        super().__init__(signal.Signals(number).name)


class TerminalSignals:
    """While entered: the first Ctrl-C calls `stop`, in a thread, and disturbs nothing else; the second
    raises KeyboardInterrupt; SIGHUP and SIGTERM raise `Detached`.

    A signal that the parent had ignored (`nohup`, a shell's background job) stays ignored. For the main
    thread only.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._stop: Callable[[], None] | None = None
        self._before: dict[int, Any] = {}
        self._stopping: threading.Thread | None = None

    def __enter__(self) -> TerminalSignals:
        for number, action in (
            (signal.SIGINT, self._interrupt),
            (signal.SIGTERM, self._detach),
            (signal.SIGHUP, self._detach),
        ):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, action)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stopping is not None:
            # A second Ctrl-C ends this command, yet not before the run has been told to stop.
            self._stopping.join(_TIMEOUT)
        for number, action in self._before.items():
            signal.signal(number, action)

    def bind(self, stop: Callable[[], None]) -> None:
        """From now on there is something to stop; at once where Ctrl-C has come already."""
        self._stop = stop
        if self.interrupted:
            self._start_stopping(stop)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        if self._stop is None:
            os.write(2, _EARLY)
        else:
            self._start_stopping(self._stop)

    def _detach(self, number: int, frame: FrameType | None) -> None:
        raise Detached(number)

    def _start_stopping(self, stop: Callable[[], None]) -> None:
        self._stopping = threading.Thread(target=stop, daemon=True)
        self._stopping.start()
