"""Each gap of moto that an extension closes, on a stack that has just that."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from trainyard.sandbox import extensions

from .conftest import RunningSandbox

Made = dict[str, str]
TAGS = {"team": "vision"}
LISTED = [{"Key": "team", "Value": "vision"}]


@pytest.fixture
def deploy(sandbox: RunningSandbox) -> Iterator[Callable[..., Made]]:
    """Makes a stack of these resources, and gives their physical ids; the stack goes with the test."""
    client, names = sandbox.client("cloudformation"), []

    def create(**resources: dict[str, Any]) -> Made:
        names.append(f"test-{uuid.uuid4().hex[:8]}")
        body = json.dumps({"Resources": resources})
        client.create_stack(StackName=names[-1], TemplateBody=body, Tags=LISTED)
        found = client.describe_stack_resources(StackName=names[-1])["StackResources"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}

    yield create
    for name in names:
        try:
            client.delete_stack(StackName=name)
        except ClientError as error:  # moto can't delete all that it makes: a VPC, with what is in it
            assert "DependencyViolation" in str(error)


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def test_every_extension_says_what_it_is_for() -> None:
    assert all(each.__doc__ and "moto" in each.__doc__ for each in extensions.ALL)


def test_a_type_that_is_not_emulated_is_refused_by_name(deploy: Callable[..., Made]) -> None:
    with pytest.raises(
        ClientError, match=r"ValidationError.*Unrecognized resource types: \[AWS::Nothing::AtAll\]"
    ):
        deploy(Thing=resource("Nothing::AtAll"))


def test_a_bucket_has_all_its_properties(sandbox: RunningSandbox, deploy: Callable[..., Made]) -> None:
    rules = [{"Id": "old", "Status": "Enabled", "ExpirationInDays": 3}]
    made = deploy(
        Bucket=resource(
            "S3::Bucket",
            VersioningConfiguration={"Status": "Enabled"},
            LifecycleConfiguration={"Rules": rules},
            PublicAccessBlockConfiguration={"BlockPublicAcls": True},
        )
    )
    s3, bucket = sandbox.client("s3"), {"Bucket": made["Bucket"]}
    assert made["Bucket"] == made["Bucket"].lower()
    assert s3.get_bucket_versioning(**bucket)["Status"] == "Enabled"
    assert s3.get_bucket_lifecycle_configuration(**bucket)["Rules"][0]["Expiration"] == {"Days": 3}
    block = s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"]
    assert [name for name, blocked in block.items() if blocked] == ["BlockPublicAcls"]
    assert s3.get_bucket_tagging(**bucket)["TagSet"] == LISTED


def test_a_bucket_policy_is_kept_but_for_what_refuses_plain_http(
    sandbox: RunningSandbox, deploy: Callable[..., Made]
) -> None:
    bucket = {"Ref": "Bucket"}
    read = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::x/*"}
    only_tls = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    document = {"Version": "2012-10-17", "Statement": [only_tls, read]}
    made = deploy(
        Bucket=resource("S3::Bucket"),
        Policy=resource("S3::BucketPolicy", Bucket=bucket, PolicyDocument=document),
    )
    s3 = sandbox.client("s3")
    found = json.loads(s3.get_bucket_policy(Bucket=made["Bucket"])["Policy"])
    assert found["Statement"] == [read]
    s3.put_object(Bucket=made["Bucket"], Key="x", Body=b"")
    s3.delete_object(Bucket=made["Bucket"], Key="x")


def test_what_is_retained_except_on_create_outlives_its_stack(sandbox: RunningSandbox) -> None:
    client, s3, name = sandbox.client("cloudformation"), sandbox.client("s3"), f"test-{uuid.uuid4().hex[:8]}"
    kept = {**resource("S3::Bucket"), "DeletionPolicy": "RetainExceptOnCreate"}
    body = json.dumps({"Resources": {"Kept": kept, "Gone": resource("S3::Bucket")}})
    client.create_stack(StackName=name, TemplateBody=body)
    client.delete_stack(StackName=name)
    left = [each["Name"] for each in s3.list_buckets()["Buckets"] if each["Name"].startswith(name)]
    assert len(left) == 1 and "-kept-" in left[0]
    s3.delete_bucket(Bucket=left[0])


def test_a_stack_under_protection_is_not_deleted(sandbox: RunningSandbox) -> None:
    client, name = sandbox.client("cloudformation"), f"test-{uuid.uuid4().hex[:8]}"
    body = json.dumps({"Resources": {"Topic": resource("SNS::Topic")}})
    client.create_stack(StackName=name, TemplateBody=body, EnableTerminationProtection=True)
    with pytest.raises(ClientError, match="cannot be deleted while TerminationProtection is enabled"):
        client.delete_stack(StackName=name)
    client.update_termination_protection(StackName=name, EnableTerminationProtection=False)
    client.delete_stack(StackName=name)
    with pytest.raises(ClientError, match="does not exist"):
        client.describe_stacks(StackName=name)


def test_a_repository_needs_no_name(sandbox: RunningSandbox, deploy: Callable[..., Made]) -> None:
    policy = {"LifecyclePolicyText": json.dumps({"rules": []})}
    made = deploy(
        Images=resource(
            "ECR::Repository",
            LifecyclePolicy=policy,
            ImageScanningConfiguration={"ScanOnPush": True},
        )
    )
    ecr = sandbox.client("ecr")
    [found] = ecr.describe_repositories(repositoryNames=[made["Images"]])["repositories"]
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    assert ecr.get_lifecycle_policy(repositoryName=made["Images"])["lifecyclePolicyText"] == '{"rules": []}'


def test_a_parameter_may_have_tags(sandbox: RunningSandbox, deploy: Callable[..., Made]) -> None:
    deploy(Fact=resource("SSM::Parameter", Name="/test/fact", Type="String", Value="x", Tags={"own": "1"}))
    found = sandbox.client("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId="/test/fact")
    assert {each["Key"]: each["Value"] for each in found["TagList"]} == {"own": "1", **TAGS}


def test_a_role_has_managed_policies_and_policies_from_outside(
    sandbox: RunningSandbox, deploy: Callable[..., Made]
) -> None:
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    made = deploy(
        Managed=resource("IAM::ManagedPolicy", PolicyDocument=allow),
        Role=resource("IAM::Role", AssumeRolePolicyDocument=allow, ManagedPolicyArns=[{"Ref": "Managed"}]),
        More=resource("IAM::RolePolicy", RoleName={"Ref": "Role"}, PolicyName="more", PolicyDocument=allow),
    )
    iam, role = sandbox.client("iam"), {"RoleName": made["Role"]}
    [attached] = iam.list_attached_role_policies(**role)["AttachedPolicies"]
    assert attached["PolicyArn"] == made["Managed"]
    assert iam.list_role_policies(**role)["PolicyNames"] == ["more"]
    assert iam.list_role_tags(**role)["Tags"] == LISTED


def test_a_network_resolves_names_and_has_routes(
    sandbox: RunningSandbox, deploy: Callable[..., Made]
) -> None:
    made = deploy(
        Vpc=resource("EC2::VPC", CidrBlock="10.9.0.0/16", EnableDnsHostnames=True),
        Subnet=resource(
            "EC2::Subnet", VpcId={"Ref": "Vpc"}, CidrBlock="10.9.1.0/24", MapPublicIpOnLaunch=True
        ),
        Table=resource("EC2::RouteTable", VpcId={"Ref": "Vpc"}),
        Link=resource(
            "EC2::SubnetRouteTableAssociation", SubnetId={"Ref": "Subnet"}, RouteTableId={"Ref": "Table"}
        ),
        Group=resource(
            "EC2::SecurityGroup",
            VpcId={"Ref": "Vpc"},
            GroupDescription="x",
            SecurityGroupIngress=[{"IpProtocol": "-1", "CidrIp": "10.9.0.0/16", "Description": "inside"}],
        ),
        Rule=resource(
            "EC2::SecurityGroupIngress",
            GroupId={"Fn::GetAtt": ["Group", "GroupId"]},
            SourceSecurityGroupId={"Fn::GetAtt": ["Group", "GroupId"]},
            IpProtocol="-1",
        ),
    )
    ec2 = sandbox.client("ec2")
    told = ec2.describe_vpc_attribute(VpcId=made["Vpc"], Attribute="enableDnsHostnames")
    assert told["EnableDnsHostnames"] == {"Value": True}
    [subnet] = ec2.describe_subnets(SubnetIds=[made["Subnet"]])["Subnets"]
    assert subnet["MapPublicIpOnLaunch"] is True
    [table] = ec2.describe_route_tables(RouteTableIds=[made["Table"]])["RouteTables"]
    [link] = table["Associations"]
    assert (link["RouteTableAssociationId"], link["SubnetId"]) == (made["Link"], made["Subnet"])
    [group] = ec2.describe_security_groups(GroupIds=[made["Group"]])["SecurityGroups"]
    ranges = [each for rule in group["IpPermissions"] for each in rule["IpRanges"]]
    assert ranges == [{"CidrIp": "10.9.0.0/16", "Description": "inside"}]
    assert made["Rule"].startswith("sgr-")


def test_machines_need_no_service_role_and_a_definition_keeps_its_rules(
    sandbox: RunningSandbox, deploy: Callable[..., Made]
) -> None:
    machines = {
        "Type": "SPOT",
        "MinvCpus": 0,
        "MaxvCpus": 4,
        "InstanceTypes": ["m5"],
        "Subnets": ["subnet-1"],
    }
    order = [{"Order": 1, "ComputeEnvironment": {"Ref": "Machines"}}]
    made = deploy(
        Machines=resource("Batch::ComputeEnvironment", Type="MANAGED", ComputeResources=machines),
        Queue=resource("Batch::JobQueue", Priority=1, ComputeEnvironmentOrder=order),
        Definition=resource(
            "Batch::JobDefinition",
            Type="container",
            Timeout={"AttemptDurationSeconds": 90},
            RetryStrategy={"Attempts": 2, "EvaluateOnExit": [{"OnExitCode": "1", "Action": "EXIT"}]},
            ContainerProperties={
                "Image": "x",
                "ResourceRequirements": [{"Type": "VCPU", "Value": "1"}, {"Type": "MEMORY", "Value": "64"}],
                "LogConfiguration": {"LogDriver": "awslogs", "Options": {"Own-Key": "x"}},
            },
        ),
    )
    batch = sandbox.client("batch")
    [found] = batch.describe_compute_environments(computeEnvironments=[made["Machines"]])[
        "computeEnvironments"
    ]
    assert "AWSServiceRoleForBatch" in found["serviceRole"]
    assert (found["status"], found["tags"]) == ("VALID", TAGS)
    [queue] = batch.describe_job_queues(jobQueues=[made["Queue"]])["jobQueues"]
    assert queue["tags"] == TAGS
    [definition] = batch.describe_job_definitions(jobDefinitions=[made["Definition"]])["jobDefinitions"]
    assert definition["timeout"] == {"attemptDurationSeconds": 90}
    assert definition["retryStrategy"]["evaluateOnExit"] == [{"onExitCode": "1", "action": "exit"}]
    assert definition["containerProperties"]["logConfiguration"]["options"] == {"Own-Key": "x"}


def test_an_alarm_is_made(sandbox: RunningSandbox, deploy: Callable[..., Made]) -> None:
    made = deploy(
        Alarm=resource(
            "CloudWatch::Alarm",
            Namespace="x",
            MetricName="y",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
            Dimensions=[{"Name": "a", "Value": "b"}],
        )
    )
    [alarm] = sandbox.client("cloudwatch").describe_alarms(AlarmNames=[made["Alarm"]])["MetricAlarms"]
    assert alarm["Dimensions"] == [{"Name": "a", "Value": "b"}]


def test_a_topic_has_a_policy_and_tags(sandbox: RunningSandbox, deploy: Callable[..., Made]) -> None:
    document = {"Version": "2012-10-17", "Statement": []}
    made = deploy(
        Topic=resource("SNS::Topic", DisplayName="news"),
        Policy=resource("SNS::TopicPolicy", Topics=[{"Ref": "Topic"}], PolicyDocument=document),
    )
    sns = sandbox.client("sns")
    attributes = sns.get_topic_attributes(TopicArn=made["Topic"])["Attributes"]
    assert json.loads(attributes["Policy"]) == document
    assert attributes["DisplayName"] == "news"
    assert sns.list_tags_for_resource(ResourceArn=made["Topic"])["Tags"] == LISTED


def test_a_notebook_has_its_properties_and_an_address(
    sandbox: RunningSandbox, deploy: Callable[..., Made]
) -> None:
    made = deploy(
        Notebook=resource(
            "SageMaker::NotebookInstance",
            InstanceType="ml.t3.medium",
            RoleArn="arn:aws:iam::123456789012:role/x",
            PlatformIdentifier="notebook-al2023-v1",
            VolumeSizeInGB=7,
        )
    )
    client, name = sandbox.client("sagemaker"), {"NotebookInstanceName": made["Notebook"].rpartition("/")[2]}
    found = client.describe_notebook_instance(**name)
    assert (found["PlatformIdentifier"], found["VolumeSizeInGB"]) == ("notebook-al2023-v1", 7)
    address = client.create_presigned_notebook_instance_url(**name)["AuthorizedUrl"]
    assert address.startswith(sandbox.address["endpoint"])
    client.stop_notebook_instance(**name)
    with pytest.raises(ClientError, match="has to be InService"):
        client.create_presigned_notebook_instance_url(**name)


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("cloudformation", "detect_stack_drift", {"StackName": "trainyard-sandbox"}),
        ("cloudwatch", "describe_anomaly_detectors", {}),
        ("sagemaker", "list_hubs", {}),
        ("logs", "list_anomalies", {}),
        (
            "iam",
            "generate_organizations_access_report",
            {"EntityPath": "o-a1b2c3d4e5/r-f6g7h8i9j0example/ou-1a2b"},
        ),
    ],
)
def test_what_is_not_emulated_is_named_in_an_error_of_awss(
    sandbox: RunningSandbox, service: str, operation: str, parameters: dict[str, Any]
) -> None:
    with pytest.raises(ClientError, match=rf"NotImplemented.*does not emulate {service}:") as error:
        getattr(sandbox.client(service), operation)(**parameters)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
