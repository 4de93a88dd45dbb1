"""IAM statements, the grammar that every policy here is written in. Pure: CloudFormation's own JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.environments.environment import Environment
from ..core.environments.facts import MODELS

Statement = dict[str, Any]
DATASET_BUCKET, MODEL_BUCKET, REPOSITORY, KEY = "DatasetBucket", "ModelBucket", "Repository", "KmsKey"
"""The platform stack's CloudFormation parameters, as `Fn::Sub` names them."""
REGISTRIES = "DeepLearningContainers"
"""Its mapping from a region to the account whose images are pulled there."""

PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
PUSH = ("ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart")
READ_OBJECT = ("s3:GetObject",)
READ_VERSION = ("s3:GetObjectVersion",)
WRITE_OBJECT = ("s3:AbortMultipartUpload", "s3:PutObject")


OWN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
"""The condition that a service acts on behalf of this account."""
_PLAIN_HTTP = {"Bool": {"aws:SecureTransport": "false"}}
_UNCONDITIONAL = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}


def sub(text: str) -> dict[str, str]:
    """`Fn::Sub` of the text."""
    return {"Fn::Sub": text}


def arn(service: str, resource: str) -> dict[str, str]:
    """The ARN of a resource of this account and region; `resource` may hold `*` and `${…}`."""
    return sub(f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}")


def objects(bucket: str, *prefixes: str) -> list[dict[str, str]]:
    """The objects below `prefixes` of a bucket; `bucket` is a parameter's name, or `=name` a literal one."""
    whole = bucket_arn(bucket)["Fn::Sub"]
    return [sub(f"{whole}/{prefix}*") for prefix in prefixes or ("",)]


def bucket_arn(bucket: str) -> dict[str, str]:
    """A bucket itself; `bucket` as in `objects`."""
    name = bucket[1:] if bucket.startswith("=") else f"${{{bucket}}}"
    return sub(f"arn:${{AWS::Partition}}:s3:::{name}")


def allow(actions: Sequence[str], resources: Any, condition: Mapping[str, Any] | None = None) -> Statement:
    """An Allow statement; one action or resource stands alone, as it is shortest."""
    statement = {"Effect": "Allow", "Action": _one(list(actions)), "Resource": _one(resources)}
    return {**statement, "Condition": dict(condition)} if condition else statement


def allow_service(
    service: str, action: str, resource: Any = None, condition: Mapping[str, Any] | None = None
) -> Statement:
    """An Allow statement for a service of AWS; trust policies name no resource: it is their own."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": action}
    statement |= {"Resource": resource} if resource else {}
    return {**statement, "Condition": condition} if condition else statement


def only_tls(action: str, resource: Any) -> Statement:
    """Deny to everybody what comes over plain HTTP."""
    statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource}
    return {**statement, "Condition": _PLAIN_HTTP}


def written_once(resource: Any) -> Statement:
    """Deny to everybody to write objects unless there are none yet.

    Of an upload in parts the last request alone takes a condition ("Enforce conditional writes on Amazon S3
    buckets", S3 user guide).
    """
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": resource}
    return {**statement, "Condition": _UNCONDITIONAL}


def document(*statements: Statement) -> dict[str, Any]:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def trust(service: str, *, own_account: bool) -> dict[str, Any]:
    """Who may assume a role: a service, and with `own_account` only on behalf of this account.

    The condition guards against the confused deputy where the service sends `aws:SourceAccount` (IAM user
    guide, "The confused deputy problem").
    """
    condition = OWN_ACCOUNT if own_account else None
    return document(allow_service(service, "sts:AssumeRole", condition=condition))


def list_bucket(bucket: str, *prefixes: str) -> Statement:
    """List a bucket below `prefixes` alone."""
    condition = {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}}
    return allow(["s3:ListBucket"], bucket_arn(bucket), condition)


def read(*folders: str) -> list[Statement]:
    """Read and list the whole data set bucket, since people copy data wherever they like, and what lies in
    these folders of the model bucket."""
    return [
        allow(READ_OBJECT, [*objects(DATASET_BUCKET), *objects(MODEL_BUCKET, *folders)]),
        allow(["s3:ListBucket"], bucket_arn(DATASET_BUCKET)),
        list_bucket(MODEL_BUCKET, *folders),
    ]


def read_model_versions() -> Statement:
    """Read the version of a model that was recorded, whatever has been put in its place since."""
    return allow(READ_VERSION, objects(MODEL_BUCKET, MODELS))


def read_secrets(environment: Environment) -> Statement:
    """Read the environment's own secrets, and no other of the account: those called `<stack>/…`.

    Secrets Manager ends an ARN with six characters of its own after the name.
    """
    secrets = arn("secretsmanager", f"secret:{environment.stack_name}/*")
    return allow(["secretsmanager:GetSecretValue"], secrets)


def read_buckets(names: Sequence[str]) -> list[Statement]:
    """Read and list whole buckets that are not the environment's."""
    return [
        allow(READ_OBJECT, [each for name in names for each in objects(f"={name}")]),
        allow(["s3:ListBucket"], [bucket_arn(f"={name}") for name in names]),
    ]


def pull_images() -> list[Statement]:
    """Pull from the environment's repository and from AWS's Deep Learning Containers of the region."""
    own = arn("ecr", f"repository/${{{REPOSITORY}}}")
    account = {"Fn::FindInMap": [REGISTRIES, {"Ref": "AWS::Region"}, "id"]}
    text = "arn:${AWS::Partition}:ecr:${AWS::Region}:${Account}:repository/*"
    containers = {"Fn::Sub": [text, {"Account": account}]}
    return [allow(["ecr:GetAuthorizationToken"], "*"), allow(PULL, [own, containers])]


def use_key(kms_key: str) -> list[Statement]:
    """Encrypt and decrypt with the environment's key; [] without one.

    Grants are for the volumes of training jobs ("CreateTrainingJob API: Execution Role Permissions").
    """
    if not kms_key:
        return []
    key = {"Ref": KEY}
    return [
        allow(["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"], key),
        allow(["kms:CreateGrant"], key, {"Bool": {"kms:GrantIsForAWSResource": "true"}}),
    ]


def join_network() -> Statement:
    """What SageMaker needs of a role to put network interfaces into a VPC ("Amazon SageMaker Roles").

    On `*`: SageMaker's own SDK simulates the role on it and refuses one that is narrower.
    """
    return allow(
        [
            "ec2:CreateNetworkInterface",
            "ec2:CreateNetworkInterfacePermission",
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteNetworkInterfacePermission",
            "ec2:DescribeDhcpOptions",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
        ],
        "*",
    )


def _one(items: Any) -> Any:
    return items[0] if isinstance(items, list) and len(items) == 1 else items
