"""CloudFormation: moto deletes a stack that is under termination protection, and can't change the
protection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api.dispatch import PASS, ApiRequest, operation
from ..api.protocols import AwsError
from ..world.world import World


@operation("cloudformation", "DeleteStack")
def delete(world: World, request: ApiRequest) -> Any:
    """Refuse, in CloudFormation's words, to delete what is protected; the rest is moto's."""
    stack = _stack(world, request.parameters["StackName"])
    if stack is not None and stack.enable_termination_protection:
        message = f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
        raise AwsError("ValidationError", message)
    return PASS


@operation("cloudformation", "UpdateTerminationProtection")
def update(world: World, request: ApiRequest) -> Mapping[str, Any]:
    """Protect a stack from being deleted, or protect it no more."""
    stack = _stack(world, request.parameters["StackName"])
    if stack is None:
        message = f"Stack [{request.parameters['StackName']}] does not exist"
        raise AwsError("ValidationError", message)
    stack.enable_termination_protection = request.parameters["EnableTerminationProtection"]
    return {"StackId": stack.stack_id}


def _stack(world: World, name: str) -> Any:
    stacks = world.backend("cloudformation").stacks
    return next((stack for stack in stacks.values() if name in (stack.name, stack.stack_id)), None)
