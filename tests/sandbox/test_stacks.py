"""The stacks that a sandbox begins with are ours, and everything in them is there for the API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from trainyard.core.environments.environment import Environment
from trainyard.core.environments.facts import DATA_PARAMETERS, PLATFORM_PARAMETERS
from trainyard.infra.synthesis import synthesise
from trainyard.sandbox.server import stacks

from .conftest import RunningSandbox

DATA, PLATFORM = "trainyard-sandbox-data", "trainyard-sandbox"


def resources(sandbox: RunningSandbox, stack: str) -> dict[str, dict[str, Any]]:
    found = sandbox.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    return {each["LogicalResourceId"]: each for each in found}


def physical(sandbox: RunningSandbox, name: str) -> str:
    """What a resource of either stack is called."""
    both = {**resources(sandbox, DATA), **resources(sandbox, PLATFORM)}
    return str(both[name]["PhysicalResourceId"])


def properties(name: str) -> dict[str, Any]:
    """The properties of a resource of either template."""
    both = [json.loads(stacks.template(file))["Resources"] for file in stacks.FILES]
    found: dict[str, Any] = {**both[0], **both[1]}[name]["Properties"]
    return found


def test_the_templates_are_those_of_a_fresh_synthesis() -> None:
    """`make templates` writes them anew."""
    fresh = synthesise(Environment(name="sandbox"))
    assert [stacks.template(file).rstrip("\n") for file in stacks.FILES] == [each.body for each in fresh]
    assert list(stacks.FILES.values()) == [each.name for each in fresh]


@pytest.mark.parametrize("file", stacks.FILES)
def test_every_resource_of_a_template_is_made(sandbox: RunningSandbox, file: str) -> None:
    expected = json.loads(stacks.template(file))["Resources"]
    found = resources(sandbox, stacks.FILES[file])
    assert {name: each["ResourceType"] for name, each in found.items()} == {
        name: each["Type"] for name, each in expected.items()
    }
    assert {each["ResourceStatus"] for each in found.values()} == {"CREATE_COMPLETE"}
    assert all(each["PhysicalResourceId"] for each in found.values())


def test_the_stacks_tell_what_they_are(sandbox: RunningSandbox) -> None:
    found = {each["StackName"]: each for each in sandbox.client("cloudformation").describe_stacks()["Stacks"]}
    assert {DATA, PLATFORM} <= set(found)
    for name, protected in ((DATA, True), (PLATFORM, False)):
        assert found[name]["StackStatus"] == "CREATE_COMPLETE"
        assert found[name]["EnableTerminationProtection"] is protected
        assert found[name]["Tags"] == [{"Key": "trainyard:environment", "Value": "trainyard-sandbox"}]
    told = {each["ParameterKey"]: each["ParameterValue"] for each in found[PLATFORM]["Parameters"]}
    assert told["ModelBucket"] == physical(sandbox, "StorageModelBucket")


def test_all_facts_are_published(sandbox: RunningSandbox) -> None:
    pages = sandbox.client("ssm").get_paginator("get_parameters_by_path").paginate(Path="/trainyard/sandbox")
    facts = {each["Name"].rpartition("/")[2]: each["Value"] for page in pages for each in page["Parameters"]}
    assert facts.keys() == {*DATA_PARAMETERS, *PLATFORM_PARAMETERS, "notebook-name"}
    assert all(facts.values())
    assert facts["dataset-bucket"] == physical(sandbox, "StorageDatasetBucket")
    assert facts["job-queue-arn"] == physical(sandbox, "InferenceQueue")
    assert facts["job-definition-arn"].endswith(":job-definition/trainyard-sandbox-inference:1")
    assert facts["training-role-arn"].endswith(physical(sandbox, "TrainingRole"))
    assert facts["subnet-ids"].split(",") == [physical(sandbox, f"NetworkPrivateSubnet{n}") for n in (1, 2)]
    assert facts["repository-uri"].endswith(f".dkr.ecr.us-east-1.amazonaws.com/{facts['repository-name']}")


def test_a_bucket_is_as_its_template_says(sandbox: RunningSandbox) -> None:
    s3, bucket = sandbox.client("s3"), {"Bucket": physical(sandbox, "StorageModelBucket")}
    wanted = properties("StorageModelBucket")
    assert s3.get_bucket_versioning(**bucket)["Status"] == "Enabled"
    assert s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"] == dict.fromkeys(
        wanted["PublicAccessBlockConfiguration"], True
    )
    [rule] = s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    [owned] = s3.get_bucket_ownership_controls(**bucket)["OwnershipControls"]["Rules"]
    assert owned == {"ObjectOwnership": "BucketOwnerEnforced"}
    rules = s3.get_bucket_lifecycle_configuration(**bucket)["Rules"]
    assert [rule["ID"] for rule in rules] == [
        rule["Id"] for rule in wanted["LifecycleConfiguration"]["Rules"]
    ]
    models = next(rule for rule in rules if rule["Filter"] == {"Prefix": "models/"})
    assert models["NoncurrentVersionTransitions"] == [{"NoncurrentDays": 180, "StorageClass": "GLACIER"}]
    assert models["NoncurrentVersionExpiration"] == {"NoncurrentDays": 365}
    assert s3.get_bucket_logging(**bucket)["LoggingEnabled"] == {
        "TargetBucket": physical(sandbox, "StorageAccessLogBucket"),
        "TargetPrefix": "ModelBucket/",
    }


def test_a_bucket_keeps_versions(sandbox: RunningSandbox) -> None:
    s3, bucket = sandbox.client("s3"), {"Bucket": physical(sandbox, "StorageModelBucket")}
    for body in (b"1", b"2"):
        s3.put_object(**bucket, Key="checkpoints/versions", Body=body)
    versions = s3.list_object_versions(**bucket, Prefix="checkpoints/versions")["Versions"]
    assert [each["IsLatest"] for each in versions] == [True, False]


def test_a_role_has_its_policies(sandbox: RunningSandbox) -> None:
    iam, role = sandbox.client("iam"), {"RoleName": physical(sandbox, "TrainingRole")}
    assert iam.list_role_policies(**role)["PolicyNames"] == ["trainyard"]
    [attached] = iam.list_attached_role_policies(**role)["AttachedPolicies"]
    assert attached["PolicyArn"] == physical(sandbox, "PullImagesPolicy")
    document = iam.get_role_policy(**role, PolicyName="trainyard")["PolicyDocument"]
    assert f"arn:aws:s3:::{physical(sandbox, 'StorageModelBucket')}/checkpoints/*" in json.dumps(document)
    notebook = {"RoleName": physical(sandbox, "NotebookRole")}
    assert set(iam.list_role_policies(**notebook)["PolicyNames"]) == {"trainyard", "stop-itself"}


def test_batch_has_its_queue_machines_and_definition(sandbox: RunningSandbox) -> None:
    batch = sandbox.client("batch")
    [queue] = [
        each
        for each in batch.describe_job_queues()["jobQueues"]
        if each["jobQueueArn"] == physical(sandbox, "InferenceQueue")
    ]
    assert (queue["state"], queue["status"], queue["priority"]) == ("ENABLED", "VALID", 1)
    order = [each["computeEnvironment"] for each in queue["computeEnvironmentOrder"]]
    assert order == [physical(sandbox, f"Inference{kind}Machines") for kind in ("Spot", "OnDemand")]
    found = batch.describe_compute_environments(computeEnvironments=order)["computeEnvironments"]
    kinds = {each["computeResources"]["type"]: each["computeResources"]["maxvCpus"] for each in found}
    assert kinds == {"SPOT": 256, "EC2": 32}
    arn = physical(sandbox, "InferenceJobDefinition")
    [definition] = batch.describe_job_definitions(jobDefinitions=[arn])["jobDefinitions"]
    assert definition["timeout"] == {"attemptDurationSeconds": 3600}
    assert len(definition["retryStrategy"]["evaluateOnExit"]) == 4
    container = definition["containerProperties"]
    assert container["jobRoleArn"].endswith(physical(sandbox, "InferenceJobRole"))
    assert container["logConfiguration"]["options"] == {
        "awslogs-group": physical(sandbox, "InferenceLogGroup"),
        "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": "inference",
    }
    assert definition["tags"] == {"trainyard:environment": "trainyard-sandbox"}


def test_log_groups_keep_a_month(sandbox: RunningSandbox) -> None:
    groups = sandbox.client("logs").describe_log_groups()["logGroups"]
    kept = {each["logGroupName"]: each.get("retentionInDays") for each in groups}
    assert kept["/aws/sagemaker/TrainingJobs"] == 30
    assert kept[physical(sandbox, "InferenceLogGroup")] == 30


def test_what_watches_is_there(sandbox: RunningSandbox) -> None:
    events, topic = sandbox.client("events"), physical(sandbox, "MonitoringTopic")
    for name in ("TrainingFailed", "InferenceFailed", "QueueBlocked"):
        rule = physical(sandbox, f"Monitoring{name}")
        assert events.describe_rule(Name=rule)["State"] == "ENABLED"
        [target] = events.list_targets_by_rule(Rule=rule)["Targets"]
        assert target["Arn"] == topic and "InputTransformer" in target
    watch = sandbox.client("cloudwatch")
    alarms = {each["AlarmName"]: each for each in watch.describe_alarms()["MetricAlarms"]}
    for name in ("TrainingAlarm", "InferenceAlarm", "QueueAlarm"):
        assert alarms[physical(sandbox, f"Monitoring{name}")]["AlarmActions"] == [topic]
    dashboard = watch.get_dashboard(DashboardName=physical(sandbox, "MonitoringDashboard"))
    assert len(json.loads(dashboard["DashboardBody"])["widgets"]) == 8
    policy = sandbox.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
    assert "events.amazonaws.com" in policy


def test_the_repository_and_the_notebook_are_there(sandbox: RunningSandbox) -> None:
    ecr, name = sandbox.client("ecr"), physical(sandbox, "StorageRepository")
    [repository] = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert "imageCountMoreThan" in ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]
    arn = physical(sandbox, "NotebookInstance")
    notebook = sandbox.client("sagemaker").describe_notebook_instance(
        NotebookInstanceName=arn.rpartition("/")[2]
    )
    assert notebook["NotebookInstanceStatus"] == "InService"
    assert notebook["DirectInternetAccess"] == notebook["RootAccess"] == "Disabled"
    assert notebook["SubnetId"] == physical(sandbox, "NetworkPrivateSubnet1")


def test_the_network_is_there(sandbox: RunningSandbox) -> None:
    ec2, vpc = sandbox.client("ec2"), physical(sandbox, "NetworkVpc")
    hostnames = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    assert hostnames["EnableDnsHostnames"] == {"Value": True}
    mine = [{"Name": "vpc-id", "Values": [vpc]}]
    assert len(ec2.describe_subnets(Filters=mine)["Subnets"]) == 4
    endpoints = ec2.describe_vpc_endpoints(Filters=mine)["VpcEndpoints"]
    assert {each["ServiceName"].partition("us-east-1.")[2] for each in endpoints} == {
        "s3",
        "sagemaker.api",
        "sagemaker.runtime",
        "ecr.api",
        "ecr.dkr",
    }


def test_the_sdk_of_sagemaker_is_told_of_a_bucket_that_jobs_can_read_and_write(
    sandbox: RunningSandbox,
) -> None:
    text = (sandbox.folder / "home" / "sagemaker.yaml").read_text()
    session = yaml.safe_load(text)["SageMaker"]["PythonSDK"]["Modules"]["Session"]
    bucket = physical(sandbox, "StorageModelBucket")
    assert session == {"DefaultS3Bucket": bucket, "DefaultS3ObjectKeyPrefix": "models"}


def test_the_command_line_of_aws_sees_it_all(aws: Callable[..., Any]) -> None:
    told = aws("cloudformation", "describe-stacks", "--query", "Stacks[].StackName")
    assert {DATA, PLATFORM} <= set(told)
    facts = aws(
        "ssm", "get-parameters-by-path", "--path", "/trainyard/sandbox", "--query", "Parameters[].Name"
    )
    assert len(facts) == len(DATA_PARAMETERS) + len(PLATFORM_PARAMETERS) + 1


def test_the_document_tells_of_every_type_that_is_deployed() -> None:
    document = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(?:AWS::(?:\w+)::)?(\w+)`", document.split("## Resource by resource")[1]))
    kinds = {
        each["Type"]
        for file in stacks.FILES
        for each in json.loads(stacks.template(file))["Resources"].values()
    }
    assert {kind.rpartition("::")[2] for kind in kinds} <= told
