"""SageMaker's model registry: to moto every CreateModelPackage makes a package, whatever its ClientToken.

"A unique token that guarantees that the call to this API is idempotent" (CreateModelPackage, SageMaker API).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api.dispatch import ApiRequest, operation
from ..world.world import World


class Packages:
    """The ARNs of the model packages that were made with a token, by it."""

    def __init__(self, _: World) -> None:
        self.made: dict[str, str] = {}

    def end(self) -> None:
        """Nothing of it runs."""


@operation("sagemaker", "CreateModelPackage")
def create_package(world: World, request: ApiRequest) -> Mapping[str, Any]:
    """The package that the token made before, or a new one of moto's."""
    token, made = request.parameters.get("ClientToken"), world.part(Packages).made
    if token in made:
        return {"ModelPackageArn": made[token]}
    answer = request.forwarded()
    if token:
        made[token] = answer["ModelPackageArn"]
    return answer
