"""`trainyard deploy` where AWS does not do it: what is told, and that the next one goes on."""

from __future__ import annotations

import json

import pytest

from .cloudformation import CloudFormation
from .conftest import DATA, OURS, PLATFORM, Project, is_deployed


def test_json_tells_a_failure_too(deploying: Project, cloudformation: CloudFormation) -> None:
    cloudformation.fail("AWS::EC2::VPC", "The maximum number of VPCs has been reached.")

    result = deploying.run("deploy", "dev", "--yes", "--json")

    told = json.loads(result.stdout)
    assert result.returncode == 1
    assert told["deployed"] is False
    assert "The maximum number of VPCs" in told["reason"]
    assert told["stacks"][1] == {**told["stacks"][1], "name": PLATFORM, "status": "ROLLBACK_COMPLETE"}


FAILURES = {
    "name taken": (
        "AWS::SNS::Topic",
        "trainyard-dev-topic already exists in stack arn:aws:cloudformation:eu-central-1:1:stack/x/y",
        ["Topic (AWS::SNS::Topic): trainyard-dev-topic already exists", "another `prefix`"],
    ),
    "quota": (
        "AWS::EC2::VPC",
        'Resource handler returned message: "The maximum number of VPCs has been reached. (Service: Ec2,'
        ' Status Code: 400, Request ID: 1-2-3) (SDK Attempt Count: 1)" (RequestToken: 4-5, HandlerErrorCode:'
        " ServiceLimitExceeded)",
        [
            "Vpc (AWS::EC2::VPC): The maximum number of VPCs has been reached; ",
            "L-F678F1CE",
            "Service Quotas",
        ],
    ),
    "permission": (
        "AWS::IAM::Role",
        'Resource handler returned message: "User: arn:aws:sts::123456789012:assumed-role/Deployer/ana is not'
        " authorized to perform: iam:CreateRole on resource: arn:aws:iam::123456789012:role/x"
        " because no identity-based policy allows the iam:CreateRole action (Service: Iam, Status Code: 403,"
        ' Request ID: 1)" (RequestToken: 2, HandlerErrorCode: AccessDenied)',
        [
            "Role (AWS::IAM::Role)",
            "iam:CreateRole",
            "Deployer",
            "the statements Roles* of the policy in docs/deploy.md",
        ],
    ),
    "expired in the middle": (
        "AWS::EC2::EIP",
        "The security token included in the request is expired (Service: Ec2, Status Code: 400)",
        ["Address (AWS::EC2::EIP)", "expired", "get new ones"],
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failed_creation_tells_the_real_cause_and_can_be_repeated(
    case: str, deploying: Project, cloudformation: CloudFormation
) -> None:
    kind, reason, wanted = FAILURES[case]
    cloudformation.fail(kind, reason)

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith(f"trainyard: {PLATFORM} could not be created (ROLLBACK_")
    for words in wanted:
        assert words in line
    assert "cancelled" not in line
    # A notebook that had come up by then cannot be rolled back: it runs.
    assert cloudformation.status(PLATFORM) == (
        "ROLLBACK_FAILED" if case == "name taken" else "ROLLBACK_COMPLETE"
    )
    # Again, and it works: the rest of the attempt goes, the data stack stays as it is.
    result = deploying.run("deploy", "dev", "--yes")
    assert result.returncode == 0, result.stderr
    assert cloudformation.status(PLATFORM) == cloudformation.status(DATA) == "CREATE_COMPLETE"


def test_failed_first_data_stack_leaves_nothing_and_can_be_repeated(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    cloudformation.fail("AWS::ECR::Repository", "Too many repositories: limit exceeded")

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 1
    stack = cloudformation.named(DATA)
    assert stack and stack.status == "ROLLBACK_COMPLETE"
    assert {each["status"] for each in stack.resources.values()} == {"DELETE_COMPLETE"}
    assert deploying.run("deploy", "dev", "--yes").returncode == 0
    assert is_deployed(cloudformation)


def test_failed_update_is_rolled_back_and_can_be_repeated(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    deploying.run("deploy", "dev", "--yes")
    deploying.templates["platform"]["Resources"]["Subnet"]["Properties"]["CidrBlock"] = "10.220.1.0/24"
    cloudformation.fail("Subnet", "The CIDR '10.220.1.0/24' conflicts with another subnet", during="UPDATE")

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 1
    assert "could not be updated (UPDATE_ROLLBACK_COMPLETE): Subnet" in result.stderr
    assert "`cidr`" in result.stderr
    assert deploying.run("deploy", "dev", "--yes").returncode == 0
    assert cloudformation.status(PLATFORM) == "UPDATE_COMPLETE"


def test_update_whose_rollback_failed_is_taken_up_again(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    deploying.run("deploy", "dev", "--yes")
    deploying.templates["platform"]["Resources"]["Topic"]["Properties"]["DisplayName"] = "other"
    cloudformation.fail("Topic", "the topic is broken", during="UPDATE")
    cloudformation.fail("Topic", "still broken", during="ROLLBACK")

    result = deploying.run("deploy", "dev", "--yes")

    assert "UPDATE_ROLLBACK_FAILED" in result.stderr
    assert "the topic is broken" in result.stderr
    result = deploying.run("deploy", "dev", "--yes")
    assert result.returncode == 0, result.stderr
    assert "ContinueUpdateRollback" in cloudformation.calls
    assert cloudformation.status(PLATFORM) == "UPDATE_COMPLETE"


@pytest.mark.parametrize("status", ["CREATE_FAILED", "ROLLBACK_FAILED", "DELETE_FAILED", "ROLLBACK_COMPLETE"])
def test_what_an_attempt_left_of_the_platform_is_deleted_first(
    status: str, deploying: Project, cloudformation: CloudFormation
) -> None:
    left = {"Topic": {"type": "AWS::SNS::Topic", "physical": "topic", "status": "CREATE_COMPLETE"}}
    old = cloudformation.put(PLATFORM, status, OURS, resources=left)

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 0, result.stderr
    assert old.status == "DELETE_COMPLETE"
    assert is_deployed(cloudformation)


@pytest.mark.parametrize("status", ["CREATE_FAILED", "ROLLBACK_FAILED", "DELETE_FAILED"])
def test_data_stack_that_still_holds_a_bucket_is_never_deleted(
    status: str, deploying: Project, cloudformation: CloudFormation
) -> None:
    left = {"ModelBucket": {"type": "AWS::S3::Bucket", "physical": "the-models", "status": "CREATE_COMPLETE"}}
    cloudformation.put(DATA, status, OURS, resources=left)

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 1
    assert "still holds the-models" in result.stderr
    assert cloudformation.status(DATA) == status
    assert "DeleteStack" not in cloudformation.calls


def test_update_that_was_left_failed_is_rolled_back_first(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    deploying.run("deploy", "dev", "--yes")
    stack = cloudformation.named(PLATFORM)
    assert stack
    stack.status = "UPDATE_FAILED"

    assert deploying.run("deploy", "dev", "--yes").returncode == 0
    assert "RollbackStack" in cloudformation.calls
    assert is_deployed(cloudformation)


def test_change_set_that_early_validation_refuses_tells_the_property(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    cloudformation.refuse_change_set(
        "The following hook(s)/validation failed: [AWS::EarlyValidation::PropertyValidation].",
        resource="ModelBucket",
        detail="#/LifecycleConfiguration: extraneous key [X] is not permitted",
    )

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 1
    assert "ModelBucket (AWS::S3::Bucket): #/LifecycleConfiguration: extraneous key [X]" in result.stderr
    assert not cloudformation.change_sets
    assert deploying.run("deploy", "dev", "--yes").returncode == 0


def test_change_set_that_is_refused_without_details_tells_its_reason(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    cloudformation.refuse_change_set("Template error: resource X does not exist")
    cloudformation.refuse("DescribeEvents", "AccessDenied", "no")

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 1
    assert "Template error: resource X does not exist" in result.stderr


def test_missing_permission_names_who_what_and_the_statement(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    cloudformation.refuse(
        "CreateChangeSet",
        "AccessDenied",
        "User: arn:aws:sts::123456789012:assumed-role/Deployer/ana is not authorized to perform:"
        " cloudformation:CreateChangeSet on resource: arn:aws:cloudformation:eu-central-1:123456789012:stack/"
        "trainyard-dev-data/* because no identity-based policy allows it",
        status=403,
    )

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert "role Deployer may not cloudformation:CreateChangeSet on arn:aws:cloudformation:" in line
    assert "the statements Stacks* of the policy in docs/deploy.md" in line


def test_expired_credentials_at_the_start(deploying: Project, cloudformation: CloudFormation) -> None:
    cloudformation.refuse(
        "DescribeStacks", "ExpiredToken", "The security token included is expired", status=403
    )

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 1
    assert "credentials have expired" in result.stderr
    assert "aws sso login" in result.stderr
    assert not cloudformation.stacks


def test_stack_that_is_not_ours_is_left_alone(deploying: Project, cloudformation: CloudFormation) -> None:
    cloudformation.put(PLATFORM, "CREATE_COMPLETE", {"owner": "somebody"})

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 2
    assert f"there is a stack {PLATFORM} already that trainyard did not make" in result.stderr
    assert "CreateChangeSet" not in cloudformation.calls


def test_throttling_is_waited_out(deploying: Project, cloudformation: CloudFormation) -> None:
    cloudformation.refuse("DescribeStackEvents", "Throttling", "Rate exceeded", times=2)

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 0, result.stderr


def test_throttling_without_end_is_told(deploying: Project, cloudformation: CloudFormation) -> None:
    deploying.environment["AWS_MAX_ATTEMPTS"] = "2"
    cloudformation.refuse("CreateChangeSet", "Throttling", "Rate exceeded", times=2)

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 1
    assert "AWS throttles cloudformation:CreateChangeSet" in result.stderr
