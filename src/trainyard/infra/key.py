"""The KMS key of an environment, a parameter of its platform stack: its ARN is long and wanted often."""

from __future__ import annotations

from aws_cdk import CfnParameter, Fn, Stack

from ..environment import Environment
from .statements import KEY


def take_key(stack: Stack, environment: Environment) -> None:
    """Make the parameter, where the environment has a key."""
    if environment.kms_key:
        CfnParameter(stack, KEY, type="String", default=environment.kms_key)


def key_of(environment: Environment) -> str | None:
    """The key for a resource's property; None without one."""
    return Fn.ref(KEY) if environment.kms_key else None
