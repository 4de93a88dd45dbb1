"""What tests of the sandbox's Batch submit and wait for."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from .conftest import PATIENCE, RunningSandbox

TERMINAL = ("SUCCEEDED", "FAILED")


class Batch:
    """Batch in a sandbox, with the queue and the job definition that the sandbox's stacks made."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.sandbox, self.client = sandbox, sandbox.client("batch")
        queues = self.client.describe_job_queues()["jobQueues"]
        self.queue = next(each["jobQueueName"] for each in queues if "InferenceQueue" in each["jobQueueName"])
        self.queue_arn = next(each["jobQueueArn"] for each in queues if each["jobQueueName"] == self.queue)
        self.definition = "trainyard-sandbox-inference"

    def submit(self, command: str | Sequence[str] = "true", **options: Any) -> str:
        """Submit a command (a text: of the shell); the job's id."""
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        overrides = {"command": words, **options.pop("overrides", {})}
        asked = {
            "jobName": f"job-{uuid.uuid4().hex[:8]}",
            "jobQueue": self.queue,
            "jobDefinition": self.definition,
            "containerOverrides": overrides,
        }
        return str(self.client.submit_job(**{**asked, **options})["jobId"])

    def describe(self, id: str) -> dict[str, Any]:
        """A job now."""
        [job] = self.client.describe_jobs(jobs=[id])["jobs"]
        return dict(job)

    def wait(self, id: str, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """A job as soon as it is as wanted."""
        deadline = time.monotonic() + PATIENCE
        # A child is there as soon as its parent was evaluated.
        while not ((found := self.client.describe_jobs(jobs=[id])["jobs"]) and holds(found[0])):
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return dict(found[0])

    def wait_for(self, id: str, *statuses: str) -> dict[str, Any]:
        """A job as soon as it has one of these statuses."""
        job = self.wait(id, lambda job: job["status"] in (*statuses, *TERMINAL))
        assert job["status"] in statuses, job
        return job

    def end_of(self, id: str) -> dict[str, Any]:
        """A job that has ended."""
        return self.wait(id, lambda job: job["status"] in TERMINAL)

    def log(self, job: dict[str, Any], attempt: int = -1) -> list[str]:
        """The lines that an attempt of a job wrote."""
        container = job["attempts"][attempt]["container"]
        group = job["container"]["logConfiguration"]["options"]["awslogs-group"]
        return self.lines(group, container["logStreamName"])

    def lines(self, group: str, stream: str) -> list[str]:
        """All messages of a log stream."""
        logs = self.sandbox.client("logs")
        answer = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)
        return [event["message"] for event in answer["events"]]
