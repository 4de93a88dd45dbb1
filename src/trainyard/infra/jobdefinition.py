"""The job definition of inference, which works before any image was pushed."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_batch as batch
from constructs import Construct

from ..core.environments.environment import Environment
from ..core.environments.retries import ATTEMPTS, RULES

PUBLIC_IMAGE = "public.ecr.aws/docker/library/python:3.12.11-slim-bookworm"
"""Python and CA certificates, of a fixed version, from ECR's public gallery."""
VCPUS, MEMORY_MIB, TIMEOUT = 4, 8_192, 3_600
"""Of one job: vCPUs, MiB, seconds of one attempt."""
_GREETING = "print('trainyard: submit inference jobs with `trainyard infer MODEL INPUT --on YARD`')"

_FIELDS = {"onStatusReason": "on_status_reason", "onReason": "on_reason", "onExitCode": "on_exit_code"}


def job_definition(
    scope: Construct,
    environment: Environment,
    *,
    name: str,
    job_role: str,
    execution_role: str,
    log_group: str,
) -> batch.CfnJobDefinition:
    """The definition; its image is `environment.batch.image`, by digest, or a public one of Python's."""
    definition = batch.CfnJobDefinition
    logs = definition.LogConfigurationProperty(
        log_driver="awslogs",
        options={
            "awslogs-group": log_group,
            "awslogs-region": Aws.REGION,
            "awslogs-stream-prefix": "inference",
        },
    )
    container = definition.ContainerPropertiesProperty(
        image=environment.batch.image or PUBLIC_IMAGE,
        command=["python3", "-c", _GREETING],
        resource_requirements=[
            definition.ResourceRequirementProperty(type="VCPU", value=str(VCPUS)),
            definition.ResourceRequirementProperty(type="MEMORY", value=str(MEMORY_MIB)),
        ],
        job_role_arn=job_role,
        execution_role_arn=execution_role,
        log_configuration=logs,
        privileged=False,
    )
    rules = [
        definition.EvaluateOnExitProperty(action=action, **{_FIELDS[field]: pattern})
        for field, pattern, action in RULES
    ]
    return definition(
        scope,
        "JobDefinition",
        type="container",
        job_definition_name=name,
        platform_capabilities=["EC2"],
        propagate_tags=True,
        container_properties=container,
        retry_strategy=definition.RetryStrategyProperty(attempts=ATTEMPTS, evaluate_on_exit=rules),
        timeout=definition.TimeoutProperty(attempt_duration_seconds=TIMEOUT),
        # Jobs that wait with an old revision go on with it.
        resource_retention_policy=definition.ResourceRetentionPolicyProperty(skip_deregister_on_update=True),
    )
