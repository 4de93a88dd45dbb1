"""What a request asks for, as IAM sees it: actions, the resources that they are on, condition keys.

"Actions, resources, and condition keys" of the Service Authorization Reference. An action on a resource that
is not in the tables here is on None: any resource that a policy names fits it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ..api.dispatch import ApiRequest
from ..api.protocols import AwsError
from ..world.world import World
from . import s3actions
from .policies import Context

PREFIXES = {
    "resourcegroupstaggingapi": "tag",
    "stepfunctions": "states",
    "elbv2": "elasticloadbalancing",
    "elb": "elasticloadbalancing",
}
"""What IAM calls a service that botocore calls otherwise."""
FREE = frozenset({("sts", "GetCallerIdentity"), ("sts", "GetSessionToken")})
"""Operations that need no permission."""


Finder = Callable[[World, str, Mapping[str, Any]], list[str | None]]
"""An operation and its parameters -> the resources that it is on; [] for all."""


class AccessRequest(NamedTuple):
    """One thing that a request does; `resource` None is any."""

    action: str
    resource: str | None
    context: Context = MappingProxyType({})


def access_requests(world: World, request: ApiRequest) -> list[AccessRequest]:
    """All that a request does. It is allowed when each of them is."""
    if (request.service, request.operation) in FREE:
        return []
    if request.service in ("s3", ""):
        return [AccessRequest(*asked) for asked in s3actions.actions(request.environ)]
    action = f"{PREFIXES.get(request.service, request.service)}:{request.operation or 'Unknown'}"
    try:
        parameters = request.parameters
    except AwsError:  # whoever answers says what is wrong with them
        parameters = {}
    resources = _resources(world, request, parameters)
    passed = [
        AccessRequest("iam:PassRole", role, {"iam:passedtoservice": None if "," in services else services})
        for role, services in _passed_roles(request.service, request.operation, parameters)
    ]
    context = _context(request.service, request.operation, parameters)
    return [*(AccessRequest(action, resource, context) for resource in resources), *passed]


def _resources(world: World, request: ApiRequest, parameters: Mapping[str, Any]) -> Sequence[str | None]:
    find = _FINDERS.get(request.service)
    if find is None:
        return [None]
    return find(world, request.operation, parameters) or ["*"]


def _context(service: str, operation: str, parameters: Mapping[str, Any]) -> Context:
    """What a training job asks for, by SageMaker's condition keys, and whose metrics are written; of other
    operations nothing is known."""
    if service == "cloudwatch":
        return {"cloudwatch:namespace": parameters.get("Namespace")}
    if (service, operation) != ("sagemaker", "CreateTrainingJob"):
        return {}
    machines, network = parameters.get("ResourceConfig") or {}, parameters.get("VpcConfig") or {}
    kinds = [
        machines.get("InstanceType"),
        *(each["InstanceType"] for each in machines.get("InstanceGroups", ())),
    ]
    return {
        "sagemaker:instancetypes": [each for each in kinds if each],
        "sagemaker:vpcsubnets": network.get("Subnets"),
        "sagemaker:vpcsecuritygroupids": network.get("SecurityGroupIds"),
        "sagemaker:volumekmskey": machines.get("VolumeKmsKeyId"),
        "sagemaker:volumekmskeyarn": machines.get("VolumeKmsKeyId"),
        "sagemaker:intercontainertrafficencryption": str(
            parameters.get("EnableInterContainerTrafficEncryption", False)
        ).lower(),
    }


def _passed_roles(service: str, operation: str, parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    if service == "sagemaker" and operation.startswith("Create") and parameters.get("RoleArn"):
        return [(parameters["RoleArn"], "sagemaker.amazonaws.com")]
    if (service, operation) == ("batch", "RegisterJobDefinition"):
        container = parameters.get("containerProperties") or {}
        roles = [container[key] for key in ("jobRoleArn", "executionRoleArn") if container.get(key)]
        return [(role, "ecs-tasks.amazonaws.com") for role in roles]
    return []


def _logs(world: World, operation: str, parameters: Mapping[str, Any]) -> list[str | None]:
    group = parameters.get("logGroupName") or parameters.get("logGroupIdentifier") or ""
    if not group:
        return [world.arn("logs", "log-group:*")] if operation == "DescribeLogGroups" else []
    arn = group.removesuffix(":*") if group.startswith("arn:") else world.arn("logs", f"log-group:{group}")
    if operation in ("CreateLogGroup", "DeleteLogGroup", "PutRetentionPolicy", "DeleteRetentionPolicy"):
        return [arn]
    return [f"{arn}:log-stream:{parameters.get('logStreamName', '')}"]


def _ssm(world: World, operation: str, parameters: Mapping[str, Any]) -> list[str | None]:
    names = [*parameters.get("Names", ()), parameters.get("Name"), parameters.get("Path")]
    if operation == "DescribeParameters":
        return []
    return [
        name if name.startswith("arn:") else world.arn("ssm", f"parameter/{name.strip('/')}")
        for name in names
        if name
    ]


def _secretsmanager(world: World, operation: str, parameters: Mapping[str, Any]) -> list[str | None]:
    asked = parameters.get("SecretId") or parameters.get("Name")
    if not asked:
        return []
    if asked.startswith("arn:"):
        return [asked]
    secret = world.backend("secretsmanager").secrets.get(asked)
    return [secret.arn if secret else world.arn("secretsmanager", f"secret:{asked}-??????")]


def _ecr(world: World, operation: str, parameters: Mapping[str, Any]) -> list[str | None]:
    names = [parameters.get("repositoryName"), *parameters.get("repositoryNames", ())]
    return [world.arn("ecr", f"repository/{name}") for name in names if name]


_SAGEMAKER = {
    "TrainingJobName": "training-job",
    "NotebookInstanceName": "notebook-instance",
    "ModelPackageGroupName": "model-package-group",
    "ModelPackageName": "model-package",
    "NotebookInstanceLifecycleConfigName": "notebook-instance-lifecycle-config",
}


def _sagemaker(world: World, operation: str, parameters: Mapping[str, Any]) -> list[str | None]:
    if parameters.get("ResourceArn"):
        return [parameters["ResourceArn"]]
    if operation.startswith("List") or operation in ("Search", "GetSearchSuggestions"):
        return []
    for key, kind in _SAGEMAKER.items():
        if name := parameters.get(key):
            return [name if name.startswith("arn:") else world.arn("sagemaker", f"{kind}/{name}")]
    return [None]


def _batch(world: World, operation: str, parameters: Mapping[str, Any]) -> list[str | None]:
    def named(kind: str, name: str) -> str:
        return name if name.startswith("arn:") else world.arn("batch", f"{kind}/{name}")

    if operation == "SubmitJob":
        queue, definition = parameters.get("jobQueue", ""), parameters.get("jobDefinition", "")
        return [named("job-queue", queue), named("job-definition", definition)]
    if operation in ("CancelJob", "TerminateJob"):
        return [named("job", parameters.get("jobId", ""))]
    if operation in ("TagResource", "UntagResource", "ListTagsForResource"):
        return [parameters.get("resourceArn")]
    if operation == "RegisterJobDefinition":
        return [named("job-definition", parameters.get("jobDefinitionName", ""))]
    return [] if operation.startswith(("Describe", "List")) else [None]


def _iam(world: World, operation: str, parameters: Mapping[str, Any]) -> list[str | None]:
    if parameters.get("PolicySourceArn") or (parameters.get("PolicyArn") and operation.startswith("Get")):
        return [parameters.get("PolicySourceArn") or parameters["PolicyArn"]]
    if role := parameters.get("RoleName"):
        known = next((each for each in world.backend("iam").roles.values() if each.name == role), None)
        return [known.arn if known else f"arn:aws:iam::{world.account}:role/{role}"]
    return [] if operation.startswith("List") else [None]


def _named(*keys: str) -> Finder:
    """What finds the resource by its ARN, in the first of these parameters that there is."""
    return lambda _, __, parameters: [next((parameters[key] for key in keys if parameters.get(key)), None)]


def _kms(world: World, operation: str, parameters: Mapping[str, Any]) -> list[str | None]:
    key = parameters.get("KeyId", "")
    return [key if key.startswith("arn:") else world.arn("kms", f"key/{key}") if key else None]


def _no_resource(world: World, operation: str, parameters: Mapping[str, Any]) -> list[str | None]:
    return ["*"] if operation.startswith(("Describe", "List", "Get", "Put")) else [None]


_FINDERS: dict[str, Finder] = {
    "batch": _batch,
    "cloudwatch": _no_resource,
    "ec2": _no_resource,
    "ecr": _ecr,
    "iam": _iam,
    "kms": _kms,
    "logs": _logs,
    "sagemaker": _sagemaker,
    "secretsmanager": _secretsmanager,
    "sns": _named("TopicArn", "TargetArn", "ResourceArn"),
    "ssm": _ssm,
    "sts": _named("RoleArn"),
}
