"""What a task is started from, and how it ended."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...machine.namespace import Mount

OWN_PYTHON = Mount(sys.prefix, sys.prefix, True)
"""What runs the sandbox is also what jobs without a container find on their PATH, as a container finds its
image's. Unlike an image it's the user's own: a `pip install` of a job must not change it."""

HOME = "/opt/.home"
"""Where a job without a container finds a home folder of its own: outside the sandbox's, which is hidden."""


class TaskSpec(NamedTuple):
    """All that a task is started from. The program sees `environment`, the mark, and nothing else."""

    name: str  # unique while it runs, e.g. "training/<job>/algo-1"
    command: Sequence[str]
    environment: Mapping[str, str]
    log: str  # stdout and stderr are appended to this file
    folder: str  # of its own, for what the start leaves behind; made where it is not there
    mounts: Sequence[Mount] = ()  # none: no namespace
    hosts: Sequence[str] = ()  # the n-th resolves to 127.0.0.n; needs mounts
    hidden: Sequence[str] = ()  # folders of the machine that it has no view of; needs mounts
    working_folder: str = "/"
    remove: Sequence[str] = ()  # the command that removes the task's container, if it is one


class TaskEnd(NamedTuple):
    """How a task ended."""

    status: int  # as a shell has it: 128 + n for one ended by the signal n
    reason: str = ""  # why its program could not be started; "" when it was

    @property
    def was_started(self) -> bool:
        """Whether the program itself ran."""
        return not self.reason
