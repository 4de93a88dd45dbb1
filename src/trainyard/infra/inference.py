"""Batch inference on spot: machines that come with the jobs and go with them, a queue, a job definition."""

from __future__ import annotations

from aws_cdk import Aws, Fn
from aws_cdk import aws_batch as batch
from constructs import Construct

from ..core.environments.environment import Environment
from ..core.environments.facts import CODE, MODELS, PREDICTIONS, job_name_prefix
from ..core.environments.retries import ATTEMPTS, RULES
from .key import log_group
from .machines import Machines
from .network import Network
from .roles import Roles
from .statements import (
    MODEL_BUCKET,
    WRITE_OBJECT,
    Statement,
    allow,
    objects,
    read,
    read_model_versions,
    read_secrets,
    use_key,
)

PRIORITY = 1
PUBLIC_IMAGE = "public.ecr.aws/docker/library/python:3.12.11-slim-bookworm"
"""Python and CA certificates, of a fixed version, from ECR's public gallery."""
VCPUS, MEMORY_MIB, TIMEOUT = 4, 8_192, 3_600
"""Of one job: vCPUs, MiB, seconds of one attempt."""
_GREETING = "print('trainyard: submit inference jobs with `trainyard infer MODEL INPUT --on YARD`')"

_FIELDS = {"onStatusReason": "on_status_reason", "onReason": "on_reason", "onExitCode": "on_exit_code"}


class Inference(Construct):
    """`queue`, `gpu_queue` (or None), `job_definition`, `job_role`, `execution_role` and `log_group`."""

    def __init__(self, scope: Construct, environment: Environment, network: Network, roles: Roles) -> None:
        super().__init__(scope, "Inference")
        self.log_group = log_group(self, "LogGroup", environment)
        self.job_role = roles.make(
            self, "JobRole", "ecs-tasks.amazonaws.com", job_statements(environment), reads_buckets=True
        )
        write_log = allow(["logs:CreateLogStream", "logs:PutLogEvents"], self.log_group.attr_arn)
        self.execution_role = roles.make(
            self, "ExecutionRole", "ecs-tasks.amazonaws.com", [write_log], pulls_images=True
        )
        machines = Machines(self, environment, network, roles, write_log)
        self.queue = self._queue("Queue", machines.general())
        accelerated = machines.accelerated()
        self.gpu_queue = self._queue("GpuQueue", accelerated) if accelerated else None
        self.job_definition_name = f"{job_name_prefix(environment.prefix, environment.name)}inference"
        self.job_definition = self._definition(environment)

    @property
    def queue_arns(self) -> list[str]:
        """The ARNs of all queues."""
        return [queue.ref for queue in (self.queue, self.gpu_queue) if queue is not None]

    @property
    def queue_names(self) -> dict[str, str]:
        """The names of all queues, which CloudFormation gives them, the end of their ARNs: of the usual one
        by "", of that with GPUs by "Gpu"."""
        queues = {"": self.queue, "Gpu": self.gpu_queue}
        return {name: Fn.select(1, Fn.split("/", queue.ref)) for name, queue in queues.items() if queue}

    def _queue(self, name: str, environments: list[batch.CfnComputeEnvironment]) -> batch.CfnJobQueue:
        order = [
            batch.CfnJobQueue.ComputeEnvironmentOrderProperty(order=place, compute_environment=each.ref)
            for place, each in enumerate(environments, 1)
        ]
        return batch.CfnJobQueue(
            self, name, priority=PRIORITY, state="ENABLED", compute_environment_order=order
        )

    def _definition(self, environment: Environment) -> batch.CfnJobDefinition:
        """The job definition; its image is `environment.batch.image`, by digest, or a public one of Python's,
        so that it works before any was pushed."""
        definition = batch.CfnJobDefinition
        logs = definition.LogConfigurationProperty(
            log_driver="awslogs",
            options={
                "awslogs-group": self.log_group.ref,
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
            job_role_arn=self.job_role.attr_arn,
            execution_role_arn=self.execution_role.attr_arn,
            log_configuration=logs,
            privileged=False,
        )
        rules = [
            definition.EvaluateOnExitProperty(action=action, **{_FIELDS[field]: pattern})
            for field, pattern, action in RULES
        ]
        return definition(
            self,
            "JobDefinition",
            type="container",
            job_definition_name=self.job_definition_name,
            platform_capabilities=["EC2"],
            propagate_tags=True,
            container_properties=container,
            retry_strategy=definition.RetryStrategyProperty(attempts=ATTEMPTS, evaluate_on_exit=rules),
            timeout=definition.TimeoutProperty(attempt_duration_seconds=TIMEOUT),
            # Jobs that wait with an old revision go on with it.
            resource_retention_policy=definition.ResourceRetentionPolicyProperty(
                skip_deregister_on_update=True
            ),
        )


def job_statements(environment: Environment) -> list[Statement]:
    """What runs inside a Batch job may do: read models, inputs and secrets, write predictions alone."""
    return [
        *read(CODE, MODELS, PREDICTIONS),
        read_model_versions(),
        allow(WRITE_OBJECT, objects(MODEL_BUCKET, PREDICTIONS)),
        *use_key(environment.kms_key)[:1],
        read_secrets(environment),
    ]
