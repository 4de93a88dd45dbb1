"""The KMS key of an environment, a parameter of its platform stack (its ARN is long and wanted often), and
the log groups that it encrypts."""

from __future__ import annotations

from aws_cdk import CfnParameter, Fn, RemovalPolicy, Stack
from aws_cdk import aws_logs as logs
from constructs import Construct

from ..core.environments.environment import Environment
from .statements import KEY


def take_key(stack: Stack, environment: Environment) -> None:
    """Make the parameter, where the environment has a key."""
    if environment.kms_key:
        CfnParameter(stack, KEY, type="String", default=environment.kms_key)


def key_of(environment: Environment) -> str | None:
    """The key for a resource's property; None without one."""
    return Fn.ref(KEY) if environment.kms_key else None


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
