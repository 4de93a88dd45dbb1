"""Follows a run to its end: its log, its state, its summary, and what signals do to it."""

from __future__ import annotations

import os.path
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TextIO

from ..core.errors import TrainyardError
from ..core.jobs.job import InferenceJob, TrainingJob
from ..core.ports.engine import LogLine
from ..core.runs.run import Run, State
from ..yard.yard import RunHandle, Yard
from . import summary
from .main import INTERRUPTED
from .terminal.screen import Screen, abandon, is_live
from .terminal.signals import Detached, TerminalSignals
from .terminal.table import print_json
from .terminal.text import clean, harmless
from .yards import at

_TAIL = 10
_SOON, _SOON_ELSEWHERE, _LONG_WAIT = 1.0, 10.0, 3600.0
_PERIOD_ELSEWHERE = 2.0
"""Seconds between two looks at a run in an account, for the live line alone."""


class Style(NamedTuple):
    """How an attached run is shown: `json` prints one object at its end and no log; attempts up to `seen`
    have been shown before; `file` is the job file that was named; `raw` gives a terminal the log as it is."""

    json: bool = False
    seen: int = 0
    file: str = ""
    raw: bool = False


def on_terminal(lines: Iterable[str], stream: TextIO, *, raw: bool) -> Iterable[str]:
    """Lines of a job's output for a stream: harmless where that is a terminal, unless `raw` wants all."""
    return lines if raw or not stream.isatty() else map(harmless, lines)


def warn(lines: Iterable[str]) -> None:
    """Warnings, a line each, on stderr."""
    for line in lines:
        print(f"warning: {clean(line)}", file=sys.stderr, flush=True)


def detach(handle: RunHandle, *, as_json: bool, file: str = "") -> int:
    """Tell the id of a run that is left to itself; the exit status. `file` is the job file that was named."""
    run = handle.record
    if as_json:
        print_json(run.to_json())
        return 0
    print(run.id, flush=True)
    if sys.stderr.isatty():
        print(f"follow it: {_to_follow(run, file)}", file=sys.stderr)
    return 0


def attach(yard: Yard, start: Callable[[], RunHandle], style: Style) -> int:
    """Start a run, follow it until it has ended, and tell what became of it.

    The exit status: 0 succeeded, 1 failed or stopped by somebody else, 2 for bad input, 130 after Ctrl-C,
    129 or 143 where a hangup or SIGTERM made this command leave it.
    """
    with TerminalSignals() as signals:
        try:
            run = start().record
        except Detached as detached:
            see = f"see trainyard runs{at(yard.name, style.file)}"
            word = f"trainyard: {detached} came while the run was being started; {see}"
            return _leave(detached.status, word)
        warn(run.warnings)
        left = RunHandle(yard, run) if style.json else None
        try:
            _follow(yard, run, signals, style)
        except KeyboardInterrupt:
            return _leave(INTERRUPTED, f"{run.id} goes on stopping", left)
        except Detached as detached:
            return _leave(detached.status, f"{run.id} goes on: {_to_follow(run, style.file)}", left)
        ended = yard.get(run.id).record
    warn(line for line in ended.warnings if line not in run.warnings)
    return _report(yard, ended, style, interrupted=signals.interrupted)


def warn_of_links(path: str) -> None:
    """Tell what links out of a folder take along, before it is copied, or sent: what leaves this machine
    cannot be called back."""
    from ..core.files.trees import told_of_links_out  # not for those who only follow a run

    warn(filter(None, [told_of_links_out(os.path.expanduser(path))]))


def as_text(line: LogLine, job: TrainingJob | InferenceJob) -> str:
    """A line of a log as people read it: after the task's name where a run has several."""
    if isinstance(job, TrainingJob):
        return f"{line.task} | {line.text}" if job.resources.instance_count > 1 else line.text
    again = f" ({line.attempt})" if line.attempt > 1 else ""
    return f"{line.task}{again} | {line.text}"


def with_attempts(yard: Yard, run: Run, lines: Iterable[LogLine], *, seen: int = 0) -> Iterator[str]:
    """The lines as text, and before those of every attempt of a training run after the first, what made it
    necessary, as far as that is known. Attempts up to `seen` are left out."""
    current = seen
    training = run.is_training
    for line in lines:
        if line.attempt <= seen:
            continue
        if training and line.attempt > max(current, 1):
            cause = _cause(yard, run, line.attempt)
            yield f"— attempt {line.attempt}: {cause} —" if cause else f"— attempt {line.attempt} —"
        current = max(current, line.attempt)
        yield as_text(line, run.job)


_CAUSES = {
    State.INTERRUPTED: "resumes after an interruption",
    State.STOPPED: "resumed after it was stopped",
    State.FAILED: "tries again after a failure",
}


def _cause(yard: Yard, run: Run, number: int) -> str:
    """What made the attempt necessary; "" where an engine does not know yet how the one before ended."""
    states = {attempt.number: attempt.state for attempt in yard.observe(run).attempts}
    return _CAUSES.get(states.get(number - 1, State.RUNNING), "")


def _follow(yard: Yard, run: Run, signals: TerminalSignals, style: Style) -> None:
    began = time.monotonic()
    shows_log = run.is_training and not style.json

    glance = Glance(yard, run)

    def status() -> str:
        return summary.live_line(glance.at(), time.monotonic() - began, stopping=signals.interrupted)

    with Screen(status) as screen:
        signals.bind(lambda: _stop(yard, run, screen))
        if not style.json:
            _tell_start(yard, run, screen)
        if shows_log:
            lines = with_attempts(yard, run, yard.logs(run, follow=True), seen=style.seen)
            for text in on_terminal(lines, sys.stdout, raw=style.raw):
                screen.print(text)
        else:
            yard.wait(run)


def _tell_start(yard: Yard, run: Run, screen: Screen) -> None:
    """Tell that a run has started, once it has; and once that it waits, where it does."""
    # Elsewhere there are no machines yet either while it starts.
    waiting = (State.QUEUED, State.STARTING) if yard.is_remote else (State.QUEUED,)
    until = time.monotonic() + (_SOON_ELSEWHERE if yard.is_remote else _SOON)
    while run.state in waiting and (left := until - time.monotonic()) > 0:
        run = yard.observe(run, wait=left)
    has_waited = run.state in waiting
    if has_waited:
        screen.print(f"{run.id} is {run.state}" + (f": {clean(run.reason)}" if run.reason else ""))
    while run.state in waiting:
        run = yard.observe(run, wait=_LONG_WAIT)
    if not (has_waited and run.state.ended):
        screen.print(f"{run.id} started")


class Glance:
    """A run as it is now, or was a moment ago where looking takes a request that others wait for too."""

    def __init__(self, yard: Yard, run: Run) -> None:
        self._yard, self._run = yard, run
        self._period = _PERIOD_ELSEWHERE if yard.is_remote else 0.0
        self._seen = -_PERIOD_ELSEWHERE

    def at(self) -> Run:
        """The run, observed anew where it is time."""
        now = time.monotonic()
        if now - self._seen >= self._period:
            self._run, self._seen = self._yard.observe(self._run), now
        return self._run


def _to_follow(run: Run, file: str) -> str:
    return f"trainyard logs -f {run.id}{at(run.yard, file)}"


def _stop(yard: Yard, run: Run, screen: Screen) -> None:
    try:
        yard.stop(run)
        screen.say(f"stopping {run.id} … (Ctrl-C again leaves it stopping)")
    except TrainyardError as error:
        screen.say(f"trainyard: {clean(str(error))}")


def _leave(status: int, word: str, left: RunHandle | None = None) -> int:
    """Tell that the command ends and the run does not, as JSON too where it is given; the exit status."""
    try:
        print(word, file=sys.stderr, flush=True)
        if left is not None:
            print_json(left.record.to_json())
    except OSError:
        # A hangup takes the terminal with it.
        abandon(sys.stdout)
        abandon(sys.stderr)
    return status


def _report(yard: Yard, run: Run, style: Style, *, interrupted: bool) -> int:
    if run.state is not State.SUCCEEDED and not interrupted:
        _complain(yard, run, style)
    if style.json:
        print_json(run.to_json())
    else:
        summary.print_summary(yard, run, file=style.file)
    return INTERRUPTED if interrupted else exit_status(run)


def exit_status(run: Run) -> int:
    """0 for a run that succeeded, 2 where its input was at fault, else 1."""
    if run.state is State.SUCCEEDED:
        return 0
    return 2 if run.seen.bad_input else 1


def _complain(yard: Yard, run: Run, style: Style) -> None:
    shown = run.is_training and not style.json
    silent = style.json and not is_live(sys.stderr)
    if run.state is State.FAILED and not (shown or silent or run.seen.bad_input):
        last = (as_text(line, run.job) for line in _last_lines(yard, run))
        for text in on_terminal(last, sys.stderr, raw=style.raw):
            print(text, file=sys.stderr)
    print(f"trainyard: {run.id} {run.state}: {clean(run.reason)}", file=sys.stderr, flush=True)


def _last_lines(yard: Yard, run: Run) -> list[LogLine]:
    lines = yard.logs(run)
    failed = [attempt for attempt in run.attempts if attempt.state is State.FAILED]
    if failed and not run.is_training:
        culprit = (failed[-1].task, failed[-1].number)
        lines = (line for line in lines if (line.task, line.attempt) == culprit)
    from collections import deque  # only a failure needs it

    return list(deque(lines, maxlen=_TAIL))
