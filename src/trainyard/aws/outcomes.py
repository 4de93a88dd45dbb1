"""What SageMaker's and Batch's answers have in common. Pure."""

from __future__ import annotations

import re
from typing import Any

from ..core.runs.run import Attempt, State

NO_PYTHON = re.compile(
    r"python3\\?\"?: (?:executable file not found|no such file)|exec python3 failed"
    r"|executable file .?python3.? not found",
    re.I,
)
TRAIN = "train"


def one_line(text: Any) -> str:
    return " ".join(str(text or "").split())


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
