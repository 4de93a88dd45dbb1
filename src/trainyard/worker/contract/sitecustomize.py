"""Leaves a word on why a Python process of a script ends, for the reason of a failure.

A log cannot tell what ended a process: an exception that was handled is printed there too, and the text of
`sys.exit("…")` looks like any other line. `lastwords.lay` puts this file into a folder at the end of
PYTHONPATH, where every Python that the script is, or starts, finds it as the module `sitecustomize`. It
has lines written whole, and writes itself only at the end of a process that failed: `<pid>.json`, with
the `name` of the exception ("" for `sys.exit("text")`), the `text`, the `time` in seconds since the epoch,
the `parent`'s pid, and whether a `launcher` like torchrun started it.
"""

from __future__ import annotations

import sys

# Every Python of every script begins with this file: typing, or importlib.util, would take it some 5 ms.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_LEAVES = 8


class _LastWords:
    """What is known of this process's end; `write` stands before that of its stderr."""

    def __init__(self, folder: str, write: Callable[[str], int]) -> None:
        self._folder, self._write = folder, write
        self._said: list[str] = []

    def write(self, text: str) -> int:
        """Write to stderr. The interpreter itself, with no frame below, writes a text that SystemExit has,
        and a newline; a traceback only once there is a `sys.last_value`."""
        if len(self._said) < 2 and not hasattr(sys, "last_value"):
            try:
                sys._getframe(1)
            except ValueError:
                self._said.append(text)
        return self._write(text)

    def leave(self) -> None:
        """Write down why this process ends, where it says so: called by atexit, after all others."""
        error = getattr(sys, "last_value", None)
        if error is not None:
            self._keep(_name(error), _text(error))
        elif len(self._said) == 2 and self._said[1] == "\n":
            self._keep("", self._said[0])

    def _keep(self, name: str, text: str) -> None:
        import json
        import os
        import time

        word: dict[str, Any] = {"name": name, "text": text, "time": time.time(), "parent": os.getppid()}
        word["launcher"] = "LOCAL_RANK" in os.environ
        try:
            with open(os.path.join(self._folder, "%d.json" % os.getpid()), "w") as stream:  # noqa: UP031
                json.dump(word, stream)
        except OSError:
            pass


def _name(error: BaseException) -> str:
    """The exception's class, as tracebacks name it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else _full(kind)


def _full(kind: type) -> str:
    return kind.__module__ + "." + kind.__qualname__


def _text(error: BaseException) -> str:
    """Its message as the last line of a traceback has it; of a group, its leaves."""
    leaves = _leaves(error)
    more = "; and %d more" % (len(leaves) - _LEAVES) if len(leaves) > _LEAVES else ""  # noqa: UP031
    return "; ".join(_line(leaf) for leaf in leaves[:_LEAVES]) + more


def _leaves(error: BaseException) -> list[BaseException]:
    inner = getattr(error, "exceptions", None)
    is_group = any(kind.__name__ == "BaseExceptionGroup" for kind in type(error).__mro__)
    if not (is_group and inner):
        return [error]
    return [leaf for each in inner for leaf in _leaves(each)]


def _line(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = "<exception str() failed>"
    return _name(error) + ": " + text if text else _name(error)


def _keep_lines_whole() -> None:
    """Have a line written at once: unbuffered, as Python is in a job, it writes each argument of a print and
    the newline apart, and another process of the job writes in between."""
    import os

    if os.environ.get("PYTHONUNBUFFERED"):
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]


def _others() -> None:
    """Run the `sitecustomize` that would have been found without this one."""
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    path = [each for each in sys.path if os.path.abspath(each) != here]
    finders: Any = [each for each in sys.meta_path if getattr(each, "__name__", "") == "PathFinder"]
    spec = finders[0].find_spec("sitecustomize", path) if finders else None
    if spec is not None and spec.loader is not None:
        from importlib.util import module_from_spec  # where there is another alone

        sys.modules["sitecustomize"] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


def _begin() -> None:
    import atexit
    import os

    words = _LastWords(os.path.dirname(os.path.abspath(__file__)), sys.stderr.write)
    # Registered first, and so called last.
    atexit.register(words.leave)
    setattr(sys.stderr, "write", words.write)  # noqa: B010  (a method, to mypy)


if __name__ == "sitecustomize":
    try:
        _keep_lines_whole()
        _begin()
    except Exception:
        # As where there is no stderr: a script is not to be hindered.
        pass
    _others()
