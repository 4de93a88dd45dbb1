"""Why an operation failed, and what to do."""

from __future__ import annotations

import pytest

from trainyard.deploy.stacks.causes import cure_of, first_cause, plain
from trainyard.deploy.stacks.events import Event


def event(
    resource: str, kind: str, status: str, reason: str = "", *, whole: bool = False, time: float = 0
) -> Event:
    return Event(
        id=f"{resource}-{status}-{time}",
        token="t",
        resource=resource,
        type=kind,
        status=status,
        reason=reason,
        time=time,
        whole=whole,
    )


def whole(status: str, reason: str = "") -> Event:
    return event("trainyard-dev", "AWS::CloudFormation::Stack", status, reason, whole=True)


def test_what_was_cancelled_is_no_cause_wherever_it_stands() -> None:
    cause = first_cause(
        [
            whole("CREATE_IN_PROGRESS", "User Initiated"),
            event("Subnet", "AWS::EC2::Subnet", "CREATE_FAILED", "Resource creation cancelled"),
            event(
                "Address",
                "AWS::EC2::EIP",
                "CREATE_FAILED",
                "The maximum number of addresses has been reached.",
            ),
            event("Role", "AWS::IAM::Role", "CREATE_FAILED", "Resource creation cancelled"),
            whole(
                "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Subnet, Address, Role]."
            ),
            event("Vpc", "AWS::EC2::VPC", "DELETE_FAILED", "has dependencies and cannot be deleted"),
            whole("ROLLBACK_FAILED", "The following resource(s) failed to delete: [Vpc]."),
        ]
    )

    assert cause is not None
    assert (cause.resource, cause.type) == ("Address", "AWS::EC2::EIP")
    assert "L-0263D0A3" in cause.cure


def test_first_of_several_real_ones_is_told() -> None:
    cause = first_cause(
        [
            event("A", "AWS::EC2::VPC", "CREATE_FAILED", "first"),
            event("B", "AWS::EC2::VPC", "CREATE_FAILED", "second"),
        ]
    )

    assert cause is not None and str(cause) == "A (AWS::EC2::VPC): first"


def test_where_no_resource_failed_the_stacks_own_reason_is_told() -> None:
    cause = first_cause(
        [whole("CREATE_IN_PROGRESS", "User Initiated"), whole("ROLLBACK_IN_PROGRESS", "hook said no")]
    )

    assert cause is not None and str(cause) == "hook said no"


def test_an_operation_that_went_well_has_no_cause() -> None:
    assert first_cause([whole("CREATE_IN_PROGRESS", "User Initiated"), whole("CREATE_COMPLETE")]) is None
    assert first_cause([]) is None


@pytest.mark.parametrize(
    ("wrapped", "bare"),
    [
        (
            'Resource handler returned message: "Bucket is (too) odd (Service: S3, Status Code: 400, Request'
            ' ID: 1-2) (SDK Attempt Count: 1)" (RequestToken: 3-4, HandlerErrorCode: InvalidRequest)',
            "Bucket is (too) odd",
        ),
        (
            "The subnet 'subnet-1' has dependencies and cannot be deleted. (Service: AmazonEC2; Status Code:"
            " 400; Error Code: DependencyViolation; Request ID: 1; Proxy: null)",
            "The subnet 'subnet-1' has dependencies and cannot be deleted.",
        ),
        ("as it is", "as it is"),
        ("two\nlines", "two lines"),
    ],
)
def test_reason_without_its_wrapping(wrapped: str, bare: str) -> None:
    assert plain(wrapped) == bare


CURES = {
    # reason, type -> a word of the cure. The reasons are AWS's own, as they are quoted in public.
    (
        "trainyard-dev-x already exists in stack arn:aws:cloudformation:eu-west-1:1:stack/a/b",
        "AWS::SNS::Topic",
    ): "prefix",
    ("The maximum number of VPCs has been reached.", "AWS::EC2::VPC"): "L-F678F1CE",
    ("The maximum number of addresses has been reached.", "AWS::EC2::EIP"): "L-0263D0A3",
    ("The maximum number of internet gateways has been reached.", "AWS::EC2::InternetGateway"): "L-A4707A72",
    (
        "Performing this operation would exceed the limit of 5 NAT gateways",
        "AWS::EC2::NatGateway",
    ): "L-FE5A380F",
    (
        "The account-level service limit 'ml.t3.medium for notebook instance usage' is 0 Instances, with"
        " current utilization of 0 Instances and a request delta of 1 Instances. Please use AWS Service"
        " Quotas to request an increase for this quota. (ResourceLimitExceeded)",
        "AWS::SageMaker::NotebookInstance",
    ): "notebook",
    (
        "You have requested more vCPU capacity than your current vCPU limit of 16 allows",
        "AWS::EC2::Instance",
    ): "max_vcpus",
    (
        "User: arn:aws:iam::123456789012:user/ana is not authorized to perform: ec2:CreateVpc on resource: *"
        " because no identity-based policy allows the ec2:CreateVpc action",
        "AWS::EC2::VPC",
    ): "statements Network*",
    (
        "User: arn:aws:iam::123456789012:user/ana is not authorized to perform: s3:CreateBucket on resource:"
        " x with an explicit deny in a service control policy",
        "AWS::S3::Bucket",
    ): "organisation",
    (
        "The Service Linked Role cannot be created: missing AWSServiceRoleForBatch",
        "AWS::Batch::JobQueue",
    ): "ServiceLinked",
    (
        "We currently do not have sufficient m5.large capacity in the zone",
        "AWS::EC2::Instance",
    ): "another instance type",
    (
        "The instance type ml.t3.medium is not supported in the availability zone use1-az3",
        "AWS::SageMaker::NotebookInstance",
    ): "zone",
    (
        "Network vpc-1 has some mapped public address(es). Please unmap",
        "AWS::EC2::VPCGatewayAttachment",
    ): "network interface",
    ("The CIDR '10.0.0.0/24' conflicts with another subnet", "AWS::EC2::Subnet"): "cidr",
    ("The vpc ID 'vpc-12345678' does not exist", "AWS::EC2::SecurityGroup"): "`vpc`",
    (
        "Unable to fetch parameters [/trainyard/dev/model-bucket] from parameter store for this account.",
        "",
    ): "/trainyard",
    ("Rate exceeded", "AWS::IAM::Role"): "wait",
    ("The security token included in the request is expired", "AWS::EC2::VPC"): "get new ones",
    (
        "Properties validation failed for resource X with message: extraneous key [Y]",
        "AWS::S3::Bucket",
    ): "synth",
}


@pytest.mark.parametrize(("reason", "kind"), CURES)
def test_known_reasons_have_their_cure(reason: str, kind: str) -> None:
    assert CURES[reason, kind] in cure_of(reason, kind)


def test_unknown_reason_has_none() -> None:
    assert cure_of("something else", "AWS::EC2::VPC") == ""
