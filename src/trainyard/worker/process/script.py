"""A program run as the child of ours: its output teed, signals passed on, nothing of it left behind.

One thread that waits for everything at once: the program's output, signals, and what is due by the clock.
"""

from __future__ import annotations

import os
import select
import signal
import time
from types import FrameType
from typing import Callable, Mapping, NamedTuple, NoReturn, Sequence

from ..reasons import RehearsedInterruption
from . import orphans, session
from .log import Log

OUTSIDE = "outside"
REHEARSED = "rehearsed"
LEAVE = 117.0
"""Seconds after a SIGTERM in which all has to be over: SageMaker's SIGKILL comes after 120."""

_CHUNK = 1 << 16
_HELD = 2 << 20  # more than a pipe holds
_LONGEST = 3600.0
_NEVER = float("inf")


class Program(NamedTuple):
    """What to run. `mark` is a variable of it, `NAME=value`, by which its processes are known."""

    arguments: Sequence[str]
    variables: Mapping[str, str]
    folder: str
    mark: str = ""


class Ended(NamedTuple):
    """How a program ended: its process, its wait status, who ended it ("" for itself), and when, in seconds
    since the epoch."""

    pid: int
    status: int
    cause: str
    started: float
    finished: float


class Signals:
    """SIGTERM and SIGINT are remembered, and any signal ends a wait for `reader`."""

    def __init__(self) -> None:
        self.asked = False
        self.reader, writer = os.pipe()
        for end in (self.reader, writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _nothing)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def clear(self) -> None:
        """Wait for signals anew."""
        try:
            while os.read(self.reader, 512):
                pass
        except BlockingIOError:
            pass


def _nothing(number: int, frame: FrameType | None) -> None:
    """A handler, so that SIGCHLD is no signal that is ignored."""


class Script:
    """A program that has been started."""

    def __init__(self, program: Program, log: Log, signals: Signals) -> None:
        """Start it. Raises OSError when it cannot be."""
        self._log, self._signals = log, signals
        self._mark = program.mark
        self._pipe, writer = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            self._pid = _spawn(program, writer)
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(writer)
        self.started = time.time()
        self._start = time.monotonic()
        self._status: int | None = None
        self._cause = ""
        self._kill_at = _NEVER
        self._is_open = True

    def wait(
        self,
        grace: float = 5.0,
        interruption: RehearsedInterruption | None = None,
        tick: Callable[[], float] | None = None,
    ) -> Ended:
        """Wait until it has ended, and end what it left running.

        A SIGTERM to us goes to its process group, SIGKILL follows after `grace` seconds; an `interruption`
        does the same of itself. `tick` is called time and again: it gives the seconds until its next call.
        """
        next_tick = self._start
        while self._status is None:
            now = time.monotonic()
            self._obey(now, grace, interruption)
            if tick and now >= next_tick:
                next_tick = time.monotonic() + tick()
            self._hear(min(self._due(interruption), next_tick if tick else _NEVER, self._log.due))
            self._log.tick()
        finished = time.time()
        orphans.end(self._pid, self._mark)
        self._drain()
        return Ended(self._pid, self._status, self._cause, self.started, finished)

    def _obey(self, now: float, grace: float, interruption: RehearsedInterruption | None) -> None:
        """Do what is due: pass on a SIGTERM, interrupt, kill."""
        if self._signals.asked and self._cause != OUTSIDE:
            leave = now + min(grace, LEAVE)
            if self._cause:
                self._kill_at = min(self._kill_at, leave)
            else:
                self._end(OUTSIDE, leave)
        elif interruption and not self._cause and now >= self._start + interruption.after:
            self._end(REHEARSED, now if interruption.kill else now + grace, silently=interruption.kill)
        if now >= self._kill_at:
            self._signal(signal.SIGKILL)
            self._kill_at = _NEVER

    def _end(self, cause: str, kill_at: float, *, silently: bool = False) -> None:
        self._cause, self._kill_at = cause, kill_at
        if not silently:
            self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:
            pass

    def _due(self, interruption: RehearsedInterruption | None) -> float:
        if interruption and not self._cause:
            return self._start + interruption.after
        return self._kill_at

    def _hear(self, until: float) -> None:
        """Take in what comes, at the latest until the clock says so."""
        sources = [self._signals.reader, self._pipe] if self._is_open else [self._signals.reader]
        timeout = min(max(until - time.monotonic(), 0.0), _LONGEST)
        ready, _, _ = select.select(sources, [], [], timeout)
        if self._pipe in ready:
            self._copy()
        if self._signals.reader in ready:
            self._signals.clear()
            self._reap()

    def _copy(self) -> bool:
        """Pass on what it wrote; whether there was anything."""
        try:
            content = os.read(self._pipe, _CHUNK)
        except BlockingIOError:
            return False
        if not content:
            self._is_open = False
            return False
        self._log.write(content)
        return True

    def _drain(self) -> None:
        """Pass on what is left in the pipe, which another process may still hold open."""
        for _ in range(_HELD // _CHUNK):
            if not (self._is_open and self._copy()):
                break
        os.close(self._pipe)
        self._log.flush()

    def _reap(self) -> None:
        """Take in the ends of all our children: as process 1 we get those of others too."""
        for pid, status in orphans.ended():
            if pid == self._pid:
                self._status = status


def _spawn(program: Program, output: int) -> int:
    """Start a program in a session of its own. Raises OSError when it cannot be."""
    reader, writer = os.pipe()
    # The child must not run our handlers, which would wake us.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD))
    try:
        pid = os.fork()
        if not pid:
            _become(program, output, writer)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.close(writer)
    # Closed by exec; what comes first is why there was none.
    with open(reader, "rb") as stream:
        fault = stream.read()
    if fault:
        os.waitpid(pid, 0)
        raise OSError(fault.decode("utf-8", "replace"))
    return pid


def _become(program: Program, output: int, pipe: int) -> NoReturn:
    try:
        session.begin()
        # Python ignores it, and a program inherits what is ignored.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        session.redirect(output)
        os.chdir(program.folder)
        os.execve(program.arguments[0], list(program.arguments), dict(program.variables))
    except BaseException as error:
        os.write(pipe, (str(error) or type(error).__name__).encode("utf-8", "replace"))
    finally:
        os._exit(127)
