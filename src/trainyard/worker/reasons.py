"""How attempts end, in words: the same words in every yard."""

from __future__ import annotations

import os
import signal
from typing import NamedTuple, Protocol

TAIL = 16_384
"""So many bytes from the end of a log are enough to find a reason in."""
LONGEST_ERROR = 500
MODEL_NOT_KEPT = "the model could not be kept: "


class Interruption(NamedTuple):
    """A rehearsed interruption: `after` seconds of an attempt's script; `kill` leaves the SIGTERM out."""

    after: float
    kill: bool = False

    def __str__(self) -> str:
        return f"{self.after:g}s" + (":kill" if self.kill else "")


class Rehearsal(Protocol):
    """What an `Interruption` is to its words: its text is as `--interrupt-at` takes it."""

    @property
    def after(self) -> float: ...

    @property
    def kill(self) -> bool: ...


def one_line(text: str) -> str:
    """The text with every run of white space made one space."""
    return " ".join(text.split())


def describe_exit(status: int, output: bytes) -> str:
    """Why a process with this wait status ended: its last error line and exit status, or its signal.

    `output` is the end of what it wrote.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        hint = " (from outside; when memory runs out, the system does this)" if name == "SIGKILL" else ""
        return f"ended by {name}{hint}"
    said = last_error(output)
    code = os.WEXITSTATUS(status)
    return f"{said} (exit status {code})" if said else f"exit status {code}, and nothing in the log"


def last_error(output: bytes) -> str:
    """The exception at the end of the last traceback in a log, or else its last line that says anything."""
    lines = output.decode("utf-8", "replace").split("\n")
    spoken = [line.rstrip("\r") for line in lines if line.strip()]
    for index in range(len(spoken) - 1, -1, -1):
        if spoken[index].startswith("Traceback (most recent call last)"):
            after = [line for line in spoken[index + 1 :] if not line.startswith((" ", "\t"))]
            return after[0].strip()[:LONGEST_ERROR] if after else ""
    return spoken[-1].strip().rpartition("\r")[2][:LONGEST_ERROR] if spoken else ""


def rehearsed(at: Rehearsal) -> str:
    """The reason of an attempt that was interrupted on purpose."""
    manner = "without SIGTERM" if at.kill else "by SIGTERM"
    return f"interrupted {manner} after {at.after:g} s, as --interrupt-at {at} asked"


def unreached(at: Rehearsal, number: int, took: float | None) -> str:
    """The warning for the rehearsal of attempt `number`, which took so many seconds; None: there was none."""
    if took is None:
        return f"--interrupt-at {at} was never reached: there was no attempt {number}"
    return f"--interrupt-at {at} was never reached: attempt {number} ended after {took:.1f} s"


def cost_of_no_checkpoint(took: float) -> str:
    """The warning for a run on spot whose last attempt took so many seconds and wrote no checkpoint."""
    cost = f"{took:.1f}" if took >= 1 else f"{took:.2f}"
    return (
        f"no checkpoint was written: on spot, an interruption would have cost up to {cost} s of work; "
        "write checkpoints to $TRAINYARD_CHECKPOINT_DIR"
    )
