"""A run's metrics as they come: the series in `metrics.csv` in its folder, the last values in the ledger."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...core.runs.metrics import Extractor, Point, read_series

HEADER = ("time", "attempt", "task", "name", "step", "value")


class Recorder:
    """Takes lines of a run's logs and keeps the values in them."""

    def __init__(self, path: str, definitions: Mapping[str, str]) -> None:
        self._path = path
        self._extractor = Extractor(definitions)
        # Of earlier attempts.
        for point in read_series(path):
            if point.name in self._extractor.steps:
                self._extractor.steps[point.name] += 1

    def take(self, lines: list[str], now: float, attempt: int, task: str) -> dict[str, float]:
        """Keep the values in the lines; the last of each metric that has a new one."""
        points = self._extractor.find_all(lines, now)
        if points:
            self._append(points, attempt, task)
        return {point.name: point.value for point in points}

    @property
    def troubles(self) -> Mapping[str, str]:
        """What is wrong with a metric's regular expression, so far."""
        return self._extractor.troubles

    def _append(self, points: list[Point], attempt: int, task: str) -> None:
        import csv  # for runs that have metrics alone

        is_new = not os.path.exists(self._path)
        with open(self._path, "a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            if is_new:
                writer.writerow(HEADER)
            writer.writerows(
                (f"{point.time:.3f}", attempt, task, point.name, point.step, repr(point.value))
                for point in points
            )
