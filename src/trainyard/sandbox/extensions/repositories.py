"""ECR in CloudFormation: moto's repository can't be made without a name and drops its lifecycle policy.

A name of CloudFormation's own is in lower case, as ECR demands of every name (the file `cloudformation.py`
sees to it); the lifecycle policy is put as its API call would ("AWS::ECR::Repository").
"""

from __future__ import annotations

from typing import Any

from .cloudformation import Placement, Properties, after, before


@before("AWS::ECR::Repository")
def as_the_api_says(properties: Properties, place: Placement) -> None:
    """CloudFormation begins the keys of these with a capital letter, ECR's API does not."""
    for key in ("ImageScanningConfiguration", "EncryptionConfiguration"):
        if key in properties:
            properties[key] = {name[0].lower() + name[1:]: value for name, value in properties[key].items()}


@after("AWS::ECR::Repository")
def put_lifecycle_policy(repository: Any, properties: Properties, place: Placement) -> None:
    """The policy that expires images."""
    if policy := properties.get("LifecyclePolicy"):
        backend = place.backend("ecr")
        backend.put_lifecycle_policy(repository.registry_id, repository.name, policy["LifecyclePolicyText"])
