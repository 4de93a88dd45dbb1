"""Requests that are signed with the credentials of a role are held to that role's policies."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from .conftest import RunningSandbox
from .training import Training

Clients = Callable[[str], Any]


def facts(sandbox: RunningSandbox) -> dict[str, str]:
    """What the deployment has published."""
    pages = sandbox.client("ssm").get_paginator("get_parameters_by_path").paginate(Path="/trainyard/sandbox")
    return {each["Name"].rpartition("/")[2]: each["Value"] for page in pages for each in page["Parameters"]}


@pytest.fixture(scope="module")
def known(sandbox: RunningSandbox) -> dict[str, str]:
    return facts(sandbox)


def clients_of(sandbox: RunningSandbox, credentials: dict[str, str]) -> Clients:
    """Clients with other credentials; each is made once."""
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = boto3.client(
                service,
                endpoint_url=sandbox.address["endpoint"],
                region_name=sandbox.address["region"],
                config=Config(retries={"total_max_attempts": 1}),
                **credentials,
            )
        return made[service]

    return client


def assumed(sandbox: RunningSandbox, role: str, **options: Any) -> Clients:
    """Clients with a role's credentials."""
    sts = sandbox.client("sts")
    found = sts.assume_role(RoleArn=role, RoleSessionName="somebody", **options)["Credentials"]
    return clients_of(
        sandbox,
        {
            "aws_access_key_id": found["AccessKeyId"],
            "aws_secret_access_key": found["SecretAccessKey"],
            "aws_session_token": found["SessionToken"],
        },
    )


@pytest.fixture(scope="module")
def training_role(sandbox: RunningSandbox, known: dict[str, str]) -> Iterator[Clients]:
    yield assumed(sandbox, known["training-role-arn"])


@pytest.fixture(scope="module")
def job_role(sandbox: RunningSandbox, known: dict[str, str]) -> Iterator[Clients]:
    yield assumed(sandbox, known["batch-job-role-arn"])


@pytest.fixture(scope="module", autouse=True)
def objects(sandbox: RunningSandbox, known: dict[str, str]) -> None:
    """Something in each folder."""
    s3 = sandbox.client("s3")
    for folder in ("code", "models", "checkpoints", "predictions", "ledger", "notebooks"):
        s3.put_object(Bucket=known["model-bucket"], Key=f"{folder}/there", Body=b"x", IfNoneMatch="*")
    s3.put_object(Bucket=known["dataset-bucket"], Key="datasets/there", Body=b"x")


def denied(code: str = "AccessDenied") -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\).*not authorized to perform")


@pytest.mark.parametrize("folder", ["code", "models", "checkpoints"])
def test_a_training_role_reads_what_it_may(
    training_role: Clients, known: dict[str, str], folder: str
) -> None:
    got = training_role("s3").get_object(Bucket=known["model-bucket"], Key=f"{folder}/there")
    assert got["Body"].read() == b"x"


@pytest.mark.parametrize("folder", ["predictions", "ledger", "notebooks"])
def test_and_nothing_else(training_role: Clients, known: dict[str, str], folder: str) -> None:
    with denied() as error:
        training_role("s3").get_object(Bucket=known["model-bucket"], Key=f"{folder}/there")
    told = error.value.response["Error"]["Message"]
    name = known["training-role-arn"].rpartition("/")[2]
    assert told == (
        f"User: arn:aws:sts::123456789012:assumed-role/{name}/somebody is not authorized to perform: "
        f's3:GetObject on resource: "arn:aws:s3:::{known["model-bucket"]}/{folder}/there" '
        "because no identity-based policy allows the s3:GetObject action"
    )
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_writing_deleting_and_copying_are_told_apart(training_role: Clients, known: dict[str, str]) -> None:
    s3, bucket = training_role("s3"), known["model-bucket"]
    s3.put_object(Bucket=bucket, Key="checkpoints/mine", Body=b"1")
    s3.delete_object(Bucket=bucket, Key="checkpoints/mine")
    with denied():
        s3.delete_object(Bucket=bucket, Key="models/there")
    with denied():
        s3.put_object(Bucket=bucket, Key="code/mine", Body=b"1")
    s3.copy_object(Bucket=bucket, Key="models/copy", CopySource={"Bucket": bucket, "Key": "code/there"})
    with denied():
        s3.copy_object(Bucket=bucket, Key="models/copy", CopySource={"Bucket": bucket, "Key": "ledger/there"})


def test_what_is_written_once_nobody_replaces(
    sandbox: RunningSandbox, job_role: Clients, known: dict[str, str]
) -> None:
    """The bucket's policy, for administrators too; and the condition itself."""
    bucket, admin = known["model-bucket"], sandbox.client("s3")
    for s3, key in (
        (admin, "code/once"),
        (admin, "ledger/runs/once/1.json"),
        (job_role("s3"), "predictions/1/_SUCCESS"),
    ):
        place = {"Bucket": bucket, "Key": key}
        with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
            s3.put_object(**place, Body=b"1")
        s3.put_object(**place, Body=b"1", IfNoneMatch="*")
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.put_object(**place, Body=b"2", IfNoneMatch="*")
        upload = s3.create_multipart_upload(**place)["UploadId"]
        part = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"2")["ETag"]
        done = {"UploadId": upload, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part}]}}
        with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
            s3.complete_multipart_upload(**place, **done)
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.complete_multipart_upload(**place, **done, IfNoneMatch="*")
        source = {"Bucket": bucket, "Key": "models/there"}
        for condition, code in (({}, "AccessDenied"), ({"IfNoneMatch": "*"}, "NotImplemented")):
            with pytest.raises(ClientError, match=code):
                admin.copy_object(**place, CopySource=source, **condition)
        assert admin.get_object(**place)["Body"].read() == b"1"


def test_a_multipart_upload_needs_what_a_put_needs(
    sandbox: RunningSandbox, job_role: Clients, known: dict[str, str]
) -> None:
    s3, bucket = job_role("s3"), known["model-bucket"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="predictions/big")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="predictions/big", UploadId=upload, PartNumber=1, Body=b"1")
    listed = sandbox.client("s3").list_parts(Bucket=bucket, Key="predictions/big", UploadId=upload)["Parts"]
    assert [each["PartNumber"] for each in listed] == [1]
    with denied() as error:
        s3.list_parts(Bucket=bucket, Key="predictions/big", UploadId=upload)
    assert "s3:ListMultipartUploadParts" in str(error.value)
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="predictions/big", UploadId=upload, MultipartUpload=parts)
    with denied():
        s3.create_multipart_upload(Bucket=bucket, Key="models/big")


def test_a_listing_needs_a_prefix_that_is_allowed(training_role: Clients, known: dict[str, str]) -> None:
    s3, bucket = training_role("s3"), known["model-bucket"]
    found = s3.list_objects_v2(Bucket=bucket, Prefix="models/th")
    assert [each["Key"] for each in found["Contents"]] == ["models/there"]
    for prefix in ({}, {"Prefix": ""}, {"Prefix": "ledger/"}):
        with denied():
            s3.list_objects_v2(Bucket=bucket, **prefix)


def test_that_an_object_is_missing_is_told_to_nobody_who_may_not_list(
    training_role: Clients, sandbox: RunningSandbox, known: dict[str, str]
) -> None:
    with denied() as error:
        training_role("s3").get_object(Bucket=known["model-bucket"], Key="models/missing")
    assert "s3:ListBucket" in str(error.value)
    s3, place = sandbox.client("s3"), {"Bucket": known["model-bucket"], "Key": "models/missing"}
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(**place)
    s3.put_object(**place, Body=b"x")
    assert training_role("s3").get_object(**place)["Body"].read() == b"x"
    s3.delete_object(**place)
    with denied():
        training_role("s3").get_object(**place)


def test_secrets_of_the_environment_are_read_and_no_others(
    sandbox: RunningSandbox, training_role: Clients, job_role: Clients
) -> None:
    manager = sandbox.client("secretsmanager")
    for name in ("trainyard-sandbox/token", "database", "trainyard-sandboxes/token"):
        manager.create_secret(Name=name, SecretString="s3cret")
    for role in (training_role, job_role):
        mine = role("secretsmanager").get_secret_value(SecretId="trainyard-sandbox/token")
        assert mine["SecretString"] == "s3cret"
        for name in ("database", "trainyard-sandboxes/token", "missing"):
            with denied("AccessDeniedException"):
                role("secretsmanager").get_secret_value(SecretId=name)


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "code"),
    [
        ("sagemaker", "list_training_jobs", {}, "AccessDeniedException"),
        ("batch", "describe_job_queues", {}, "AccessDeniedException"),
        ("batch", "terminate_job", {"jobId": "x", "reason": "y"}, "AccessDeniedException"),
        ("ssm", "get_parameter", {"Name": "/trainyard/sandbox/version"}, "AccessDeniedException"),
        ("cloudformation", "describe_stacks", {}, "AccessDenied"),
        ("iam", "list_roles", {}, "AccessDenied"),
        ("sns", "list_topics", {}, "AccessDenied"),
        ("ec2", "run_instances", {"MinCount": 1, "MaxCount": 1}, "UnauthorizedOperation"),
        (
            "logs",
            "delete_log_group",
            {"logGroupName": "/aws/sagemaker/TrainingJobs"},
            "AccessDeniedException",
        ),
    ],
)
def test_every_service_refuses_in_words_of_its_own(
    training_role: Clients, service: str, operation: str, parameters: dict[str, Any], code: str
) -> None:
    with denied(code):
        getattr(training_role(service), operation)(**parameters)


def test_what_knows_no_resource_is_allowed_where_it_is(training_role: Clients) -> None:
    assert training_role("ec2").describe_vpcs()["Vpcs"]
    metrics = {"MetricData": [{"MetricName": "y", "Value": 1.0}]}
    training_role("cloudwatch").put_metric_data(Namespace="/aws/sagemaker/TrainingJobs", **metrics)
    with denied():
        training_role("cloudwatch").put_metric_data(Namespace="x", **metrics)
    assert training_role("ecr").get_authorization_token()["authorizationData"]


def test_a_log_stream_has_to_be_of_the_environment(training_role: Clients) -> None:
    group = {"logGroupName": "/aws/sagemaker/TrainingJobs"}
    training_role("logs").create_log_stream(**group, logStreamName="trainyard-sandbox-x/algo-1-1")
    with denied("AccessDeniedException"):
        training_role("logs").create_log_stream(**group, logStreamName="another/algo-1-1")


def test_a_role_knows_who_it_is(training_role: Clients, sandbox: RunningSandbox) -> None:
    assert (
        ":assumed-role/trainyard-sandbox-TrainingRole-" in training_role("sts").get_caller_identity()["Arn"]
    )
    mine = sandbox.client("sts").get_caller_identity()["Arn"]
    assert mine == "arn:aws:iam::123456789012:user/administrator"


def test_the_submitters_policy_lets_a_job_be_made_with_the_training_role_alone(
    sandbox: RunningSandbox, known: dict[str, str]
) -> None:
    iam = sandbox.client("iam")
    iam.create_user(UserName="ann")
    for name in ("submitter-policy-arn", "submitter-data-policy-arn"):
        iam.attach_user_policy(UserName="ann", PolicyArn=known[name])
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    ann = clients_of(
        sandbox,
        {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]},
    )
    wanted = {
        "AlgorithmSpecification": {"TrainingImage": "x", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"s3://{known['model-bucket']}/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "VpcConfig": {
            "Subnets": known["subnet-ids"].split(","),
            "SecurityGroupIds": known["security-group-ids"].split(","),
        },
    }
    mine = {"TrainingJobName": "trainyard-sandbox-ann", **wanted}
    elsewhere = {
        **wanted["VpcConfig"],
        "Subnets": [*wanted["VpcConfig"]["Subnets"], "subnet-0123456789abcdef0"],
    }
    for network in ({"VpcConfig": elsewhere}, {}):
        outside = {key: value for key, value in mine.items() if key != "VpcConfig"}
        with denied("AccessDeniedException") as error:
            ann("sagemaker").create_training_job(**outside, **network, RoleArn=known["training-role-arn"])
        assert "sagemaker:CreateTrainingJob" in str(error.value)
    with denied("AccessDeniedException"):
        ann("sagemaker").create_training_job(
            **{**mine, "TrainingJobName": "ann"}, RoleArn=known["training-role-arn"]
        )
    with denied("AccessDeniedException") as error:
        ann("sagemaker").create_training_job(**mine, RoleArn=known["batch-job-role-arn"])
    assert "iam:PassRole" in str(error.value)
    assert ann("sagemaker").list_training_jobs()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_sessions_own_policy_and_a_boundary_narrow_a_role(
    sandbox: RunningSandbox, known: dict[str, str]
) -> None:
    only_code = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{known['model-bucket']}/code/*",
            }
        ],
    }
    place = {"Bucket": known["model-bucket"]}
    narrowed = assumed(sandbox, known["training-role-arn"], Policy=json.dumps(only_code))("s3")
    narrowed.get_object(**place, Key="code/there")
    with denied():
        narrowed.get_object(**place, Key="models/there")
    iam = sandbox.client("iam")
    boundary = iam.create_policy(PolicyName="boundary", PolicyDocument=json.dumps(only_code))["Policy"]["Arn"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    role = iam.create_role(
        RoleName="bounded", AssumeRolePolicyDocument=json.dumps(everything), PermissionsBoundary=boundary
    )["Role"]["Arn"]
    iam.put_role_policy(RoleName="bounded", PolicyName="all", PolicyDocument=json.dumps(everything))
    bounded = assumed(sandbox, role)("s3")
    bounded.get_object(**place, Key="code/there")
    with denied():
        bounded.get_object(**place, Key="models/there")


def test_a_simulation_answers_as_the_requests_are(sandbox: RunningSandbox, known: dict[str, str]) -> None:
    bucket = f"arn:aws:s3:::{known['model-bucket']}"
    found = sandbox.client("iam").simulate_principal_policy(
        PolicySourceArn=known["training-role-arn"],
        ActionNames=["s3:GetObject", "s3:DeleteObject", "ec2:DescribeVpcs"],
        ResourceArns=[f"{bucket}/models/x", f"{bucket}/ledger/x"],
    )
    decisions = {
        (each["EvalActionName"], each["EvalResourceName"].rpartition("/")[0].rpartition("/")[2]): each[
            "EvalDecision"
        ]
        for each in found["EvaluationResults"]
    }
    assert decisions == {
        ("s3:GetObject", "models"): "allowed",
        ("s3:GetObject", "ledger"): "implicitDeny",
        ("s3:DeleteObject", "models"): "implicitDeny",
        ("s3:DeleteObject", "ledger"): "implicitDeny",
        ("ec2:DescribeVpcs", "models"): "allowed",
        ("ec2:DescribeVpcs", "ledger"): "allowed",
    }
    with pytest.raises(ClientError, match="NoSuchEntity"):
        sandbox.client("iam").simulate_principal_policy(
            PolicySourceArn="arn:aws:iam::123456789012:role/nobody", ActionNames=["s3:GetObject"]
        )


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("s3", "list_buckets", "InvalidAccessKeyId"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("batch", "describe_job_queues", "UnrecognizedClientException"),
        ("ec2", "describe_vpcs", "AuthFailure"),
    ],
)
def test_credentials_that_are_not_known_open_nothing(
    sandbox: RunningSandbox, service: str, operation: str, code: str
) -> None:
    stranger = clients_of(
        sandbox, {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "x"}
    )
    with pytest.raises(ClientError, match=rf"\({code}\)"):
        getattr(stranger(service), operation)()


def test_a_request_that_is_not_signed_is_refused(sandbox: RunningSandbox) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(sandbox.address["endpoint"] + "/", timeout=10)
    with error.value:
        assert error.value.code == 403
        assert b"AccessDenied" in error.value.read()


def test_a_job_gets_the_credentials_of_its_role_and_no_others(
    training: Training, sandbox: RunningSandbox
) -> None:
    name = training.create(
        'env | sed -n "s/^AWS_/have AWS_/p"; python3 -c "'
        "import json,os,urllib.request as r;"
        "t=json.load(r.urlopen(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI']));"
        "print('got', json.dumps(t))\""
    )
    training.completed(name)
    lines = training.log(name)
    variables = {line.split()[1].partition("=")[0] for line in lines if line.startswith("have ")}
    assert variables == {
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    }
    got = json.loads(next(line for line in lines if line.startswith("got "))[4:])
    assert set(got) == {"RoleArn", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
    assert got["RoleArn"] == training.role
    assert sandbox.address["access_key"] not in "".join(lines)


def test_an_address_of_credentials_cannot_be_guessed(sandbox: RunningSandbox) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{sandbox.address['endpoint']}/_trainyard/credentials/x", timeout=10)
    with error.value:
        assert error.value.code == 400
