"""Where everything of a run lies below its folder, in files that a person can read."""

from __future__ import annotations

import os

from ...core.runs.metrics import SERIES
from ...worker import protocol


class RunPaths:
    """The paths of one run. Nothing is created by naming it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.checkpoints = os.path.join(folder, "checkpoints")
        self.metrics = os.path.join(folder, SERIES)
        self.events = os.path.join(folder, "events.jsonl")
        self.spec = os.path.join(folder, "run.json")
        self.model = os.path.join(folder, "model")
        self.plan = os.path.join(folder, protocol.PLAN_FILE)
        self.summary = os.path.join(folder, protocol.SUMMARY_FILE)
        self.predictions = os.path.join(folder, "predictions")
        self.shards = os.path.join(folder, "shards")
        self.links = os.path.join(folder, "links")
        self.attempts = os.path.join(folder, "attempts")

    def attempt(self, number: int) -> str:
        """The folder of all that is one attempt's own."""
        return os.path.join(self.attempts, str(number))

    def task(self, number: int, host: str) -> str:
        """The folder of a host or a shard in an attempt."""
        return os.path.join(self.attempts, str(number), host)

    def log(self, number: int, host: str) -> str:
        """What the task wrote to stdout and stderr."""
        return self.task(number, host) + ".log"

    def report(self, number: int, host: str) -> str:
        """Where the worker says why a task failed."""
        return self.task(number, host) + ".report.json"

    def done(self, number: int, host: str) -> str:
        """The file that stands once a shard is done."""
        return self.task(number, host) + ".done"

    def merged(self, number: int) -> str:
        """Where the hosts' model folders are merged."""
        return os.path.join(self.attempts, str(number), "model")

    def result(self, index: int) -> str:
        """What a shard has done, in JSON."""
        return os.path.join(self.shards, protocol.result_name(index))

    def progress(self, index: int) -> str:
        """How many rows a shard has done so far."""
        return os.path.join(self.shards, f"{index:05d}.rows")


def times_of(log: str) -> str:
    """Where it is written when the bytes of a log came: lines of `seconds-since-epoch end-offset`."""
    return log.removesuffix(".log") + ".times"


def pid_of(log: str) -> str:
    """Where the process id of the task that writes a log is written."""
    return log.removesuffix(".log") + ".pid"
