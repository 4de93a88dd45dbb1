"""A task on its way: its processes, why it is being ended if it is, and what became of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ...core.runs import outcomes
from ...core.runs.outcomes import Outcome
from ...core.runs.run import Interruption, State
from ...machine import processes
from ...worker import reasons
from .child import Body, Child
from .follower import Follower

if TYPE_CHECKING:
    from ...worker.redaction import Redactor


class Member(NamedTuple):
    """A process to start: the host's or shard's name, its log, what it does, where it says why it failed: in
    `report`, or as the `script` whose `/opt/ml` is `root`. `done` is a file without which it is not done."""

    name: str
    log: str
    body: Body
    report: str = ""
    root: str = ""
    script: str = ""
    done: str = ""


class TaskPlan(NamedTuple):
    """A task that may start. `grace` and `timeout` are in seconds, a timeout of 0 is none; `late` is what
    becomes of it at its timeout; `redactor` takes secrets out of what it says of itself."""

    run: str
    task: str
    number: int
    members: tuple[Member, ...]
    grace: float = 5.0
    timeout: float = 0.0
    late: Outcome = Outcome(State.FAILED)
    memory_mib: int = 0
    interruption: Interruption | None = None
    is_attempt: bool = False
    wants_lines: bool = False
    redactor: Redactor | None = None


class Process:
    """One running member of a task."""

    def __init__(self, member: Member, child: Child, follower: Follower) -> None:
        self.member, self.pid, self.pipe = member, child.pid, child.pipe
        self.follower = follower
        self.identity = (child.pid, processes.start_time(child.pid), processes.boot_id())
        self.status: int | None = None
        self.has_started = False
        self.fault = ""
        self.fault_is_input = False
        self._said = b""
        os.set_blocking(self.pipe, False)

    def drain(self) -> bool:
        """Take in all that the pipe holds, why the program could not start, and do not wait for more; whether
        the pipe has closed."""
        has_closed = False
        try:
            while content := os.read(self.pipe, 4096):
                self._said += content
            has_closed = True
        except BlockingIOError:
            pass
        if self._said:
            self._read_fault()
        return has_closed

    def _read_fault(self) -> None:
        try:
            said = json.loads(self._said)
        except ValueError:
            said = {"reason": self._said.decode("utf-8", "replace")}
        self.fault, self.fault_is_input = said["reason"], said.get("bad_input", False)


class Task:
    """A task whose processes have been forked."""

    def __init__(self, plan: TaskPlan, members: list[Process], mark: str) -> None:
        self.plan, self.members, self.mark = plan, members, mark
        self.started: float | None = None
        self.is_ending = False
        self._intended: Outcome | None = None
        self.first_failed: Process | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.plan.run, self.plan.task

    @property
    def alive(self) -> list[Process]:
        return [process for process in self.members if process.status is None]

    def end(self, outcome: Outcome | None, *, kill: bool = False) -> bool:
        """Signal all that are alive, once; whether this was the first time, whose outcome counts. None: what
        its members say."""
        if self.is_ending:
            return False
        self.is_ending, self._intended = True, outcome
        self.signal(signal.SIGKILL if kill else signal.SIGTERM)
        return True

    def signal(self, number: int) -> None:
        for process in self.alive:
            processes.signal_group(process.pid, number)
            if not process.has_started:
                # Until it is in its own session the child leads no group.
                processes.signal_one(process.pid, number)

    def outcome(self) -> Outcome:
        """What became of it, once all processes have ended; their last words are gone with that."""
        try:
            return self._outcome()
        finally:
            for process in self.members:
                forget_words(process.member.root)

    def _outcome(self) -> Outcome:
        if self._intended is not None:
            return self._intended
        if self.first_failed is not None:
            return self._failure(self.first_failed)
        done = [process.member.done for process in self.members]
        has_left = any(path and not os.path.exists(path) for path in done)
        return outcomes.of(reasons.HANDLER_LEFT if has_left else reasons.DONE)

    def _failure(self, process: Process) -> Outcome:
        member, redactor = process.member, self.plan.redactor
        said = _read_report(member.report)
        if process.fault:
            cause = reasons.BAD_INPUT if process.fault_is_input else reasons.SAID
            ending = cause.of(process.fault)
        elif said:
            ending = reasons.reported(said)
        elif text := read_failure(member.root, redactor.text if redactor else str):
            ending = reasons.SAID.of(text)
        else:
            tail, word = _tail(member.log), _last_word(process)
            if redactor:
                tail, word = redactor.content(tail), word._replace(text=redactor.text(word.text))
            ending = reasons.exited(process.status or 0, tail, word)
        outcome = outcomes.outcome(ending)
        if len(self.members) > 1:
            outcome = outcome._replace(reason=f"{member.name}: {outcome.reason}")
        return outcome


def _read_report(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8") as stream:
            said = json.load(stream)
        return said if isinstance(said, dict) and "reason" in said else {}
    except (OSError, ValueError):
        return {}


def read_failure(root: str, redacted: Callable[[str], str] = str) -> str:
    """What a script wrote to `output/failure` below its `/opt/ml`, as `redacted` gives it."""
    if not root:
        return ""
    from ...worker.contract import contract

    return contract.failure(contract.Layout(root), redacted)


def _last_word(process: Process) -> reasons.Word:
    if not process.member.root:
        return reasons.Word()
    from ...worker.contract import contract

    return contract.last_word(contract.Layout(process.member.root), process.pid, process.member.script)


def forget_words(root: str) -> None:
    """Remove what processes said of their ends below their `/opt/ml`: a secret may be among it."""
    if root:
        from ...worker.contract import contract

        contract.forget_words(contract.Layout(root))


def _tail(log: str) -> bytes:
    try:
        with open(log, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - reasons.TAIL))
            return stream.read()
    except OSError:
        return b""
