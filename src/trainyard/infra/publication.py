"""Publishes a stack's facts as SSM parameters, where the people's side looks for them."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import aws_ssm as ssm
from constructs import Construct

from ..core.environments.environment import Environment
from ..core.environments.facts import (
    DATA_PARAMETERS,
    OPTIONAL_PARAMETERS,
    PLATFORM_PARAMETERS,
    parameter_name,
)

_KNOWN = {**DATA_PARAMETERS, **PLATFORM_PARAMETERS, **OPTIONAL_PARAMETERS}


class Publication(Construct):
    """`/trainyard/<environment>/<name>` for each fact; a name that `facts.py` lacks is a KeyError."""

    def __init__(self, scope: Construct, environment: Environment, facts: Mapping[str, str]) -> None:
        super().__init__(scope, "Fact")
        for name, value in facts.items():
            ssm.CfnParameter(
                self,
                "".join(part.capitalize() for part in name.split("-")),
                name=parameter_name(environment.name, _known(name)),
                type="String",
                value=value,
            )


def _known(name: str) -> str:
    if name not in _KNOWN:
        raise KeyError(name)
    return name
