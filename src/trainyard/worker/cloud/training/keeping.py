"""Where the history of a host is kept, so that nothing of S3's holds up a script, its output or a signal."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable

from ...errors import Missing

_LOOK = 0.1
_LAST = 2.5
"""Seconds for what is still to be written after a SIGTERM: SageMaker's SIGKILL comes soon."""


class Asked(Exception):
    """A SIGTERM came while something was waited for."""


class Keeper:
    """A JSON document in a folder, of S3 or this machine, read and written by threads, one at a time: none is
    left running where `read` or `write` has returned. `asked` says whether a SIGTERM came."""

    def __init__(self, folder: str, name: str, asked: Callable[[], bool]) -> None:
        self._folder, self._name, self._asked = folder, name, asked
        self._errand: _Errand | None = None
        self._next: Any = None
        self.error: Exception | None = None
        """Why the last that was to be written soon could not be."""

    def begin_reading(self) -> None:
        """Have it read from now on."""
        self._begin(self._read)

    def read(self) -> Any:
        """The document, once it has been read; None where there is none, or what is there is no JSON.

        Raises Asked, and what `places.read_json` does.
        """
        try:
            return self._result()
        except (FileNotFoundError, Missing, ValueError):
            return None

    def write(self, document: Any) -> None:
        """Write the document, and wait for that. Raises Asked, and what `places.write_json` does."""
        self._next = None
        self._wait()
        self._begin(lambda: self._write(document))
        self._result()

    def write_soon(self, document: Any = None) -> None:
        """Have the document, or else the one that is due, written as soon as nothing else is."""
        if document is not None:
            self._next = document
        if self._next is not None and not self._is_busy():
            due, self._next = self._next, None
            self._begin(lambda: self._write(due))

    def settle(self) -> None:
        """Wait until what was to be written soon is, or the time for that is over."""
        until = time.monotonic() + _LAST
        while self._is_busy() or self._next is not None:
            self.write_soon()
            if self._asked() and time.monotonic() > until:
                return
            if self._errand:
                self._errand.join(_LOOK)

    def _read(self) -> Any:
        # With its TLS and HTTP S3's client takes 30 ms and more to load: on the thread, too.
        from ...storage import places

        return places.read_json(places.join(self._folder, self._name))

    def _write(self, document: Any) -> None:
        from ...storage import places  # as above

        places.write_json(places.join(self._folder, self._name), document)

    def _begin(self, work: Callable[[], Any]) -> None:
        self._errand = _Errand(work)
        self._errand.start()

    def _is_busy(self) -> bool:
        if self._errand is None or self._errand.is_alive():
            return self._errand is not None
        self.error, self._errand = self._errand.error, None
        return False

    def _wait(self) -> None:
        while self._errand and self._errand.is_alive():
            if self._asked():
                raise Asked
            self._errand.join(_LOOK)

    def _result(self) -> Any:
        self._wait()
        errand, self._errand = self._errand, None
        if errand is None:
            return None
        if errand.error:
            raise errand.error
        return errand.result


class _Errand(threading.Thread):
    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.result: Any = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.result = self._work()
        # Whatever it is, whoever waits for it says so.
        except Exception as error:
            self.error = error
