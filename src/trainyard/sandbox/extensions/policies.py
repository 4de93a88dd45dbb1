"""IAM in CloudFormation: moto's role has none of the managed policies that its properties name.

`AWS::IAM::RolePolicy`, a policy that is put into a role from outside, it does not know at all.
"""

from __future__ import annotations

import json
from typing import Any

from .cloudformation import Made, Placement, Properties, after, before, ending, made


@after("AWS::IAM::Role")
def attach(role: Any, properties: Properties, place: Placement) -> None:
    """The managed policies of a role."""
    for arn in properties.get("ManagedPolicyArns", []):
        place.backend("iam").attach_role_policy(arn, role.name)


@ending("AWS::IAM::Role")
def detach(role: Any) -> None:
    """A role goes with what its stack attached to it."""
    for policy in list(role.managed_policies.values()):
        policy.detach_from(role)
    role.policies.clear()


@before("AWS::IAM::ManagedPolicy")
def with_path(properties: Properties, place: Placement) -> None:
    """A managed policy lies under `/` where nothing else is said."""
    properties.setdefault("Path", "/")
    properties.setdefault("Description", "")


@made("AWS::IAM::RolePolicy")
def put(properties: Properties, place: Placement) -> Made:
    """An inline policy of a role that is there."""
    backend, role, name = place.backend("iam"), properties["RoleName"], properties["PolicyName"]
    backend.put_role_policy(role, name, json.dumps(properties["PolicyDocument"]))
    return Made(f"{name}|{role}", unmake=lambda: backend.delete_role_policy(role, name))
