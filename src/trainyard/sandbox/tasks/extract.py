"""The values of a training job's metrics, found in its logs by a process of its own.

A regular expression can take for ever, and while it does no other thread of its process runs: the server
stays out of it. Standard library only, started by `task.main`. On stdin come the paths of logs to follow, one
a line; its end means that all are complete. On stdout go JSON lines `{"name", "value"}`.
"""

from __future__ import annotations

import json
import math
import os
import select
import sys
import time
from typing import IO

from ...core.runs.metrics import Extractor, Lines

_PERIOD = 0.1
_CHUNK = 4 << 20


class _Log:
    def __init__(self, path: str) -> None:
        self._path, self._lines = path, Lines()
        self._file: IO[bytes] | None = None

    def lines(self, *, all: bool = False) -> list[str]:
        """The lines that were completed since the last time; with `all` the last one too."""
        if self._file is None:
            try:
                self._file = open(self._path, "rb", buffering=0)  # noqa: SIM115  (open to the end)
            except FileNotFoundError:
                return []
        lines = self._lines.feed(self._file.read(_CHUNK) or b"")
        return lines + self._lines.finish() if all else lines


def main(arguments: list[str]) -> None:
    """Follow logs with the definitions (name -> regular expression) in the JSON file `arguments[0]`."""
    with open(arguments[0], encoding="utf-8") as stream:
        extractor = Extractor(json.load(stream))
    logs: list[_Log] = []
    pending = b""
    while True:
        received = b""
        if select.select([0], [], [], _PERIOD)[0]:
            received = os.read(0, 65536)
            *paths, pending = (pending + received).split(b"\n")
            logs += [_Log(os.fsdecode(path)) for path in paths]
            if not received:
                break
        for log in logs:
            _find(extractor, log.lines())
    for log in logs:
        while lines := log.lines():
            _find(extractor, lines)
        _find(extractor, log.lines(all=True))


def _find(extractor: Extractor, lines: list[str]) -> None:
    if not lines:
        return
    found = extractor.find_all(lines, time.time())
    for point in found:
        # CloudWatch takes no others.
        if math.isfinite(point.value):
            sys.stdout.write(json.dumps({"name": point.name, "value": point.value}) + "\n")
    sys.stdout.flush()
