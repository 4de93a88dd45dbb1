"""The stacks of the environment `sandbox`, deployed into moto's memory when the sandbox starts.

Their templates come with trainyard, synthesised beforehand (`make templates`), so that neither Node.js nor
the CDK is needed here. They are those of `Environment(name="sandbox")`, all defaults.
"""

from __future__ import annotations

import os

from ...core.environments.environment import Environment, stack_tags
from ...core.environments.facts import MODELS, TRAINING_LOG_GROUP, parameter_name
from .. import extensions
from ..address import CONFIGURATION
from ..world.world import World

ENVIRONMENT = Environment(name="sandbox")
"""What is deployed here."""
FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "templates")
FILES = {"data.json": ENVIRONMENT.data_stack_name, "platform.json": ENVIRONMENT.stack_name}
"""The templates' files and the stacks that are made of them, in this order."""


def deploy(world: World) -> None:
    """Make both stacks and all that they hold, and what `trainyard deploy` makes besides."""
    extensions.install(world.region)
    with world.lock:
        for file, stack in FILES.items():
            world.backend("cloudformation").create_stack(
                name=stack,
                template=template(file),
                parameters={},
                tags=stack_tags(ENVIRONMENT),
                enable_termination_protection=stack == ENVIRONMENT.data_stack_name,
            )
        logs = world.backend("logs")
        logs.ensure_log_group(TRAINING_LOG_GROUP)
        logs.put_retention_policy(TRAINING_LOG_GROUP, ENVIRONMENT.retention.log_days)
        _write_configuration(world)


def template(file: str) -> str:
    """The text of a template."""
    with open(os.path.join(FOLDER, file), encoding="utf-8") as stream:
        return stream.read()


def _write_configuration(world: World) -> None:
    """A file for SageMaker's Python SDK: it asks a host of its own for the account, to name a bucket."""
    bucket = world.backend("ssm").get_parameter(parameter_name(ENVIRONMENT.name, "model-bucket")).value
    lines = (
        "SchemaVersion: '1.0'",
        "SageMaker:",
        "  PythonSDK:",
        "    Modules:",
        "      Session:",
        f"        DefaultS3Bucket: {bucket}",
        f"        DefaultS3ObjectKeyPrefix: {MODELS.rstrip('/')}",
    )
    with open(os.path.join(world.folder, CONFIGURATION), "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
