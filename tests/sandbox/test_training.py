"""Training jobs that really run: what SageMaker's clients see of them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .training import Training, statuses


def refusal(ask: Any, **parameters: Any) -> tuple[str, str]:
    """The code and the message with which SageMaker refuses."""
    with pytest.raises(ClientError) as refused:
        ask(**parameters)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_job_runs_and_its_model_and_output_are_archives_in_s3(training: Training) -> None:
    name = training.create(
        "mkdir /opt/ml/model/deep; echo weights > /opt/ml/model/deep/w; "
        "echo plot > /opt/ml/output/data/p; echo done"
    )
    job = training.completed(name)
    assert statuses(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    artifact = f"s3://{training.models}/models/{name}/output/model.tar.gz"
    assert job["ModelArtifacts"] == {"S3ModelArtifacts": artifact}
    assert training.archive(name, "model") == {"deep/w": b"weights\n"}
    assert training.archive(name, "output") == {"p": b"plot\n"}
    assert training.log(name) == ["done"]
    assert 1 <= job["TrainingTimeInSeconds"] == job["BillableTimeInSeconds"] < 10


def test_a_job_finds_what_sagemaker_tells_its_containers(training: Training) -> None:
    training.put("told/a.csv", "1,2\n")
    name = training.create(
        "cat /opt/ml/input/config/*.json; echo; cat /opt/ml/input/data/train/a.csv; env; cat /etc/hosts",
        HyperParameters={"lr": "0.1"},
        Environment={"COLOUR": "blue"},
        InputDataConfig=[training.channel("train", training.at("told/"), ContentType="text/csv")],
    )
    job = training.completed(name)
    log = training.log(name)
    text = "\n".join(log)
    assert json.dumps({"lr": "0.1"}) in text
    assert '"current_host": "algo-1", "current_instance_type": "ml.m5.large"' in text
    assert '"train": {"ContentType": "text/csv", "TrainingInputMode": "File"' in text
    assert "1,2" in log and "COLOUR=blue" in log and "127.0.0.1 algo-1" in log
    assert f"TRAINING_JOB_NAME={name}" in log and f"TRAINING_JOB_ARN={job['TrainingJobArn']}" in log
    assert f"AWS_REGION={training.sandbox.address['region']}" in log
    assert not [line for line in log if training.sandbox.address["secret_key"] in line]


def test_a_failure_has_the_text_that_the_script_left(training: Training) -> None:
    name = training.create("echo 'ValueError: no such column' > /opt/ml/output/failure; exit 3")
    job = training.end_of(name)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: ValueError: no such column, exit code: 3"


def test_a_program_that_is_not_there_is_told_as_a_container_engine_tells_it(training: Training) -> None:
    name = training.create("", algorithm={"ContainerEntrypoint": ["no-such-program"]})
    job = training.end_of(name)
    assert job["FailureReason"] == (
        'AlgorithmError: exec: "no-such-program": executable file not found in $PATH, exit code: 127'
    )


def test_an_image_without_an_entry_point_is_not_run_where_it_is_not_there(training: Training) -> None:
    name = training.create("", algorithm={"ContainerEntrypoint": None})
    reason = training.end_of(name)["FailureReason"]
    assert "the job names no ContainerEntrypoint, and its image example.com/none:1 is not on" in reason


def test_a_name_is_used_once(training: Training) -> None:
    name = training.create("true")
    code, message = refusal(training.create, script="true", name=name)
    assert code == "ResourceInUse" and name in message


def test_an_unknown_job_is_not_found(training: Training) -> None:
    client = training.client
    for ask in (client.describe_training_job, client.stop_training_job, client.delete_training_job):
        refused = refusal(ask, TrainingJobName="nobody-knows")
        assert refused == ("ValidationException", "Requested resource not found.")


def test_a_request_is_held_to_the_model_in_awss_words(training: Training) -> None:
    code, message = refusal(training.create, script="true", name="a_b")
    assert code == "ValidationException"
    assert message == (
        "1 validation error detected: Value 'a_b' at 'trainingJobName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    )
    _, message = refusal(
        training.create, script="true", HyperParameters={"a": "b" * 2501}, Environment={"A": "b" * 600}
    )
    assert message.startswith("2 validation errors detected: ") and message.endswith(
        "at 'environment.A.member' failed to satisfy constraint: "
        "Member must have length less than or equal to 512"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 5, "MaxWaitTimeInSeconds": 9}},
            "MaxWaitTimeInSeconds",
        ),
        ({"EnableManagedSpotTraining": True}, "Invalid MaxWaitTimeInSeconds. It must be present"),
        (
            {"RoleArn": "arn:aws:iam::123456789012:role/nobody"},
            "Could not assume role arn:aws:iam::123456789012",
        ),
        ({"algorithm": {"MetricDefinitions": [{"Name": "a", "Regex": "("}]}}, "Invalid regular expression"),
        ({"algorithm": {"TrainingInputMode": "Pipe"}, "pipe": True}, "does not emulate Pipe mode"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/etc"}}, "Checkpoint LocalPath /etc"),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "Duplicate tag keys"),
    ],
)
def test_what_makes_no_job_is_refused_at_once(training: Training, options: dict[str, Any], told: str) -> None:
    if options.pop("pipe", False):
        options["InputDataConfig"] = [training.channel("train", "s3://some/where")]
    name = f"refused-{uuid.uuid4().hex[:8]}"
    code, message = refusal(training.create, script="true", name=name, **options)
    assert code == "ValidationException" and told in message
    assert refusal(training.client.describe_training_job, TrainingJobName=name)[0] == "ValidationException"


def test_every_field_of_a_request_is_kept(training: Training) -> None:
    asked: dict[str, Any] = {
        "HyperParameters": {"a": "1"},
        "Environment": {"B": "2"},
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "EnableInterContainerTrafficEncryption": True,
        "EnableNetworkIsolation": True,
        "RetryStrategy": {"MaximumRetryAttempts": 2},
        "ExperimentConfig": {"ExperimentName": "e"},
        "CheckpointConfig": {"S3Uri": f"s3://{training.models}/checkpoints/kept/"},
    }
    metrics = [{"Name": "loss", "Regex": "loss=(.*)"}]
    name = training.create("true", algorithm={"MetricDefinitions": metrics}, **asked)
    job = training.completed(name)
    assert {key: job[key] for key in asked} == asked
    assert job["AlgorithmSpecification"]["MetricDefinitions"] == metrics


def test_jobs_are_listed_filtered_sorted_and_in_pages(training: Training) -> None:
    mark = uuid.uuid4().hex[:8]
    names = [
        training.create("true" if number else "exit 1", name=f"list-{mark}-{number}") for number in range(3)
    ]
    for name in names:
        training.end_of(name)
    pages = training.client.get_paginator("list_training_jobs").paginate(
        NameContains=mark, SortBy="CreationTime", SortOrder="Descending", PaginationConfig={"PageSize": 2}
    )
    found = [[each["TrainingJobName"] for each in page["TrainingJobSummaries"]] for page in pages]
    assert found == [[names[2], names[1]], [names[0]]]
    [failed] = training.client.list_training_jobs(NameContains=mark, StatusEquals="Failed")[
        "TrainingJobSummaries"
    ]
    assert failed["TrainingJobName"] == names[0] and failed["TrainingJobStatus"] == "Failed"
    assert not training.client.list_training_jobs(NameContains=mark, CreationTimeBefore=0)[
        "TrainingJobSummaries"
    ]
    refused = refusal(training.client.list_training_jobs, NextToken="nonsense!")
    assert refused == ("ValidationException", "The specified NextToken is invalid.")


def test_tags_of_a_job_are_added_listed_deleted_and_found_by_the_tagging_service(training: Training) -> None:
    mark = uuid.uuid4().hex[:8]
    name = training.create("true", Tags=[{"Key": "team", "Value": mark}])
    client, arn = training.client, training.completed(name)["TrainingJobArn"]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "x"}])
    assert {each["Key"] for each in client.list_tags(ResourceArn=arn)["Tags"]} == {"team", "stage"}
    client.delete_tags(ResourceArn=arn, TagKeys=["stage"])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": mark}]
    tagging = training.sandbox.client("resourcegroupstaggingapi")
    filters = [{"Key": "team", "Values": [mark]}]
    found = tagging.get_resources(TagFilters=filters, ResourceTypeFilters=["sagemaker:training-job"])
    assert [each["ResourceARN"] for each in found["ResourceTagMappingList"]] == [arn]


def test_jobs_are_searched_by_properties_tags_hyperparameters_and_metrics(training: Training) -> None:
    mark = uuid.uuid4().hex[:8]
    names = [
        training.create(
            f"echo loss={number}.5",
            name=f"search-{mark}-{number}",
            HyperParameters={"model.depth": str(number)},
            Tags=[{"Key": "mark", "Value": mark}],
            algorithm={"MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]},
        )
        for number in range(3)
    ]
    for name in names:
        training.completed(name)

    def search(*filters: tuple[str, str, str], **options: Any) -> list[str]:
        wanted = [("Tags.mark", "Equals", mark), *filters]
        keys = ("Name", "Operator", "Value")
        found = training.client.search(
            Resource="TrainingJob",
            SearchExpression={"Filters": [dict(zip(keys, each, strict=True)) for each in wanted]},
            **options,
        )
        return [each["TrainingJob"]["TrainingJobName"] for each in found["Results"]]

    assert search(SortBy="CreationTime", SortOrder="Ascending") == names
    assert search(SortBy="Metrics.loss", SortOrder="Descending") == names[::-1]
    assert search(("Metrics.loss", "GreaterThan", "1")) and set(
        search(("Metrics.loss", "LessThan", "1"))
    ) == {names[0]}
    assert search(("HyperParameters.model.depth", "Equals", "2")) == [names[2]]
    assert search(("TrainingJobName", "Contains", f"{mark}-1")) == [names[1]]
    assert search(("TrainingJobStatus", "NotEquals", "Completed")) == []
    assert len(search(MaxResults=2)) == 2


def test_a_job_that_has_ended_is_deleted_and_its_name_free_again(training: Training) -> None:
    name = training.create("true")
    training.completed(name)
    training.client.delete_training_job(TrainingJobName=name)
    training.create("true", name=name)
    training.completed(name)


def test_changes_of_a_job_are_told_to_eventbridge(training: Training) -> None:
    sqs, events = training.sandbox.client("sqs"), training.sandbox.client("events")
    name = f"event-{uuid.uuid4().hex[:8]}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["aws.sagemaker"],
        "detail": {"TrainingJobName": [name], "TrainingJobStatus": ["Failed"]},
    }
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    training.create("exit 7", name=name)
    training.end_of(name)
    [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"]
    event = json.loads(message["Body"])
    assert event["detail-type"] == "SageMaker Training Job State Change"
    assert event["detail"]["FailureReason"] == "AlgorithmError: , exit code: 7"
    assert event["resources"] == [event["detail"]["TrainingJobArn"]]
