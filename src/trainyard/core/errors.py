"""Every error that trainyard expects: one line that says what is wrong, where, and the cure.

The command line prints the line and exits with `exit_status`; anything else is a bug and shows a traceback.
"""

from __future__ import annotations


class TrainyardError(Exception):
    """The root: something expected went wrong while doing what was asked. Exit status 1."""

    exit_status = 1

    def __str__(self) -> str:
        return " ".join(super().__str__().split())


class BadInput(TrainyardError):
    """What was asked cannot be right; nothing was started and nothing half-written. Exit status 2.

    `where` is a file, `key` a dotted key in it or a command's option, `cure` what to do about it.
    """

    exit_status = 2

    def __init__(self, problem: str, *, where: str = "", key: str = "", cure: str = "") -> None:
        self.problem, self.where, self.key, self.cure = problem, where, key, cure
        super().__init__(problem)

    def __str__(self) -> str:
        line = ": ".join(part for part in (self.where, self.key, self.problem) if part)
        return " ".join(f"{line}; {self.cure}".split() if self.cure else line.split())

    def at(self, where: str) -> BadInput:
        """The same error, found in the file `where`."""
        return type(self)(self.problem, where=where, key=self.key, cure=self.cure)


class NotFound(BadInput):
    """A run, model, data set or yard of that name is not known."""


class Unsupported(BadInput):
    """The engine cannot do what the job's `key` asks for."""


class HomeRefused(BadInput):
    """The home folder cannot be used: read-only, another user's, on a network file system, or newer."""


class DiskFull(TrainyardError):
    """No space was left on the device."""


class SupervisorLost(TrainyardError):
    """The local supervisor could not be started or reached."""


class AccountRefused(TrainyardError):
    """AWS did not do what it was asked: credentials, permissions, quotas, the network.

    `code` and `message` are AWS's own, empty where no answer came; `operation` is what was asked for.
    """

    def __init__(self, problem: str, *, code: str = "", message: str = "", operation: str = "") -> None:
        super().__init__(problem)
        self.code, self.message, self.operation = code, message, operation


class DeploymentFailed(TrainyardError):
    """CloudFormation could not create, change or delete a stack: the first real cause, and the cure."""


class RunFailed(TrainyardError):
    """A run that was waited for ended `failed` or `stopped`; the text is its reason."""

    def __init__(self, run_id: str, reason: str, *, bad_input: bool = False) -> None:
        super().__init__(f"{run_id}: {reason}")
        self.run_id, self.reason = run_id, reason
        self.exit_status = 2 if bad_input else 1


def nearest(word: str, known: list[str]) -> str:
    """The cure for a misspelt name: `did you mean 'x'?`, or what there is, or nothing."""
    # difflib is imported only once something is wrong.
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    if not known:
        return ""
    shown = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
    return f"there is {shown}"
