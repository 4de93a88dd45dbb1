"""What a training run has to do: its hosts, attempt after attempt, then the model."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from ...core.ports.ledger import Model
from ...core.runs import outcomes
from ...core.runs.outcomes import Outcome
from ...core.runs.run import State
from ...machine import namespace
from ...worker.contract import contract
from ..home.home import Home
from ..ledger.journal import Journal
from ..tasks import child
from ..tasks.task import Member, TaskPlan
from .work import ENVIRONMENT, Work

TRAIN = "train"
PUBLISH = "publish"


class TrainingWork(Work):
    """All hosts of a training run start together and end together."""

    def __init__(self, row: sqlite3.Row, home: Home, journal: Journal) -> None:
        super().__init__(row, home, journal)
        self.training = self.run.training
        last = max((a for a in self.run.attempts if a.task == TRAIN), key=lambda a: a.number, default=None)
        # A supervisor that died between the script's end and the model's version left this to do. What other
        # code has trained is not this one's.
        self.has_trained = last is not None and last.state is State.SUCCEEDED and self._has_run(last.number)
        self._model: str | None = None

    def ready(self) -> Sequence[str]:
        if self.running or self.ending:
            return ()
        if self.has_trained:
            return (PUBLISH,)
        return (ENVIRONMENT,) if self.needs_environment else (TRAIN,)

    def plan(self, task: str) -> TaskPlan:
        number = self.next_number(TRAIN)
        if task == ENVIRONMENT:
            return self.plan_environment(number)
        if task == PUBLISH:
            return self._plan_publishing(number - 1)
        return self._plan_attempt(number)

    def task_ended(self, plan: TaskPlan, outcome: Outcome) -> None:
        self.reload_attempts()
        if plan.task == PUBLISH:
            self._published(plan.number, outcome)
        elif outcome.state is State.SUCCEEDED:
            self.has_trained = True
            if not self._wrote_a_model(plan.number):
                self._succeed()
        elif outcome.state is State.INTERRUPTED:
            self.set_state(State.INTERRUPTED, reason=outcome.reason)
        elif self.may_retry(TRAIN, outcome, self.training.retries):
            self.set_state(State.STARTING, reason=f"tried again after: {outcome.reason}")
        else:
            self.fail(outcome)

    def finishing_columns(self) -> dict[str, Any]:
        return {"model": self._model} if self._model else {}

    def _plan_attempt(self, number: int) -> TaskPlan:
        hosts = tuple(f"algo-{index + 1}" for index in range(self.training.resources.instance_count))
        spec = self._spec(hosts)
        os.makedirs(self.paths.checkpoints, exist_ok=True)
        os.makedirs(self.paths.attempt(number), exist_ok=True)
        with open(self._code_file(number), "w", encoding="ascii") as stream:
            stream.write(f"{self.run.code}\n")
        contract.remove_former(self.paths.checkpoints, hosts)
        self._say_once_that_paths_differ()
        limit, late = self._time_left()
        at = self.run.interrupt_at
        return TaskPlan(
            self.run.id,
            TRAIN,
            number,
            tuple(self._member(spec, host, number) for host in hosts),
            grace=float(self.training.grace),
            timeout=limit,
            late=late,
            memory_mib=self.training.resources.memory_mib,
            interruption=at[number - 1] if number <= len(at) else None,
            is_attempt=True,
            wants_lines=bool(self.training.metrics),
            redactor=self.redactor,
        )

    def _say_once_that_paths_differ(self) -> None:
        reason = namespace.refusal()
        said = os.path.join(self.home.supervisor, "said-no-namespaces")
        if reason and not os.path.exists(said):
            with open(said, "w", encoding="utf-8") as stream:
                stream.write(reason + "\n")
            self.warn(
                f"jobs have no namespace of their own here ({reason}): literal /opt/ml paths do not work and "
                "channels are symbolic links; use the SM_* variables"
            )

    def _spec(self, hosts: tuple[str, ...]) -> contract.TrainingSpec:
        encoded = {
            key: contract.encode_hyperparameter(value) for key, value in self.training.hyperparameters.items()
        }
        resources = self.training.resources
        return contract.TrainingSpec(
            job_name=self.run.id if self.run.launch == 1 else f"{self.run.id}-{self.run.launch}",
            entry_script=self.training.entry_script,
            hosts=hosts,
            hyperparameters=encoded,
            channels=tuple(self.run.channels),
            user_environment=self.environment,
            instance_type=resources.instance_type,
            network_interface="lo",
            master_addr="127.0.0.1" if namespace.refusal() else hosts[0],
            master_port=_free_port(),
            num_gpus=contract.count_gpus({**self.submission["variables"], **self.environment}),
        )

    def _member(self, spec: contract.TrainingSpec, host: str, number: int) -> Member:
        folder = self.paths.task(number, host)
        root = os.path.join(folder, "ml")
        os.makedirs(root, exist_ok=True)
        start = child.HostStart(
            spec=spec._replace(current_host=host),
            attempt=number,
            root=root,
            scratch=folder,
            checkpoints=self.paths.checkpoints,
            links=self.paths.links,
            channels={name: channel.uri for name, channel in self.run.channels.items()},
            code=self.code,
            interpreter=self.interpreter,
            variables=self.variables(TRAIN, number, {}),
            recorded=child.Recorded(
                self.home, {channel.uri: channel.hash for channel in self.run.channels.values()}
            ),
        )
        log = self.paths.log(number, host)
        return Member(host, log, lambda: child.start_host(start), root=root, script=spec.entry_script)

    def _time_left(self) -> tuple[float, Outcome]:
        """Seconds until SageMaker's StoppingCondition would end the attempt, and what would become of it."""
        spot = self.training.spot
        submitted = float(self.submission["time"])
        # A resume is another job to SageMaker: what ran before it does not count.
        spent = sum(
            (attempt.finished or attempt.started) - attempt.started
            for attempt in self.run.attempts
            if attempt.started and attempt.started >= submitted
        )
        runtime = max(spot.max_runtime - spent, 0.001)
        waited = time.time() - submitted
        if spot.enabled and spot.max_wait - waited < runtime:
            left = max(spot.max_wait - waited, 0.001)
            return left, outcomes.waited_too_long(spot)
        return runtime, outcomes.ran_too_long(spot)

    def _code_file(self, number: int) -> str:
        return os.path.join(self.paths.attempt(number), "code")

    def _has_run(self, number: int) -> bool:
        """Whether an attempt ran the code that the run has now; of an earlier version's it is not known."""
        try:
            with open(self._code_file(number), encoding="ascii") as stream:
                return stream.read().strip() == self.run.code
        except FileNotFoundError:
            return True

    def _model_folders(self, number: int) -> list[str]:
        count = self.training.resources.instance_count
        roots = (os.path.join(self.paths.task(number, f"algo-{n + 1}"), "ml", "model") for n in range(count))
        return [folder for folder in roots if os.path.isdir(folder)]

    def _wrote_a_model(self, number: int) -> bool:
        return any(_has_content(folder) for folder in self._model_folders(number))

    def _plan_publishing(self, number: int) -> TaskPlan:
        folders, merged = self._model_folders(number), self.paths.merged(number)
        return self.plan_step(
            PUBLISH, number, lambda: child.publish(folders, merged, self._published_file(number))
        )

    def _published_file(self, number: int) -> str:
        return os.path.join(self.paths.attempt(number), "model.json")

    def _published(self, number: int, outcome: Outcome) -> None:
        if outcome.state is State.INTERRUPTED:
            return
        if outcome.state is not State.SUCCEEDED:
            ending = outcomes.model_not_kept(self.run, outcome.reason)
            self.fail(ending._replace(bad_input=outcome.bad_input))
            return
        with open(self._published_file(number), encoding="utf-8") as stream:
            facts = json.load(stream)
        if facts["files"]:
            self._catalogue(number, facts)
        self._succeed()

    def _catalogue(self, number: int, facts: dict[str, Any]) -> None:
        record = Model(
            name=self.run.name,
            version=0,
            run=self.run.id,
            path="",
            created=time.time(),
            hash=facts["hash"],
            bytes=facts["bytes"],
            files=facts["files"],
            code=self.run.code,
            data={name: channel.dataset or channel.uri for name, channel in self.run.channels.items()},
            hyperparameters=self.training.hyperparameters,
            metrics=self.metrics,
        )
        version = self.journal.add_model(record, self.paths.merged(number), self.paths.model)
        self._model = f"{self.run.name}@{version}"

    def _succeed(self) -> None:
        self.ending = outcomes.completed(self.run.attempts)


def _has_content(folder: str) -> bool:
    try:
        return bool(os.listdir(folder))
    except PermissionError:
        # Closed by the script itself; publishing opens it.
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
