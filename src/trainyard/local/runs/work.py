"""What a run still has to do. The supervisor asks which tasks may start and tells what became of them:
deciding is here, doing is there."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...core.jobs.job import Job
from ...core.jobs.variables import shell_variables
from ...core.runs import outcomes
from ...core.runs.outcomes import Outcome
from ...core.runs.run import Run, State
from ...machine import MARK
from ...worker import reasons
from ...worker.packages import may_be_needed
from ...worker.packages.paths import on_path
from ...worker.reasons import is_tried_again
from ..home.home import Home
from ..home.runfolder import RunPaths
from ..ledger.journal import Journal
from ..ledger.rows import attempt_of, run_of
from ..tasks import child
from ..tasks.task import Member, TaskPlan

if TYPE_CHECKING:
    from ...worker.redaction import Redactor

ENVIRONMENT = "environment"
_STEP_GRACE = 5.0


class Work(ABC):
    """One open run: its record, its paths, and what both kinds of jobs have in common."""

    def __init__(self, row: sqlite3.Row, home: Home, journal: Journal) -> None:
        self.seq: int = row["seq"]
        self.launch: int = row["launch"]
        self.home, self.journal = home, journal
        attempts = journal.attempts(row["id"])
        self.run: Run = run_of(row, attempts, home)
        self.submission: Mapping[str, Any] = json.loads(row["spec"])["submission"]
        self.order: tuple[float, int] = (float(self.submission["time"]), self.seq)
        self.paths = RunPaths(home.run(row["id"]))
        self.wants_stop = bool(row["stop"])
        self.ending: Outcome | None = None
        """How it is to end, once none of its tasks runs any more."""
        self.warnings: list[str] = list(self.run.warnings)
        self.metrics: dict[str, float] = dict(self.run.metrics)
        self.troubles: Mapping[str, str] = {}
        """What is wrong with the regular expression of a metric."""
        self.code = os.path.join(home.code, self.run.code)
        self.interpreter: str = self.submission["interpreter"]
        self.needs_environment = self.run.job.isolated or _needs_environment(self.code)
        self.values: Mapping[str, str] = {}
        """Variables of the submitter's shell, which nothing but this process remembers."""
        self.running: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        for attempt in attempts:
            self._numbers[attempt["task"]] = max(attempt["number"], self._numbers.get(attempt["task"], 0))
            if attempt["launch"] == self.run.launch and attempt["state"] == State.FAILED:
                self._count_failure(attempt["task"])

    @abstractmethod
    def ready(self) -> Sequence[str]:
        """The tasks that may start now, in order; cheap, and changes nothing."""

    @abstractmethod
    def plan(self, task: str) -> TaskPlan:
        """How to start a task that is ready."""

    @abstractmethod
    def task_ended(self, plan: TaskPlan, outcome: Outcome) -> None:
        """Decide what follows from what became of a task."""

    def task_started(self, plan: TaskPlan, now: float) -> None:
        """The program of each of the task's processes runs."""
        if plan.is_attempt:
            self.set_state(State.RUNNING, **({} if self.run.seen.started else {"started": now}))

    def finishing_columns(self) -> dict[str, Any]:
        """What else to write down when the run ends."""
        return {}

    def begin(self, task: str) -> TaskPlan:
        """The plan of a task that starts now."""
        plan = self.plan(task)
        self.running.add(task)
        if self.run.state in (State.QUEUED, State.INTERRUPTED):
            self.set_state(State.STARTING)
        if plan.is_attempt:
            self._numbers[task] = plan.number
        return plan

    def end(self, plan: TaskPlan, outcome: Outcome) -> None:
        """Take in what became of a task."""
        self.running.discard(plan.task)
        if outcome.state is State.STOPPED or self.ending:
            return
        if plan.task == ENVIRONMENT:
            self._environment_ended(plan.number, outcome)
        else:
            self.task_ended(plan, outcome)

    def variables(self, task: str, number: int, own: Mapping[str, str]) -> dict[str, str]:
        """The environment of a task: what was allowed through, the job's own, the mark."""
        submitted: Mapping[str, str] = self.submission["variables"]
        known = {"PYTHONUNBUFFERED": "1", **submitted, **own, "TRAINYARD_TASK": self.mark(task, number)}
        return on_path(self.interpreter, on_path(self.submission["interpreter"], known))

    def mark(self, task: str, number: int) -> str:
        """What marks the processes of a task."""
        return f"{home_mark(self.home)}/{self.run.id}/{task}/{number}"

    def set_state(self, state: State, **columns: Any) -> None:
        """Write the run's state down, where it is a new one."""
        if state is not self.run.state or columns:
            self.journal.set_run(self.run.id, state=str(state), **columns)
            known = {name: columns[name] for name in ("started", "finished", "reason") if name in columns}
            self.run = self.run.observed(self.run.seen.replace(state=state, **known))

    @property
    def lacking(self) -> str:
        """A variable of the submitter's shell whose value has not come; "" for none."""
        wanted = (*shell_variables(self.job.environment), *self.submission.get("proxies", ()))
        return next((name for name in wanted if name not in self.values), "")

    def give_up_waiting(self) -> None:
        """Go on without the values that have not come, or fail where the job asks for them: what had them is
        no more."""
        if self.lacking in self.job.environment:
            self.fail(outcomes.of(reasons.SHELL_FORGOTTEN, f"{self.job.section}.environment.{self.lacking}"))
            return
        while name := self.lacking:
            self.warn(f"{name} is without its user and password: the supervisor that knew them is gone")
            self.values = {**self.values, name: self.submission["variables"][name]}

    @property
    def environment(self) -> dict[str, str]:
        """The job's own variables, with their values."""
        return {**self.job.environment, **self.values}

    @property
    def redactor(self) -> Redactor | None:
        """What takes these values out of what is written down; None where there are none."""
        if not self.values:
            return None
        from ...worker.redaction import Redactor  # for jobs that have secrets alone

        return Redactor(self.values.values())

    @property
    def job(self) -> Job:
        return self.run.job

    def set_metrics(self, found: Mapping[str, float]) -> None:
        """Write down the last values of some metrics."""
        self.metrics |= found
        self.journal.set_run(self.run.id, metrics=json.dumps(self.metrics))

    def warn(self, text: str) -> None:
        """Add a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)
            self.journal.set_run(self.run.id, warnings=json.dumps(self.warnings))

    def fail(self, outcome: Outcome, prefix: str = "") -> None:
        """Have the run end as failed."""
        reason = prefix + outcome.reason + self._other_python(outcome.reason)
        self.ending = outcome._replace(state=State.FAILED, reason=reason)

    def next_number(self, task: str) -> int:
        """The number of the task's next attempt."""
        return self._numbers.get(task, 0) + 1

    def may_retry(self, task: str, outcome: Outcome, retries: int) -> bool:
        """Count a failure of the task, and say whether it may be tried again."""
        self._count_failure(task)
        return is_tried_again(outcome.again, self._failures[task], retries)

    def plan_step(self, task: str, number: int, body: child.Body) -> TaskPlan:
        """A task of ours, which is no attempt of the job's own program."""
        os.makedirs(self.paths.attempt(number), exist_ok=True)
        marked = self._marked(task, number, body)
        member = Member(task, self.paths.log(number, task), marked, self.paths.report(number, task))
        return TaskPlan(self.run.id, task, number, (member,), grace=_STEP_GRACE)

    def plan_environment(self, number: int) -> TaskPlan:
        """The task that builds what `requirements.txt` asks for, or finds it built."""
        return self.plan_step(ENVIRONMENT, number, lambda: self._build_environment(number))

    def reload_attempts(self) -> None:
        """Take over the attempts as they are written down."""
        rows = self.journal.attempts(self.run.id)
        attempts = tuple(attempt_of(row) for row in rows)
        self.run = self.run.observed(self.run.seen.replace(attempts=attempts))

    def _marked(self, task: str, number: int, body: child.Body) -> child.Body:
        """The same in a child whose own processes, if it starts any, are marked."""

        def run() -> int:
            os.environ[MARK] = self.mark(task, number)
            return body()

        return run

    def _count_failure(self, task: str) -> None:
        self._failures[task] = self._failures.get(task, 0) + 1

    def _other_python(self, reason: str) -> str:
        """Where a module was not found: which Python is meant, if another one was active."""
        python = self.submission.get("proposed")
        if not python or "ModuleNotFoundError" not in reason:
            return ""
        used = self.submission["interpreter"]
        return f'; it ran in {used}: for the active environment write python = "{python}" in the job file'

    def _environment_ended(self, number: int, outcome: Outcome) -> None:
        if outcome.state is State.FAILED:
            self.fail(outcome)
        elif outcome.state is State.SUCCEEDED:
            with open(self._interpreter_file(number), encoding="utf-8") as stream:
                self.interpreter = stream.read()
            self.needs_environment = False

    def _build_environment(self, number: int) -> int:
        import site  # the supervisor starts without it

        from ..tasks import packages

        # The supervisor runs without site-packages, where the extra [env] has its uv.
        site.main()
        asked = self.submission["interpreter"]
        found = packages.build(self.code, asked, 1, isolated=self.run.job.isolated)
        with open(self._interpreter_file(number), "w", encoding="utf-8") as stream:
            stream.write(found)
        return 0

    def _interpreter_file(self, number: int) -> str:
        return os.path.join(self.paths.attempt(number), "interpreter")


def home_mark(home: Home) -> str:
    """A short name of the home, for marks."""
    return f"{zlib.crc32(os.fsencode(home.path)):08x}"


def _needs_environment(code: str) -> bool:
    if not may_be_needed(code):
        return False
    from ...worker.packages.requirements import are_needed  # for sources with requirements alone

    return are_needed(code)
