"""What SageMaker's and Batch's answers are made into, and the words that they share. Pure."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ..core.runs.run import Attempt, State
from ..worker.reasons import describe_exit

KILLED = describe_exit(9, b"")


WITHOUT_PYTHON = "the image has no python3, which the worker needs; name another {}.image"


SILENT = "exit status {}, and no word of the worker's: `trainyard logs` may tell more"


NO_PYTHON = re.compile(
    r"python3\\?\"?: (?:executable file not found|no such file)|exec python3 failed"
    r"|executable file .?python3.? not found",
    re.I,
)


class Cause(NamedTuple):
    """Why a job failed, and whether what it was given is to blame."""

    reason: str
    bad_input: bool = False


def one_line(text: Any) -> str:
    return " ".join(str(text or "").split())


TRAIN = "train"


class Verdict(NamedTuple):
    """The state of a job or run, why, and whether what it was given is to blame."""

    state: State
    reason: str = ""
    bad_input: bool = False


def new_attempt(
    number: int,
    state: State,
    reason: str,
    started: float | None,
    finished: float | None,
    *,
    task: str = TRAIN,
) -> Attempt:
    return Attempt(number=number, task=task, state=state, reason=reason, started=started, finished=finished)
