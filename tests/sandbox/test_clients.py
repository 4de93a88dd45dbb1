"""Clients of AWS as they are: what SageMaker's Python SDK 3 asks for one `ModelTrainer.train`, in its order;
the waiters and paginators of boto3; the AWS CLI on the command line.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError, WaiterError

from .batch import Batch
from .conftest import RunningSandbox
from .training import GROUP, Training

QUICK = {"Delay": 1, "MaxAttempts": 60}
PLAIN_ACTIONS = [
    "ecr:GetAuthorizationToken",
    "cloudwatch:PutMetricData",
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeVpcs",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeSubnets",
    "ec2:DescribeSecurityGroups",
]
"""What the SDK asks of a role without a resource."""

# The SDK's own driver in short: the script of the channel `sm_drivers`, which S3 gives without a mode, is
# made executable where it lies, looks for a Python with pip, writes the environment beside the channels, and
# runs the code.
DRIVER = """#!/bin/bash
set -e
SM_PYTHON_CMD=$(command -v python3)
SM_PIP_CMD=$(command -v pip3 || command -v pip)
$SM_PYTHON_CMD --version
cat /opt/ml/input/config/resourceconfig.json
echo
cat /opt/ml/input/config/inputdataconfig.json
echo
$SM_PYTHON_CMD /opt/ml/input/data/sm_drivers/scripts/environment.py
source /opt/ml/input/sm_training.env
cd /opt/ml/input/data/code
exec $SM_PYTHON_CMD train.py
"""
ENVIRONMENT = """
import json
settings = json.load(open("/opt/ml/input/config/hyperparameters.json"))
with open("/opt/ml/input/sm_training.env", "w") as file:
    file.write("export SM_HP_LR=%s\\n" % settings["lr"])
open("/opt/ml/input/data/sm_drivers/scripts/seen", "w").close()
"""
SCRIPT = """
import os, sys
open("beside.py", "w").write("value = 5")
import beside
open("/opt/ml/model/weights", "w").write(os.environ["SM_HP_LR"])
print(sys.prefix, beside.value, open("/opt/ml/input/data/train/a.csv").read())
print("finished")
"""


def test_what_sagemakers_sdk_sends_for_one_training_is_answered_to_the_end(training: Training) -> None:
    bucket, prefix = default_bucket(training.sandbox)
    may_write(training, bucket)
    name = f"digits-{uuid.uuid4().hex[:8]}"
    below = f"{prefix}/digits/{prefix}/digits/{name}/input"
    files = {"train/a.csv": "1,2", "code/train.py": SCRIPT, "sm_drivers/sm_train.sh": DRIVER}
    for key, content in {**files, "sm_drivers/scripts/environment.py": ENVIRONMENT}.items():
        training.s3.put_object(
            Bucket=bucket, Key=f"{below}/{key}", Body=content.encode(), ChecksumAlgorithm="CRC32"
        )
    training.client.create_training_job(
        **job(training, name, f"s3://{bucket}/{below}", f"s3://{bucket}/{prefix}")
    )
    done = training.completed(name)
    assert (
        done["ModelArtifacts"]["S3ModelArtifacts"]
        == f"s3://{bucket}/{prefix}/digits/{name}/output/model.tar.gz"
    )
    assert training.archive(f"digits/{name}", "model") == {"weights": b"0.1"}
    lines = logs(training, name)
    assert lines[-2:] == [f"{sys.prefix} 5 1,2", "finished"]


def default_bucket(sandbox: RunningSandbox) -> tuple[str, str]:
    """The bucket and the prefix that the file behind SAGEMAKER_USER_CONFIG_OVERRIDE names."""
    text = (sandbox.folder / "home" / "sagemaker.yaml").read_text()
    found = yaml.safe_load(text)["SageMaker"]["PythonSDK"]["Modules"]["Session"]
    return found["DefaultS3Bucket"], found["DefaultS3ObjectKeyPrefix"]


def may_write(training: Training, bucket: str) -> None:
    """Ask what the SDK asks before it uploads: it goes on where a role may not, and warns."""
    iam = training.sandbox.client("iam")
    found = iam.simulate_principal_policy(PolicySourceArn=training.role, ActionNames=PLAIN_ACTIONS)
    assert [each["EvalActionName"] for each in found["EvaluationResults"]] == PLAIN_ACTIONS
    assert iam.get_role(RoleName=training.role.rpartition("/")[2])["Role"]["Arn"] == training.role
    assert bucket in [each["Name"] for each in training.s3.list_buckets()["Buckets"]]
    [written] = iam.simulate_principal_policy(
        PolicySourceArn=training.role, ActionNames=["s3:PutObject"], ResourceArns=[f"arn:aws:s3:::{bucket}/*"]
    )["EvaluationResults"]
    assert written["EvalResourceName"] == f"arn:aws:s3:::{bucket}/*"


def job(training: Training, name: str, inputs: str, outputs: str) -> dict[str, Any]:
    """The SDK's CreateTrainingJob, member for member."""
    driver = "/opt/ml/input/data/sm_drivers/sm_train.sh"
    channels = [training.channel(each, f"{inputs}/{each}") for each in ("train", "code", "sm_drivers")]
    return {
        "TrainingJobName": name,
        "HyperParameters": {"lr": "0.1", "name": "a b"},
        "AlgorithmSpecification": {
            "TrainingInputMode": "File",
            "TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/my:1",
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": ["-c", f"chmod +x {driver} && {driver}"],
        },
        "RoleArn": training.role,
        "InputDataConfig": [{**each, "InputMode": "File"} for each in channels],
        "OutputDataConfig": {"S3OutputPath": f"{outputs}/digits", "CompressionType": "GZIP"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }


def logs(training: Training, name: str) -> list[str]:
    """A job's lines as the SDK reads them: until a token comes again."""
    client = training.sandbox.client("logs")
    [stream] = client.describe_log_streams(
        logGroupName=GROUP, logStreamNamePrefix=f"{name}/", orderBy="LogStreamName"
    )["logStreams"]
    lines, token, asked = [], "", {"logGroupName": GROUP, "logStreamName": stream["logStreamName"]}
    while True:
        page = client.get_log_events(**asked, startFromHead=True, **({"nextToken": token} if token else {}))
        lines += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token:
            return lines
        token = page["nextForwardToken"]


def test_the_waiter_for_a_job_waits_for_its_end_and_tells_a_failure(training: Training) -> None:
    waiter = training.client.get_waiter("training_job_completed_or_stopped")
    good, bad, stopped = (
        training.create("exit 0"),
        training.create("exit 3"),
        training.create("exec sleep 100"),
    )
    waiter.wait(TrainingJobName=good, WaiterConfig=QUICK)
    with pytest.raises(WaiterError, match='"Failed"'):
        waiter.wait(TrainingJobName=bad, WaiterConfig=QUICK)
    training.client.stop_training_job(TrainingJobName=stopped)
    waiter.wait(TrainingJobName=stopped, WaiterConfig=QUICK)
    assert training.describe(stopped)["TrainingJobStatus"] == "Stopped"


def test_who_tails_a_group_gets_the_streams_of_a_prefix_by_time_and_each_event_once(
    training: Training,
) -> None:
    group, streams = f"/tail/{uuid.uuid4().hex}", ("a/1", "a/2", "b/1")
    client = training.sandbox.client("logs")
    client.create_log_group(logGroupName=group)
    [made] = client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    now = made["creationTime"]
    for index, stream in enumerate(streams):
        client.create_log_stream(logGroupName=group, logStreamName=stream)
        events = [{"timestamp": now + 10 * each + index, "message": f"{each} {stream}"} for each in range(4)]
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    # As `aws logs tail` asks, with a page for each three events.
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group,
        interleaved=True,
        startTime=0,
        logStreamNamePrefix="a/",
        PaginationConfig={"PageSize": 3},
    )
    found = [event for page in pages for event in page["events"]]
    assert [each["message"] for each in found] == [
        f"{n} {stream}" for n in range(4) for stream in ("a/1", "a/2")
    ]
    assert len({each["eventId"] for each in found}) == 8
    by_arn = client.filter_log_events(
        logGroupIdentifier=made["arn"].removesuffix(":*"), logStreamNames=["b/1"]
    )
    assert [each["message"] for each in by_arn["events"]] == [f"{n} b/1" for n in range(4)]
    assert client.filter_log_events(logGroupName=group, logStreamNamePrefix="c")["events"] == []


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (
            {"logGroupName": GROUP, "logStreamNames": ["a"], "logStreamNamePrefix": "a"},
            "InvalidParameterException",
        ),
        ({"logGroupName": GROUP, "logGroupIdentifier": GROUP}, "InvalidParameterException"),
        ({}, "InvalidParameterException"),
        ({"logGroupName": "/no/such/group"}, "ResourceNotFoundException"),
        ({"logGroupName": GROUP, "startFromHead": False}, "NotImplemented"),
    ],
)
def test_a_search_in_logs_is_refused_as_cloudwatch_does(
    sandbox: RunningSandbox, asked: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError, match=code):
        sandbox.client("logs").filter_log_events(**asked)


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("batch", "list_consumable_resources", {}),
        ("braket", "search_devices", {"filters": []}),
        ("frauddetector", "get_detectors", {}),
    ],
)
def test_a_service_or_a_path_that_moto_has_not_got_is_named(
    sandbox: RunningSandbox, service: str, operation: str, parameters: dict[str, Any]
) -> None:
    with pytest.raises(ClientError, match=rf"NotImplemented.*does not emulate {service}:") as error:
        getattr(sandbox.client(service), operation)(**parameters)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_the_cli_trains_lists_and_stops(training: Training, aws: Callable[..., Any]) -> None:
    name = training.create("echo up; exec sleep 100")
    training.wait_for_line(name, "up")
    listed = aws("sagemaker", "list-training-jobs", "--name-contains", name)["TrainingJobSummaries"]
    assert [(each["TrainingJobName"], each["TrainingJobStatus"]) for each in listed] == [(name, "InProgress")]
    aws("sagemaker", "stop-training-job", "--training-job-name", name)
    training.end_of(name)
    told = aws("sagemaker", "describe-training-job", "--training-job-name", name)
    assert told["TrainingJobStatus"] == "Stopped"
    found = aws(
        "logs", "filter-log-events", "--log-group-name", GROUP, "--log-stream-name-prefix", f"{name}/"
    )
    assert [each["message"] for each in found["events"]] == ["up"]
    refused = aws("sagemaker", "list-labeling-jobs", status=255)
    assert "(NotImplemented) when calling the ListLabelingJobs operation" in refused


def test_a_job_cannot_change_the_python_that_runs_the_sandbox(training: Training) -> None:
    intruder = Path(sys.prefix) / f"intruder-{uuid.uuid4().hex[:8]}"
    intrude = f"touch {intruder} || echo refused; python3 -m venv --without-pip ~/venv && echo ok"
    name = training.create(intrude)
    batch = Batch(training.sandbox)
    done = batch.end_of(batch.submit(["/bin/sh", "-c", intrude]))
    training.completed(name)
    for first, *others in (training.log(name), batch.log(done)):
        assert "Read-only file system" in first and others == ["refused", "ok"]
    assert not intruder.exists()
