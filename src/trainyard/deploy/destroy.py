"""Destroying an environment: what can be thrown away goes; what holds data stays; what runs is not lost."""

from __future__ import annotations

from collections.abc import Mapping

from ..aws.account.session import Session
from ..core.environments.environment import Environment
from ..core.environments.facts import NOTEBOOKS, job_name_prefix
from ..core.errors import AccountRefused, BadInput
from .preparation import facts_of
from .stacks.application import Application, failure, refuse_foreign
from .stacks.events import Reporter
from .stacks.notebooks import notebook_of
from .stacks.stacks import Stack, Stacks
from .stacks.steps import SUCCESSES

_BATCH_STATES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
_TRAINING_STATES = ("InProgress", "Stopping")
_SHOWN = 8


class Demolition:
    """An environment that is to be taken down."""

    def __init__(self, session: Session, environment: Environment, reporter: Reporter) -> None:
        self._session, self._environment, self._reporter = session, environment, reporter
        self._stacks = Stacks(session)
        self._application = Application(session, self._stacks, environment, reporter)
        self.facts: Mapping[str, str] = {}
        self._notebook = ""

    def find(self) -> Stack | None:
        """The stack that would go, None where there is none. Raises `BadInput` for one that is not ours."""
        stack = self._stacks.find(self._environment.stack_name)
        refuse_foreign(stack, self._environment)
        self.facts = facts_of(self._session, self._environment.name)
        self._notebook = notebook_of(self._stacks, stack) if stack else ""
        return stack

    def data_stack(self) -> Stack | None:
        """The stack that stays."""
        return self._stacks.find(self._environment.data_stack_name)

    def forecast(self) -> list[str]:
        """What goes and what stays, and why."""
        return [
            f"{self._environment.stack_name} goes: network, roles, Batch, alarms, dashboard"
            + (f", and the notebook {self._notebook}" if self._notebook else ""),
            *self._notebook_lines(),
            *self.remains(),
        ]

    def remains(self) -> list[str]:
        """What stays, and how to delete it by hand; [] where nothing does."""
        stack = self.data_stack()
        if stack is None:
            return []
        held = [
            f"  {title:<10} {self.facts[fact]}"
            for title, fact in (
                ("data sets", "dataset-bucket"),
                ("models", "model-bucket"),
                ("images", "repository-name"),
            )
            if fact in self.facts
        ]
        return [
            f"{stack.name} stays, since it holds data;"
            f" `trainyard deploy {self._environment.name}` goes on with it:",
            *held,
            "  To delete that too, for good: empty the buckets and the repository, switch the stack's"
            " termination protection off, delete the stack, then what it has left; all in AWS's console.",
        ]

    def refuse_running(self) -> None:
        """Raises `BadInput` where jobs of the environment are queued or running."""
        running = [*self._training_jobs(), *self._batch_jobs()]
        if running:
            shown = ", ".join(running[:_SHOWN]) + (", …" if len(running) > _SHOWN else "")
            raise BadInput(
                f"{self._environment.name} has {len(running)} unfinished job(s): {shown}; nothing was done",
                cure=f"wait for them, or stop each with `trainyard stop JOB --on {self._environment.name}`",
            )

    def carry_out(self, stack: Stack) -> None:
        """Take the stack down. Safe to call again. Raises `DeploymentFailed` with the first real cause."""
        if stack.moving and stack.status != "DELETE_IN_PROGRESS":
            self._reporter.say(f"{stack.name}: {stack.status} goes on; it goes when that has ended")
            self._application.follow(stack, "following")
        ending = self._application.delete(stack, again="trainyard destroy")
        if ending.status not in SUCCESSES:
            raise failure(stack.name, ending, "could not be deleted")
        self._reporter.say(f"{stack.name}: deleted")

    def _notebook_lines(self) -> list[str]:
        if not self._notebook:
            return []
        bucket = self.facts.get("model-bucket")
        where = f"s3://{bucket}/{NOTEBOOKS}" if bucket else f"the model bucket, under {NOTEBOOKS}"
        return [
            f"  the notebook's files, as of their last copy, are in {where}; what came after goes with it"
        ]

    def _training_jobs(self) -> list[str]:
        prefix = job_name_prefix(self._environment.prefix, self._environment.name)
        return [
            job["TrainingJobName"]
            for state in _TRAINING_STATES
            for page in self._session.pages(
                "sagemaker", "list_training_jobs", NameContains=prefix, StatusEquals=state
            )
            for job in page["TrainingJobSummaries"]
            if job["TrainingJobName"].startswith(prefix) and job["TrainingJobStatus"] == state
        ]

    def _batch_jobs(self) -> list[str]:
        queues = [self.facts[fact] for fact in ("job-queue-arn", "gpu-job-queue-arn") if fact in self.facts]
        return [job for queue in queues for state in _BATCH_STATES for job in self._jobs_of(queue, state)]

    def _jobs_of(self, queue: str, state: str) -> list[str]:
        try:
            pages = self._session.pages("batch", "list_jobs", jobQueue=queue, jobStatus=state)
            return [job["jobName"] for page in pages for job in page["jobSummaryList"]]
        except AccountRefused as error:
            if error.code == "ClientException":  # the queue went with a deletion that did not come to its end
                return []
            raise
