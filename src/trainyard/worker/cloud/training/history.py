"""What a host of a training job on SageMaker writes down of its attempts, in S3.

SageMaker knows a job and not the attempts inside of it, and a new machine has nothing but the checkpoints,
whose folder is the script's alone. So `<host>.json` in the run's folder of histories, elsewhere in S3, holds
`{"attempts": [{"number", "launch", "state", "reason", "bad_input", "started", "finished", "checkpoint",
"lost_seconds", "seen"}, …], "warnings": [text, …], "model": {"files": [[path, size, sha256], …]} or null}`,
or in the place of the files `{"refused": reason}` where they make no model. `has_copied` says that another
run's checkpoints are there. States are those of `protocol`. Times are seconds since the epoch; `checkpoint`
is when the newest one was written, `seen` when the attempt was last known to run.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable

from ... import reasons
from ...protocol import FAILED, INTERRUPTED, RUNNING, TERMINATED, former_history_file
from .keeping import Keeper

_SELDOM, _OFTEN = 30.0, 1.0


class History:
    """The attempts of one host. The beginning of one is kept before its script starts, all else soon after
    it happened."""

    def __init__(self, keeper: Keeper, former: Any, complain: Callable[[str], None]) -> None:
        """Take over what is kept, or else `former`; what cannot be understood counts as nothing.

        `complain` is told, once, what could not be written later on. Raises as `Keeper.read` does.
        """
        self._keeper = keeper
        self._complain: Callable[[str], None] | None = complain
        found = keeper.read()
        self.attempts: list[dict[str, Any]] = _attempts_of(former if found is None else found)
        self._has_copied = isinstance(found, dict) and bool(found.get("has_copied"))
        self.warnings: list[str] = []
        self.model: dict[str, Any] | None = None

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

    def begin(self, number: int, launch: int, now: float, copy_in: Callable[[], object] = int) -> None:
        """Add an attempt, which is on its way to its script; `copy_in` is called until it has once come to
        its end, before a script starts. Raises as it does, and as `Keeper.write`."""
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
        if not self._has_copied:
            copy_in()
            self._has_copied = True
        self._keeper.write(self._document())

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
        self._tend()

    def end(self, state: str, reason: str, now: float, checkpoint: float | None, *, bad_input: bool) -> None:
        """How the last attempt ended; written by `save`."""
        last = self.attempts[-1]
        last.update(
            state=state, reason=reason, bad_input=bad_input, finished=now, checkpoint=checkpoint, seen=now
        )
        last["lost_seconds"] = _lost(last) if state in (INTERRUPTED, TERMINATED) else None

    def save(self) -> None:
        """Have it kept as it is now, soon."""
        self._keeper.write_soon(self._document())
        self._tend()

    def settle(self) -> None:
        """Wait until all is kept, or cannot be."""
        self._keeper.settle()
        self._tend()

    def _document(self) -> dict[str, Any]:
        # Copies: another thread writes them down.
        attempts = [dict(each) for each in self.attempts]
        copied = {"has_copied": True} if self._has_copied else {}
        return {"attempts": attempts, "warnings": list(self.warnings), "model": self.model, **copied}

    def _tend(self) -> None:
        self._keeper.write_soon()
        if self._keeper.error and self._complain:
            self._complain(f"the history of the attempts cannot be written: {self._keeper.error}")
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


def read_former(folder: str, host: str) -> Any:
    """What a worker of former days wrote into the checkpoint folder; None where there is nothing."""
    try:
        with open(os.path.join(folder, former_history_file(host)), encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return None


def _attempts_of(document: Any) -> list[dict[str, Any]]:
    try:
        return [_checked(attempt) for attempt in document["attempts"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _checked(attempt: dict[str, Any]) -> dict[str, Any]:
    """The attempt with every key; raises KeyError, TypeError or ValueError for one that is none."""
    blank: dict[str, Any] = {"reason": "", "bad_input": False, "finished": None, "checkpoint": None}
    whole = {**blank, "lost_seconds": None, "seen": attempt.get("started"), **attempt}
    whole["number"], whole["launch"] = int(whole["number"]), int(whole["launch"])
    whole["started"], whole["state"] = float(whole["started"]), str(whole["state"])
    return whole
