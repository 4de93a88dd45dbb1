"""DescribeJobs, ListJobs, job definitions and tags of AWS Batch."""

from __future__ import annotations

import time
import uuid
from typing import Any

import botocore.exceptions
import pytest

from .batch import Batch
from .conftest import RunningSandbox


@pytest.fixture(scope="module")
def batch(sandbox: RunningSandbox) -> Batch:
    return Batch(sandbox)


def refusal(call: Any, **parameters: Any) -> str:
    """What Batch refuses a call with."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    assert caught.value.response["Error"]["Code"] == "ClientException"
    return str(caught.value.response["Error"]["Message"])


def names(answer: dict[str, Any]) -> list[str]:
    """The names of the jobs in an answer of ListJobs."""
    return [each["jobName"] for each in answer["jobSummaryList"]]


def container(**more: Any) -> dict[str, Any]:
    """The properties of a container that needs nothing."""
    needs = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]
    return {"image": "busybox", "resourceRequirements": needs, **more}


def test_jobs_that_are_not_known_are_left_out(batch: Batch) -> None:
    id = batch.submit("true")
    found = batch.client.describe_jobs(jobs=["unknown", id, f"{id}:0"])["jobs"]
    assert [job["jobId"] for job in found] == [id]


def test_at_most_a_hundred_jobs_are_described_at_once(batch: Batch) -> None:
    words = refusal(batch.client.describe_jobs, jobs=[str(n) for n in range(101)])
    assert "Maximum number of jobs supported is  100" in words


def test_without_a_status_the_running_jobs_are_listed(batch: Batch) -> None:
    name = f"list-{uuid.uuid4().hex[:8]}"
    id = batch.submit("sleep 60", jobName=name)
    batch.wait_for(id, "RUNNING")
    assert name in names(batch.client.list_jobs(jobQueue=batch.queue))
    assert name in names(batch.client.list_jobs(jobQueue=batch.queue_arn, jobStatus="RUNNING"))
    assert name not in names(batch.client.list_jobs(jobQueue=batch.queue, jobStatus="SUCCEEDED"))
    batch.client.terminate_job(jobId=id, reason="listed")
    batch.end_of(id)
    [found] = [
        each
        for each in batch.client.list_jobs(jobQueue=batch.queue, jobStatus="FAILED")["jobSummaryList"]
        if each["jobId"] == id
    ]
    assert (found["statusReason"], found["isTerminated"]) == ("listed", True)
    assert found["createdAt"] <= found["startedAt"] <= found["stoppedAt"]


def test_jobs_are_found_by_name_and_by_its_beginning_in_any_case_newest_first(batch: Batch) -> None:
    prefix = f"Named-{uuid.uuid4().hex[:8]}"
    ids = []
    for number in range(3):
        ids.append(batch.submit("true", jobName=f"{prefix}-{number}"))
        time.sleep(0.002)  # creation times are told in milliseconds

    def found(value: str) -> list[str]:
        filters = [{"name": "JOB_NAME", "values": [value]}]
        return names(batch.client.list_jobs(jobQueue=batch.queue, filters=filters))

    assert found(f"{prefix.upper()}*") == [f"{prefix}-{number}" for number in (2, 1, 0)]
    assert found(f"{prefix}-1") == [f"{prefix}-1"]
    assert found(prefix) == []
    for id in ids:
        batch.end_of(id)


def test_jobs_are_found_by_definition_and_by_time(batch: Batch) -> None:
    definition = f"definition-{uuid.uuid4().hex[:8]}"
    batch.client.register_job_definition(
        jobDefinitionName=definition, type="container", containerProperties=container()
    )
    created = batch.end_of(batch.submit("true", jobDefinition=definition))["createdAt"]

    def count(name: str, value: str) -> int:
        filters = [{"name": name, "values": [value]}]
        jobs = batch.client.list_jobs(jobQueue=batch.queue, filters=filters)["jobSummaryList"]
        return sum(f"/{definition}:" in job["jobDefinition"] for job in jobs)

    assert count("JOB_DEFINITION", definition.upper()) == 1
    assert count("JOB_DEFINITION", f"{definition[:-2]}*") == 1
    assert count("JOB_DEFINITION", f"{definition}:2") == 0
    assert count("AFTER_CREATED_AT", str(created - 1)) == 1
    assert count("AFTER_CREATED_AT", str(created)) == 0
    assert count("BEFORE_CREATED_AT", str(created)) == 0
    assert count("BEFORE_CREATED_AT", str(created + 1)) == 1


def test_children_are_listed_page_by_page(batch: Batch) -> None:
    id = batch.submit("true", arrayProperties={"size": 7})
    batch.end_of(id)
    pages = batch.client.get_paginator("list_jobs").paginate(
        arrayJobId=id, jobStatus="SUCCEEDED", PaginationConfig={"PageSize": 3}
    )
    found = [[each["arrayProperties"]["index"] for each in page["jobSummaryList"]] for page in pages]
    assert found == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "Exactly one of"),
        ({"jobQueue": "x", "arrayJobId": "y"}, "Exactly one of"),
        ({"jobQueue": "nowhere"}, "JobQueue nowhere not found."),
        ({"arrayJobId": "nothing"}, "is not an array job"),
        ({"jobQueue": "x", "nextToken": "?"}, "not found"),
        ({"jobQueue": "x", "filters": [{"name": "COLOUR", "values": ["red"]}]}, "Filter name must be one of"),
        ({"jobQueue": "x", "filters": [{"name": "AFTER_CREATED_AT", "values": ["noon"]}]}, "milliseconds"),
    ],
)
def test_listing_is_refused_when_it_makes_no_sense(
    batch: Batch, parameters: dict[str, Any], words: str
) -> None:
    assert words in refusal(batch.client.list_jobs, **parameters)


def test_a_definition_gets_revisions_and_keeps_all_that_was_said(batch: Batch) -> None:
    name = f"revised-{uuid.uuid4().hex[:8]}"
    asked: dict[str, Any] = {
        "jobDefinitionName": name,
        "type": "container",
        "parameters": {"a": "b"},
        "containerProperties": container(environment=[{"name": "A", "value": "1"}]),
        "retryStrategy": {"attempts": 3, "evaluateOnExit": [{"onExitCode": "1", "action": "EXIT"}]},
        "timeout": {"attemptDurationSeconds": 100},
        "propagateTags": True,
        "platformCapabilities": ["EC2"],
        "tags": {"x": "y"},
    }
    revisions = [batch.client.register_job_definition(**asked)["revision"] for _ in range(2)]
    assert revisions == [1, 2]
    found = batch.client.describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]
    assert [each["revision"] for each in found] == [2, 1]
    newest = found[0]
    assert newest["status"] == "ACTIVE"
    assert newest["retryStrategy"]["evaluateOnExit"] == [{"onExitCode": "1", "action": "exit"}]
    for key in ("parameters", "timeout", "propagateTags", "platformCapabilities", "tags"):
        assert newest[key] == asked[key]
    assert newest["containerProperties"]["environment"] == [{"name": "A", "value": "1"}]


def test_a_name_means_the_newest_active_revision(batch: Batch) -> None:
    name = f"newest-{uuid.uuid4().hex[:8]}"
    for _ in range(3):
        batch.client.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=container()
        )
    batch.client.deregister_job_definition(jobDefinition=f"{name}:3")
    assert batch.describe(batch.submit("true", jobDefinition=name))["jobDefinition"].endswith(f"{name}:2")
    active = batch.client.describe_job_definitions(jobDefinitionName=name, status="ACTIVE")["jobDefinitions"]
    assert [each["revision"] for each in active] == [2, 1]
    assert "not in ACTIVE status" in refusal(batch.submit, jobDefinition=f"{name}:3")
    arn = active[0]["jobDefinitionArn"]
    assert batch.describe(batch.submit("true", jobDefinition=arn.rpartition(":")[0]))["jobDefinition"] == arn
    made = batch.client.register_job_definition(
        jobDefinitionName=name, type="container", containerProperties=container()
    )
    assert made["revision"] == 4


def test_definitions_are_described_page_by_page(batch: Batch) -> None:
    name = f"pages-{uuid.uuid4().hex[:8]}"
    for _ in range(5):
        batch.client.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=container()
        )
    pages = batch.client.get_paginator("describe_job_definitions").paginate(
        jobDefinitionName=name, PaginationConfig={"PageSize": 2}
    )
    assert [len(page["jobDefinitions"]) for page in pages] == [2, 2, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"jobDefinitionName": "no spaces"}, "name should match valid pattern"),
        ({"containerProperties": {}}, "should not be empty"),
        ({"containerProperties": {"image": "x"}}, "vcpus should be greater than 0"),
        ({"containerProperties": {**container(), "image": ""}}, "image must be provided"),
        ({"type": "multinode"}, "the sandbox does not emulate"),
        ({"platformCapabilities": ["FARGATE"]}, "the sandbox does not emulate"),
        ({"type": "container?"}, "Member must satisfy enum value set"),
        ({"timeout": {"attemptDurationSeconds": 1}}, "at least 60 seconds"),
        ({"retryStrategy": {}}, "RetryAttempts must be provided with retry strategy"),
    ],
)
def test_a_definition_that_batch_refuses_is_refused(batch: Batch, change: dict[str, Any], words: str) -> None:
    asked = {"jobDefinitionName": "refused", "type": "container", "containerProperties": container()}
    assert words in refusal(batch.client.register_job_definition, **{**asked, **change})


def test_jobs_and_definitions_can_be_tagged_and_children_cannot(batch: Batch) -> None:
    id = batch.submit("true", arrayProperties={"size": 2}, tags={"a": "1"})
    job = batch.end_of(id)
    for arn in (job["jobArn"], job["jobDefinition"]):
        before = batch.client.list_tags_for_resource(resourceArn=arn)["tags"]
        batch.client.tag_resource(resourceArn=arn, tags={"b": "2"})
        assert batch.client.list_tags_for_resource(resourceArn=arn)["tags"] == {**before, "b": "2"}
        batch.client.untag_resource(resourceArn=arn, tagKeys=["b"])
        assert batch.client.list_tags_for_resource(resourceArn=arn)["tags"] == before
    assert batch.describe(id)["tags"] == {"a": "1"}
    assert "cannot be tagged" in refusal(
        batch.client.tag_resource, resourceArn=f"{job['jobArn']}:0", tags={"b": "2"}
    )


def test_tags_of_queues_are_motos(batch: Batch) -> None:
    batch.client.tag_resource(resourceArn=batch.queue_arn, tags={"colour": "red"})
    assert batch.client.list_tags_for_resource(resourceArn=batch.queue_arn)["tags"]["colour"] == "red"


def test_many_jobs_are_ended_at_once(batch: Batch) -> None:
    ids = [batch.submit("sleep 60") for _ in range(3)]
    answer = batch.client.terminate_jobs(jobs=[*ids, "unknown"], reason="all of them")
    assert answer["successful"] == [*ids, "unknown"]
    assert {batch.end_of(id)["statusReason"] for id in ids} == {"all of them"}
