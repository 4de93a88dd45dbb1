"""AWS's own command line against Batch in the sandbox."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from .batch import Batch
from .conftest import RunningSandbox


@pytest.fixture(scope="module")
def batch(sandbox: RunningSandbox) -> Batch:
    return Batch(sandbox)


def test_a_job_is_submitted_described_listed_read_and_terminated(
    aws: Callable[..., Any], batch: Batch
) -> None:
    name = f"cli-{uuid.uuid4().hex[:8]}"
    overrides = {"command": ["sh", "-c", "echo hello; sleep 60"]}
    submitted = aws(
        *("batch", "submit-job", "--job-name", name, "--job-queue", batch.queue),
        *("--job-definition", batch.definition, "--container-overrides", json.dumps(overrides)),
        *("--tags", "whose=mine"),
    )
    id = submitted["jobId"]
    assert submitted["jobName"] == name
    batch.wait_for(id, "RUNNING")
    [job] = aws("batch", "describe-jobs", "--jobs", id)["jobs"]
    assert (job["status"], job["tags"]) == ("RUNNING", {"whose": "mine"})
    listed = aws("batch", "list-jobs", "--job-queue", batch.queue)["jobSummaryList"]
    assert id in [each["jobId"] for each in listed]
    filtered = aws(
        *("batch", "list-jobs", "--job-queue", batch.queue, "--filters", f"name=JOB_NAME,values={name[:-2]}*")
    )
    assert [each["jobId"] for each in filtered["jobSummaryList"]] == [id]
    group = job["container"]["logConfiguration"]["options"]["awslogs-group"]
    events = aws("logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", "hello")[
        "events"
    ]
    assert job["container"]["logStreamName"] in [event["logStreamName"] for event in events]
    assert aws("batch", "terminate-job", "--job-id", id, "--reason", "seen enough") is None
    ended = batch.end_of(id)
    assert (ended["status"], ended["statusReason"]) == ("FAILED", "seen enough")


def test_an_array_and_what_waits_for_it(aws: Callable[..., Any], batch: Batch) -> None:
    place = ("--job-queue", batch.queue, "--job-definition", batch.definition)
    command = ("--container-overrides", json.dumps({"command": ["true"]}))
    array = aws("batch", "submit-job", "--job-name", "a", *place, *command, "--array-properties", "size=2")
    after = aws(
        *("batch", "submit-job", "--job-name", "b", *place, *command),
        *("--depends-on", f"jobId={array['jobId']}"),
    )
    assert batch.end_of(after["jobId"])["status"] == "SUCCEEDED"
    children = aws("batch", "list-jobs", "--array-job-id", array["jobId"], "--job-status", "SUCCEEDED")
    assert [each["jobId"] for each in children["jobSummaryList"]] == [
        f"{array['jobId']}:{n}" for n in range(2)
    ]


def test_a_refusal_is_told_as_on_aws(aws: Callable[..., Any], batch: Batch) -> None:
    told = aws(
        *("batch", "submit-job", "--job-name", "x", "--job-queue", "nowhere"),
        *("--job-definition", batch.definition),
        status=255,
    )
    assert "(ClientException) when calling the SubmitJob operation: JobQueue nowhere not found." in told


def test_definitions_are_registered_and_deregistered(aws: Callable[..., Any]) -> None:
    name = f"cli-{uuid.uuid4().hex[:8]}"
    container = {
        "image": "busybox",
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
    }
    made = aws(
        *("batch", "register-job-definition", "--job-definition-name", name, "--type", "container"),
        *("--container-properties", json.dumps(container)),
    )
    aws("batch", "deregister-job-definition", "--job-definition", made["jobDefinitionArn"])
    found = aws("batch", "describe-job-definitions", "--job-definition-name", name)["jobDefinitions"]
    assert [each["status"] for each in found] == ["INACTIVE"]
