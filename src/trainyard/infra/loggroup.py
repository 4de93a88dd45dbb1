"""Log groups: kept for as long as the environment says, encrypted with its key where it has one."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from ..environment import Environment
from .key import key_of


def log_group(scope: Construct, name: str, environment: Environment) -> logs.CfnLogGroup:
    """A log group with a name of CloudFormation's, which goes with its stack."""
    group = logs.CfnLogGroup(
        scope,
        name,
        retention_in_days=environment.retention.log_days,
        kms_key_id=key_of(environment),
    )
    group.apply_removal_policy(RemovalPolicy.DESTROY)
    return group
