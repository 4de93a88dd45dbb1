"""Logs and metrics of jobs, into moto's CloudWatch."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import IO, Any

from ...machine import memory
from .world import World

LONGEST_EVENT = 256 * 1024 - 26
"""Bytes of a log event's message: 256 KiB less what each event is counted for ("PutLogEvents")."""
_PERIOD = 0.1
_CHUNK = 4 << 20
_log = logging.getLogger(__name__)


class FileStream:
    """A log stream that follows a file: every line becomes an event, about 0.1 s after it is written."""

    def __init__(self, world: World, path: str, group: str, name: str) -> None:
        self._world, self._group, self._name, self._path = world, group, name, path
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._is_finished = False
        self._lock = threading.Lock()

    def pump(self) -> None:
        """Take over the lines that are complete, or too long for one event."""
        with self._lock:
            while not self._is_finished and self._pump():
                pass

    def finish(self) -> None:
        """Take over everything: the file is not written to any more."""
        self.pump()
        with self._lock:
            # Once: what opens the file again begins at its beginning.
            self._is_finished = True
            if self._rest:
                self._put([self._rest])
                self._rest = b""
            if self._file:
                self._file.close()
                self._file = None

    def _pump(self) -> bool:
        if self._file is None:
            try:
                self._file = open(self._path, "rb", buffering=0)  # noqa: SIM115  (open until `finish`)
            except FileNotFoundError:
                return False
        chunk = self._file.read(_CHUNK)
        if not chunk:
            return False
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) >= LONGEST_EVENT:
            whole = len(self._rest) - len(self._rest) % LONGEST_EVENT
            lines.append(self._rest[:whole])
            self._rest = self._rest[whole:]
        if lines:
            self._put(lines)
        return True

    def _put(self, lines: Sequence[bytes]) -> None:
        now = int(time.time() * 1000)
        events = [
            {"timestamp": now, "message": piece}
            for line in lines
            for piece in _pieces(line.decode("utf-8", "replace").rstrip("\r"))
        ]
        with self._world.lock:
            ensure_stream(self._world, self._group, self._name)
            self._world.backend("logs").groups[self._group].streams[self._name].put_log_events(events)


def _pieces(text: str) -> Sequence[str]:
    # CloudWatch takes no empty message.
    if len(text) * 4 <= LONGEST_EVENT:
        return (text or " ",)
    data, found = text.encode(), []
    while data:
        end = min(len(data), LONGEST_EVENT)
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        found.append(data[:end].decode())
        data = data[end:]
    return found


class Logs:
    """The part of the world that follows the logs of all running tasks, on one thread."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._streams: set[FileStream] = set()
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def follow(self, path: str, group: str, name: str) -> FileStream:
        """Follow a file that a task writes, into a log stream that is made with the first line."""
        stream = FileStream(self._world, path, group, name)
        with self._world.lock:
            self._streams.add(stream)
        return stream

    def finish(self, stream: FileStream) -> None:
        """Take over the rest of a file after its task's end; complete when this returns."""
        with self._world.lock:
            self._streams.discard(stream)
        stream.finish()

    def end(self) -> None:
        """Follow nothing any more."""
        self._has_ended.set()
        self._thread.join()
        for stream in self._streams:
            stream.finish()

    def _run(self) -> None:
        while not self._has_ended.wait(_PERIOD):
            with self._world.lock:
                streams = list(self._streams)
            for stream in streams:
                try:
                    stream.pump()
                except Exception:
                    _log.exception("a log could not be followed")


def ensure_stream(world: World, group: str, name: str) -> None:
    """Have a log group and a stream in it. Under the world's lock."""
    logs = world.backend("logs")
    logs.ensure_log_group(group)
    logs.ensure_log_stream(group, name)


Value = tuple[str, float, str, Mapping[str, str]]
"""A value of a metric: its name, the value, its unit, and dimensions by name."""


def put_metrics(world: World, namespace: str, values: Sequence[Value]) -> None:
    """Store values of metrics as of now, as PutMetricData does."""
    now = datetime.now(UTC).replace(tzinfo=None)
    content: list[dict[str, Any]] = [
        {
            "MetricName": name,
            "Value": value,
            "Unit": unit,
            "Timestamp": now,
            "Dimensions": [{"Name": key, "Value": text} for key, text in dimensions.items()],
        }
        for name, value, unit, dimensions in values
    ]
    with world.lock:
        world.backend("cloudwatch").put_metric_data(namespace, content)


def usage(roots: Sequence[int]) -> dict[int, tuple[float, float]]:
    """By root, as far as it runs: the CPU seconds that it, its session and their living descendants have
    used, and the share of the machine's memory that they hold, in percent; nothing where there is no /proc.
    """
    ticks, pages = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PHYS_PAGES") or 1
    return {
        # With those that each has waited for: they are no longer there to be asked.
        root: (
            sum(int(ticked) for fields in family.values() for ticked in fields[11:15]) / ticks,
            100.0 * sum(int(fields[21]) for fields in family.values()) / pages,
        )
        for root, family in memory.families(roots).items()
        if root in family
    }
