"""What CreateTrainingJob refuses that is not in its model, in AWS's words where they are known."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..api.protocols import AwsError
from ..world.world import World

LOCAL_CHECKPOINTS = "/opt/ml/checkpoints"
_ROOT = "/opt/ml/"


def check(world: World, request: Mapping[str, Any]) -> None:
    """Raises AwsError for a request that makes no training job, here or on AWS."""
    _check_algorithm(request["AlgorithmSpecification"])
    _check_stopping(request)
    _check_channels(request)
    _check_checkpoints(request.get("CheckpointConfig"))
    _check_tags(request.get("Tags", []))
    _check_cluster(request.get("ResourceConfig"))
    _check_role(world, request["RoleArn"])


def _refuse(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def _check_algorithm(algorithm: Mapping[str, Any]) -> None:
    if bool(algorithm.get("TrainingImage")) == bool(algorithm.get("AlgorithmName")):
        raise _refuse("You must specify either TrainingImage or AlgorithmName, and not both")
    if algorithm.get("AlgorithmName"):
        raise _refuse("The sandbox does not emulate algorithms: name a TrainingImage")
    for definition in algorithm.get("MetricDefinitions", []):
        try:
            groups = re.compile(definition["Regex"]).groups
        except re.error as error:
            raise _refuse(f"Invalid regular expression {definition['Regex']!r} for metric: {error}") from None
        if not groups:
            raise _refuse(f"The regular expression {definition['Regex']!r} of a metric has no group")


def _check_stopping(request: Mapping[str, Any]) -> None:
    condition = request.get("StoppingCondition", {})
    wait, run = condition.get("MaxWaitTimeInSeconds"), condition.get("MaxRuntimeInSeconds", 86_400)
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < run:
            message = "It must be present and be greater than or equal to MaxRuntimeInSeconds"
            raise _refuse(f"Invalid MaxWaitTimeInSeconds. {message}")
    elif wait is not None:
        raise _refuse("MaxWaitTimeInSeconds above 0 is set but EnableManagedSpotTraining is not true")


def _check_channels(request: Mapping[str, Any]) -> None:
    channels = request.get("InputDataConfig", [])
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) < len(names):
        raise _refuse("Input channel names must be unique")
    default = request["AlgorithmSpecification"]["TrainingInputMode"]
    for channel in channels:
        mode = channel.get("InputMode", default)
        source = channel["DataSource"].get("S3DataSource")
        if mode == "Pipe":
            raise _refuse(f"Channel {channel['ChannelName']}: the sandbox does not emulate Pipe mode")
        if source is None:
            raise _refuse(f"Channel {channel['ChannelName']}: the sandbox emulates S3DataSource alone")
        if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
            message = f"the sandbox does not emulate {source['S3DataType']}"
            raise _refuse(f"Channel {channel['ChannelName']}: {message}")


def _check_checkpoints(checkpoints: Mapping[str, Any] | None) -> None:
    path = (checkpoints or {}).get("LocalPath", LOCAL_CHECKPOINTS).rstrip("/")
    taken = ("/opt/ml", "/opt/ml/input", "/opt/ml/model", "/opt/ml/output")
    if not path.startswith(_ROOT) or path in taken or ".." in path.split("/"):
        raise _refuse(f"Checkpoint LocalPath {path}: the sandbox takes a folder of its own below /opt/ml")


def _check_tags(tags: list[Mapping[str, str]]) -> None:
    keys = [tag["Key"] for tag in tags]
    if len(set(keys)) < len(keys):
        raise _refuse("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    for key in keys:
        if key.lower().startswith("aws:"):
            raise _refuse(f"aws: prefixed tag key names are not allowed for external use: {key}")


def _check_cluster(cluster: Mapping[str, Any] | None) -> None:
    if cluster is None:
        raise _refuse("The sandbox does not emulate serverless jobs: ResourceConfig is needed")
    if cluster.get("InstanceGroups"):
        return
    if not cluster.get("InstanceType") or not cluster.get("InstanceCount"):
        raise _refuse("ResourceConfig needs InstanceType and InstanceCount, or InstanceGroups")


def _check_role(world: World, arn: str) -> None:
    """SageMaker assumes the role at once, to see whether it may."""
    role = next((role for role in world.backend("iam").roles.values() if role.arn == arn), None)
    if role is None or not _trusts_sagemaker(role.assume_role_policy_document):
        message = (
            "Please ensure that the role exists and allows principal 'sagemaker.amazonaws.com' to assume"
        )
        raise _refuse(f"Could not assume role {arn}. {message} the role.")


def _trusts_sagemaker(document: Any) -> bool:
    text = document if isinstance(document, str) else json.dumps(document)
    return "sagemaker.amazonaws.com" in text or '"*"' in text
