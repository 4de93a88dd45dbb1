"""The image repository: immutable tags, scanned on push; untagged images go, but for the newest 50."""

from __future__ import annotations

import json

from aws_cdk import aws_ecr as ecr
from constructs import Construct

from ..environment import Environment

KEPT = 50
"""Untagged images that are kept. Tagged ones always are: job definitions name images by digest."""


def repository(scope: Construct, environment: Environment) -> ecr.CfnRepository:
    """The environment's repository, with a name of CloudFormation's."""
    # Create-only: another key makes another repository.
    encryption = ecr.CfnRepository.EncryptionConfigurationProperty(
        encryption_type="KMS" if environment.kms_key else "AES256", kms_key=environment.kms_key or None
    )
    return ecr.CfnRepository(
        scope,
        "Repository",
        encryption_configuration=encryption,
        image_scanning_configuration=ecr.CfnRepository.ImageScanningConfigurationProperty(scan_on_push=True),
        image_tag_mutability="IMMUTABLE",
        lifecycle_policy=ecr.CfnRepository.LifecyclePolicyProperty(lifecycle_policy_text=_lifecycle()),
    )


def _lifecycle() -> str:
    selection = {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": KEPT}
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    return json.dumps({"rules": [rule]}, separators=(",", ":"))
