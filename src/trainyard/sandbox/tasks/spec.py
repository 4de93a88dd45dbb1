"""What a task is started from, and how it ended."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from ...core.errors import BadInput
from ...machine import interpreters
from ...machine.namespace import Mount

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


@cache
def jobs_python() -> tuple[str, str]:
    """The folder and the prefix of the Python that jobs without a container find on their PATH, as one in a
    container finds its image's: the one of TRAINYARD_PYTHON, else the one that runs the sandbox.

    Raises BadInput for one that jobs, which start `python3`, would not find.
    """
    path = interpreters.chosen("", "", os.environ)
    folder, prefix = os.path.dirname(path), interpreters.prefix(path)
    if os.path.realpath(os.path.join(folder, "python3")) != os.path.realpath(path):
        problem = f"jobs start python3, and {path} is another than that beside it"
        raise BadInput(problem, key=interpreters.VARIABLE, cure="name the Python of a virtual environment")
    return folder, prefix


def uncontained(spec: TaskSpec, home: str, hidden: str, **own: str) -> TaskSpec:
    """The task as it runs on this machine, where no container engine has its image: with a `home`, with no
    view of the folder `hidden`, and with variables of its own."""
    folder, prefix = jobs_python()
    path = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
    ours = {"PATH": path, "HOME": HOME, "LANG": "C.UTF-8", **own}
    # Unlike an image's, the Python is the user's own: a `pip install` of a job must not change it.
    mounts = (*spec.mounts, Mount(home, HOME, False), Mount(prefix, prefix, True))
    return spec._replace(environment={**ours, **spec.environment}, mounts=mounts, hidden=[hidden])
