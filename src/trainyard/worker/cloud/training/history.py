"""What a host of a training job on SageMaker writes down of its attempts, beside its checkpoints.

SageMaker knows a job and not the attempts inside of it, and a new machine knows nothing but what lies in the
checkpoint folder. So `.trainyard-history-<host>.json` there holds
`{"attempts": [{"number", "launch", "state", "reason", "bad_input", "started", "finished", "checkpoint",
"lost_seconds", "seen"}, …], "warnings": [text, …], "model": {"files": [[path, size, sha256], …]} or null}`.
States are those of `protocol`. Times are seconds since the epoch; `checkpoint` is when the newest one was
written, `seen` when the attempt was last known to run.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable

from ... import reasons
from ...protocol import FAILED, INTERRUPTED, RUNNING, TERMINATED, history_file

# SageMaker does not copy such a file to S3.
_ASIDE = ".sagemaker-ignore"
_SELDOM, _OFTEN = 30.0, 1.0


class History:
    """The attempts of one host; every change is written at once, the file replaced whole."""

    def __init__(self, folder: str, host: str, complain: Callable[[str], None]) -> None:
        """Read what is there; what cannot be understood counts as nothing. `complain` is told, once, when
        the file cannot be written."""
        self._path = os.path.join(folder, history_file(host))
        self._complain: Callable[[str], None] | None = complain
        self.attempts: list[dict[str, Any]] = _read_attempts(self._path)
        self.warnings: list[str] = []
        self.model: list[list[Any]] | None = None

    @property
    def last_number(self) -> int:
        """The number of the newest attempt; 0 when there is none."""
        return max((attempt["number"] for attempt in self.attempts), default=0)

    def failures(self, launch: int) -> int:
        """How many attempts of the launch have failed."""
        return sum(each["launch"] == launch and each["state"] == FAILED for each in self.attempts)

    def recover(self, launch: int, *, spot: bool) -> None:
        """Write down what became of the last attempt, when another machine ran it.

        In the same launch, that the job goes on says that it was interrupted, however it ended. In an
        earlier one the job ended around it.
        """
        last = self.attempts[-1] if self.attempts else None
        if last is None or last["state"] in (FAILED, INTERRUPTED):
            return
        if last["launch"] == launch:
            self._close(last, reasons.RECLAIMED if spot else reasons.MACHINE_LOST)
        elif last["state"] == RUNNING:
            self._close(last, reasons.ENDED_WITH_JOB)

    def begin(self, number: int, launch: int, now: float) -> None:
        """Add an attempt, which is on its way to its script."""
        self.attempts.append(
            {
                "number": number,
                "launch": launch,
                "state": RUNNING,
                "reason": "",
                "bad_input": False,
                "started": now,
                "finished": None,
                "checkpoint": None,
                "lost_seconds": None,
                "seen": now,
            }
        )
        self.save()

    def script_started(self, now: float) -> None:
        """The attempt's script runs from now on."""
        self.attempts[-1].update(started=now, seen=now)
        self.save()

    def note(self, checkpoint: float | None, now: float) -> None:
        """The attempt runs, and its newest checkpoint is of then: written when it is a new one, and else
        ever more seldom."""
        last = self.attempts[-1]
        pause = min(max((now - last["started"]) / 10, _OFTEN), _SELDOM)
        if checkpoint != last["checkpoint"] or now - last["seen"] >= pause:
            last.update(checkpoint=checkpoint, seen=now)
            self.save()

    def end(self, state: str, reason: str, now: float, checkpoint: float | None, *, bad_input: bool) -> None:
        """How the last attempt ended; written by `save`."""
        last = self.attempts[-1]
        last.update(
            state=state, reason=reason, bad_input=bad_input, finished=now, checkpoint=checkpoint, seen=now
        )
        last["lost_seconds"] = _lost(last) if state in (INTERRUPTED, TERMINATED) else None

    def save(self) -> None:
        """Write the file."""
        document: dict[str, Any] = {"attempts": self.attempts, "warnings": self.warnings, "model": None}
        if self.model is not None:
            document["model"] = {"files": self.model}
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with open(self._path + _ASIDE, "w", encoding="utf-8") as stream:
                json.dump(document, stream)
            os.replace(self._path + _ASIDE, self._path)
        except OSError as error:
            if self._complain:
                self._complain(f"the history of the attempts cannot be written: {error}")
                self._complain = None

    def _close(self, attempt: dict[str, Any], cause: reasons.Cause) -> None:
        known = (attempt["finished"], attempt["seen"], attempt["checkpoint"], attempt["started"])
        attempt.update(state=cause.state, reason=cause.words, finished=max(filter(None, known)))
        attempt["lost_seconds"] = _lost(attempt)


def took(attempt: dict[str, Any]) -> float:
    """How long an attempt that has ended took, in seconds."""
    started: float = attempt["started"]
    return max(0.0, (attempt["finished"] or started) - started)


def _lost(attempt: dict[str, Any]) -> float:
    """The seconds of work that the end of an attempt cost: those since its newest checkpoint."""
    since: float = max(attempt["checkpoint"] or 0.0, attempt["started"])
    return max(0.0, float(attempt["finished"]) - since)


def _read_attempts(path: str) -> list[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8") as stream:
            attempts = json.load(stream)["attempts"]
        return [_checked(attempt) for attempt in attempts]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _checked(attempt: dict[str, Any]) -> dict[str, Any]:
    """The attempt with every key; raises KeyError, TypeError or ValueError for one that is none."""
    blank: dict[str, Any] = {"reason": "", "bad_input": False, "finished": None, "checkpoint": None}
    whole = {**blank, "lost_seconds": None, "seen": attempt.get("started"), **attempt}
    whole["number"], whole["launch"] = int(whole["number"]), int(whole["launch"])
    whole["started"], whole["state"] = float(whole["started"]), str(whole["state"])
    return whole
