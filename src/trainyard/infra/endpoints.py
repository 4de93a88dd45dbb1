"""VPC endpoints: AWS services without a way over the internet, and policies on what may pass.

S3's names the buckets that jobs work with and those that images come from; an image pull fails without them:
ECR keeps layers in `prod-<region>-starport-layer-bucket` ("Amazon ECR interface VPC endpoints", ECR user
guide), Amazon Linux its packages in `al2023-repos-<region>-de612dc2`: in each region's bucket that ends so,
and not in whatever somebody has called alike.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import Fn
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from ..core.environments.environment import Environment
from .statements import (
    DATASET_BUCKET,
    MODEL_BUCKET,
    READ_OBJECT,
    READ_VERSION,
    REPOSITORY,
    WRITE_OBJECT,
    Statement,
    allow,
    arn,
    bucket_arn,
    document,
    objects,
)

_OF_BUCKETS = ("s3:DeleteObject", "s3:GetBucketLocation", "s3:ListBucket*")
_IMAGES = ("=prod-${AWS::Region}-starport-layer-bucket", "=al2023-repos-${AWS::Region}-de612dc2")


def add_gateway_endpoint(
    scope: Construct, environment: Environment, vpc_id: str, route_table_ids: list[str]
) -> None:
    """The gateway endpoint of S3, which costs nothing, for the route tables."""
    ec2.CfnVPCEndpoint(
        scope,
        "S3Endpoint",
        vpc_id=vpc_id,
        service_name=_service("s3"),
        vpc_endpoint_type="Gateway",
        route_table_ids=route_table_ids,
        policy_document=_s3_policy(environment),
    )


def add_interface_endpoints(
    scope: Construct, environment: Environment, vpc: ec2.CfnVPC, subnet_ids: list[str]
) -> None:
    """An interface endpoint for each service that the environment names, in each of the subnets."""
    if not environment.endpoints:
        return
    group = ec2.CfnSecurityGroup(
        scope,
        "EndpointSecurityGroup",
        group_description="HTTPS from inside the VPC to its interface endpoints",
        vpc_id=vpc.ref,
        security_group_ingress=[
            ec2.CfnSecurityGroup.IngressProperty(
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                cidr_ip=environment.cidr,
                description="HTTPS from the VPC",
            )
        ],
    )
    for service in environment.endpoints:
        ec2.CfnVPCEndpoint(
            scope,
            "".join(part.capitalize() for part in service.replace("-", ".").split(".")) + "Endpoint",
            vpc_id=vpc.ref,
            service_name=_service(service),
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=subnet_ids,
            security_group_ids=[group.ref],
            policy_document=_ecr_policy() if service.startswith("ecr.") else _own_account_policy(),
        )


def _service(name: str) -> str:
    return Fn.sub(f"com.amazonaws.${{AWS::Region}}.{name}")


def _s3_policy(environment: Environment) -> dict[str, Any]:
    mine = [each for name in (DATASET_BUCKET, MODEL_BUCKET) for each in (bucket_arn(name), *objects(name))]
    readable = [f"={name}" for name in environment.read_buckets]
    statements = [
        allow([*READ_OBJECT, *READ_VERSION, *WRITE_OBJECT, *_OF_BUCKETS], mine),
        # Layers and packages are fetched with signatures of AWS's own, or none: no principal to name.
        allow(["s3:GetObject"], [each for name in _IMAGES for each in objects(name)]),
    ]
    if readable:
        places = [each for name in readable for each in (bucket_arn(name), *objects(name))]
        statements.append(allow([*READ_OBJECT, "s3:ListBucket"], places))
    return document(*map(_anyone, statements))


def _ecr_policy() -> dict[str, Any]:
    # Reading from any registry, AWS's own among them; writing to the environment's alone.
    own = arn("ecr", f"repository/${{{REPOSITORY}}}")
    reads = ["ecr:BatchCheck*", "ecr:BatchGet*", "ecr:Describe*", "ecr:Get*"]
    return document(_anyone(allow(reads, "*")), _anyone(allow(["ecr:*"], own)))


def _own_account_policy() -> dict[str, Any]:
    # Calls signed by another account's credentials can't leave through the endpoint.
    condition = {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}
    return document(_anyone(allow(["*"], "*", condition)))


def _anyone(statement: Statement) -> Statement:
    return {**statement, "Principal": "*"}
