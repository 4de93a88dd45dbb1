"""A run's metrics as they come: the series in `metrics.csv` in its folder, the last values in the ledger."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...core.runs.metrics import Extractor, Point

HEADER = ("time", "attempt", "task", "name", "step", "value")


class Recorder:
    """Takes lines of a run's logs and keeps the values in them."""

    def __init__(self, path: str, definitions: Mapping[str, str]) -> None:
        self._path = path
        self._extractor = Extractor(definitions)
        for name, step in _steps(path).items():
            if name in self._extractor.steps:
                self._extractor.steps[name] = step

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


def _steps(path: str) -> dict[str, int]:
    """How many values of each metric a file of earlier attempts holds."""
    steps: dict[str, int] = {}
    if not os.path.exists(path):
        return steps
    import csv  # for runs that have metrics alone

    with open(path, newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            steps[row["name"]] = steps.get(row["name"], 0) + 1
    return steps
