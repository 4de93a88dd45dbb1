"""What went wrong in one line, with the line of the user's code, and the report a failed worker leaves."""

from __future__ import annotations

import os
import sys
import traceback
from types import FrameType, TracebackType
from typing import Any, Callable, Iterator

from .errors import InputError, OutputError, ServiceError, is_disk_full
from .reasons import DISK_FULL, one_line, shortened

_OURS = os.path.dirname(os.path.abspath(__file__))


def describe(error: BaseException, code: str) -> str:
    """`ValueError: text (predict.py:12)`: the exception and its last line in the source folder `code`."""
    if isinstance(error, OSError) and is_disk_full(error):
        where = f"{error.filename}; " if error.filename else ""
        return one_line(DISK_FULL.of(where).reason)
    if isinstance(error, SyntaxError) and error.filename and os.path.isfile(error.filename):
        where = f"{_name(error.filename, code)}:{error.lineno}"
        return one_line(f"{type(error).__name__}: {error.msg} ({where})")
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    where = _place(error.__traceback__, code)
    reason = f"{text} ({where})" if where else text
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.split(".")[0]
        reason += f"; add the package that provides {package} to requirements.txt beside the handler"
    return one_line(reason)


def _frames(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _place(trace: TracebackType | None, code: str) -> str:
    """The last line within the source folder, else the last line outside the worker, else ""."""
    lines = [(frame.f_code.co_filename, line) for frame, line in _frames(trace)]
    theirs = [place for place in lines if _foreign(place[0])]
    chosen = [place for place in theirs if code and _within(place[0], code)] or theirs or lines
    if not chosen:
        return ""
    path, line = chosen[-1]
    return f"{_name(path, code)}:{line}"


def _foreign(path: str) -> bool:
    """Whether a line is neither the worker's nor the import system's."""
    return not path.startswith("<") and not _within(path, _OURS)


def _within(path: str, folder: str) -> bool:
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), ""))


def _name(path: str, code: str) -> str:
    if code and _within(path, code):
        return os.path.relpath(os.path.realpath(path), os.path.realpath(code))
    return os.path.basename(path)


def _traceback(error: BaseException) -> str:
    """The traceback from the first frame of the user's code on; all of it where there is none."""
    trace = error.__traceback__
    while trace is not None and not _foreign(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace or error.__traceback__))


def failure(error: BaseException, code: str, redacted: Callable[[str], str] = str) -> dict[str, Any]:
    """The report: `reason` (one line), `traceback` or None, and `class`; both without secrets, as `redacted`
    gives texts.

    "input": the user's data or handler breaks the contract, a retry cannot help; all else is "error".
    """
    kind, text = "error", None
    reason = one_line(str(error))
    if isinstance(error, InputError):
        kind, cause = "input", error.__cause__
        theirs = isinstance(cause, (SyntaxError, ImportError))
        text = _traceback(cause) if cause is not None and theirs else None
    elif not isinstance(error, (OutputError, ServiceError)):
        reason, text = describe(error, code), _traceback(error)
    # What is cut off before might leave a part of a secret.
    return {
        "reason": shortened(redacted(reason)),
        "class": kind,
        "traceback": None if text is None else redacted(text),
    }


def announce(report: dict[str, Any]) -> None:
    """Say on stderr, which is the log, what the report says."""
    if report["traceback"]:
        sys.stderr.write(report["traceback"])
    if not report["traceback"] or report["class"] == "input":
        sys.stderr.write(report["reason"] + "\n")
    sys.stderr.flush()
