"""Batch in CloudFormation: moto's compute environment needs a service role, and buys machines for its vCPUs.

Without one Batch uses its service-linked role ("AWS::Batch::ComputeEnvironment", ServiceRole). Jobs run as
processes here, so that an environment never has a machine; what it says of machines is kept and told.
"""

from __future__ import annotations

from typing import Any

from moto.batch.models import ComputeEnvironment

from ..batch import definitions
from ..world.world import backend_of
from .cloudformation import Made, Placement, Properties, after, ending, made

SERVICE_LINKED = "arn:aws:iam::{account}:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"


@made("AWS::Batch::ComputeEnvironment")
def make(properties: Properties, place: Placement) -> Any:
    """A compute environment that is valid and enabled, and has no machines."""
    backend = place.backend("batch")
    kind: Any = ComputeEnvironment  # abstract to a type checker: it leaves out what stacks do with it
    environment = kind(
        properties.get("ComputeEnvironmentName", place.name),
        properties["Type"],
        properties.get("State", "ENABLED"),
        _lowered(properties["ComputeResources"]),
        properties.get("ServiceRole") or SERVICE_LINKED.format(account=place.account),
        account_id=place.account,
        region_name=place.region,
    )
    backend._compute_environments[environment.arn] = environment
    backend.tag_resource(environment.arn, properties["Tags"])
    return environment


@ending("AWS::Batch::ComputeEnvironment")
def delete(environment: Any) -> None:
    """No machine has to go first."""
    _, _, _, region, account, _ = environment.arn.split(":", 5)
    backend_of("batch", account, region)._compute_environments.pop(environment.arn, None)


@made("AWS::Batch::JobDefinition")
def register(properties: Properties, place: Placement) -> Made:
    """A revision of a job definition; moto's forgets its timeout and what a job that fails is tried again
    for.
    """
    backend = place.backend("batch")
    named = {"jobDefinitionName": place.name, "type": "container"}
    request = {**named, **_lowered(properties), "tags": properties["Tags"]}
    if "parameters" in request:
        request["parameters"] = properties["Parameters"]
    prefix = f"arn:aws:batch:{place.region}:{place.account}:job-definition/"
    definition = definitions.register(backend._job_definitions, request, prefix)
    return Made(
        definition.arn, unmake=lambda: definitions.deregister(backend._job_definitions, definition.arn)
    )


@after("AWS::Batch::JobQueue")
def tag(queue: Any, properties: Properties, place: Placement) -> None:
    """moto gives no tags to a queue that a stack makes."""
    place.backend("batch").tag_resource(queue.arn, properties["Tags"])


def _lowered(value: Any) -> Any:
    """Keys as Batch's API has them; those of a container's options and labels are data."""
    if isinstance(value, list):
        return [_lowered(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key[0].lower() + key[1:]: each if key in ("Options", "Tags", "Parameters") else _lowered(each)
        for key, each in value.items()
    }
