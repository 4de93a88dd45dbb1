"""What an inference run has to do: plan the shards, predict each, commit the parts."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import deque
from collections.abc import Sequence
from typing import Any

from ...core.files import archives
from ...core.runs import outcomes
from ...core.runs.outcomes import Outcome
from ...core.runs.run import State
from ...worker.protocol import ATTEMPT_VARIABLE, COMMIT, PART, PLAN, SHARD, index_of, shard_name
from ...worker.reasons import TIMED_OUT
from ..home.home import Home
from ..ledger.journal import Journal
from ..tasks import child
from ..tasks.task import Member, TaskPlan
from .work import ENVIRONMENT, Work

SHARD_GRACE = 30.0
"""Seconds between SIGTERM and SIGKILL, as AWS Batch gives a job (Batch User Guide, "Job timeouts")."""


class InferenceWork(Work):
    """Each shard runs, fails and is tried again on its own."""

    def __init__(self, row: sqlite3.Row, home: Home, journal: Journal) -> None:
        super().__init__(row, home, journal)
        self.inference = self.run.inference
        self._done = {
            attempt.task for attempt in self.run.attempts if attempt.state is State.SUCCEEDED
        } & self._kept()
        self._pending = deque(
            index for index in range(self.inference.shards) if shard_name(index) not in self._done
        )
        self._rows: dict[str, int] = {}
        if self._is_planned:
            self._take_plan()

    def ready(self) -> Sequence[str]:
        if self.ending:
            return ()
        if not self._is_planned:
            if self.running:
                return ()
            return (ENVIRONMENT,) if self.needs_environment else (PLAN,)
        if self.needs_environment:
            return () if self.running else (ENVIRONMENT,)
        if self._pending:
            # The supervisor asks again after each start: more than one needs no list of thousands.
            return (shard_name(self._pending[0]),)
        all_done = len(self._done) == self.inference.shards
        return (COMMIT,) if all_done and not self.running else ()

    def plan(self, task: str) -> TaskPlan:
        if task == ENVIRONMENT:
            return self.plan_environment(self.next_number(ENVIRONMENT))
        if task == PLAN:
            return self._plan_planning()
        if task == COMMIT:
            return self._plan_commit()
        return self._plan_shard(self._pending.popleft())

    def task_ended(self, plan: TaskPlan, outcome: Outcome) -> None:
        if outcome.state is State.SUCCEEDED:
            self._succeeded(plan)
        elif plan.task in (PLAN, COMMIT):
            if outcome.state is State.FAILED:
                self.fail(outcome)
        elif outcome.state is State.INTERRUPTED or self.may_retry(plan.task, outcome, self.inference.retries):
            self._pending.appendleft(index_of(plan.task))
        else:
            self.fail(outcome, prefix=f"{plan.task}: ")

    def finishing_columns(self) -> dict[str, Any]:
        return dict(self._rows)

    @property
    def _is_planned(self) -> bool:
        return os.path.exists(self.paths.plan)

    def _succeeded(self, plan: TaskPlan) -> None:
        if plan.task == PLAN:
            self._take_plan()
            self.journal.set_run(self.run.id, **self._rows)
        elif plan.task == COMMIT:
            summary = self._read(self.paths.summary)
            self._rows = {"rows_in": summary["rows_in"], "rows_out": summary["rows_out"]}
            self.ending = outcomes.predicted(summary["rows_out"])
        else:
            self._done.add(plan.task)

    def _take_plan(self) -> None:
        plan = self._read(self.paths.plan)
        self._rows["rows_in"] = plan["rows"]
        for line in plan.get("warnings", ()):
            self.warn(line)

    def _plan_planning(self) -> TaskPlan:
        spec = {
            "input": self.run.input,
            "shards": self.inference.shards,
            "plan": self.paths.plan,
            "handler": self.inference.handler,
            "csv": self.inference.csv,
        }
        return self._step(PLAN, spec)

    def _plan_commit(self) -> TaskPlan:
        results = [self.paths.result(index) for index in range(self.inference.shards)]
        spec = {
            "plan": self.paths.plan,
            "run": self.run.id,
            "output": self.run.output,
            "results": results,
            "summary": self.paths.summary,
        }
        return self._step(COMMIT, spec)

    def _step(self, verb: str, spec: dict[str, Any]) -> TaskPlan:
        os.makedirs(self.paths.shards, exist_ok=True)
        member = self._member(verb, verb, 1, spec, model="")
        return TaskPlan(self.run.id, verb, 1, (member,))

    def _plan_shard(self, index: int) -> TaskPlan:
        task = shard_name(index)
        number = self.next_number(task)
        spec = {
            "plan": self.paths.plan,
            "index": index,
            "handler": self.inference.handler,
            "batch_size": self.inference.batch_size,
            "output": self.run.output,
            "result": self.paths.result(index),
            "progress": self.paths.progress(index),
            "attempt": number,
            "secrets": list(self.values),
            "done": self.paths.done(number, task),
        }
        timeout = float(self.inference.timeout)
        return TaskPlan(
            self.run.id,
            task,
            number,
            (self._member(SHARD, task, number, spec, model=self._model),),
            grace=SHARD_GRACE,
            timeout=timeout,
            late=outcomes.of(TIMED_OUT, timeout),
            is_attempt=True,
            redactor=self.redactor,
        )

    def _member(self, verb: str, task: str, number: int, spec: dict[str, Any], *, model: str) -> Member:
        folder = self.paths.task(number, task)
        os.makedirs(folder, exist_ok=True)
        report = self.paths.report(number, task)
        own = {
            **self.environment,
            "AWS_BATCH_JOB_ARRAY_INDEX": str(spec.get("index", 0)),
            "AWS_BATCH_JOB_ATTEMPT": str(number),
            ATTEMPT_VARIABLE: str(number),
        }
        start = child.WorkerStart(
            verb=verb,
            spec={"verb": verb, "report": report, **spec},
            folder=folder,
            links=self.paths.links,
            code=self.code,
            model=model,
            interpreter=self.interpreter,
            variables=self.variables(task, number, own),
            recorded=child.Recorded(self.home, self._recorded(verb)),
        )
        most = self.inference.model_size_gb
        archive = self.run.model_uri if verb == PLAN and self._model != self.run.model_uri else ""
        return Member(
            task,
            self.paths.log(number, task),
            lambda: _start(start, archive, self._model, most),
            report,
            done=spec.get("done", ""),
        )

    def _recorded(self, verb: str) -> dict[str, str]:
        """What a verb reads, by its path; shards ask for the input's files as the plan has found them."""
        read = {self.run.model_uri: self.run.model_hash} if verb in (PLAN, SHARD) else {}
        return {**read, self.run.input: self.run.input_hash} if verb == PLAN else read

    @property
    def _model(self) -> str:
        """The model's folder: where it lies, or where its archive is unpacked when the run is planned."""
        uri = self.run.model_uri
        return uri if os.path.isdir(uri) else os.path.join(self.paths.folder, "model")

    def _kept(self) -> set[str]:
        """The shards whose result and part are still there: what a person took away is made again."""
        results = {index_of(name) for name in _names(self.paths.shards) if name.endswith(".json")}
        parts = {index_of(name) for name in _names(self.run.output or "") if name.startswith(PART)}
        return {shard_name(index) for index in results & parts}

    @staticmethod
    def _read(path: str) -> Any:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)


def _start(start: child.WorkerStart, archive: str, model: str, most: int) -> int:
    if archive and not os.path.isdir(model):
        archives.unpack(archive, model, model_size_gb=most)
    return child.start_worker(start)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
