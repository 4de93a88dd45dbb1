"""Batch inference on spot: machines that come with the jobs and go with them, a queue, a job definition."""

from __future__ import annotations

from aws_cdk import Fn
from aws_cdk import aws_batch as batch
from constructs import Construct

from ..core.environments.environment import Environment
from ..core.environments.facts import CODE, MODELS, PREDICTIONS, job_name_prefix
from .jobdefinition import job_definition
from .key import log_group
from .machines import Machines
from .network import Network
from .roles import Roles
from .statements import MODEL_BUCKET, WRITE_OBJECT, Statement, allow, objects, read, read_secrets, use_key

PRIORITY = 1


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
        self.job_definition = job_definition(
            self,
            environment,
            name=self.job_definition_name,
            job_role=self.job_role.attr_arn,
            execution_role=self.execution_role.attr_arn,
            log_group=self.log_group.ref,
        )

    @property
    def queue_arns(self) -> list[str]:
        """The ARNs of all queues."""
        return [queue.ref for queue in (self.queue, self.gpu_queue) if queue is not None]

    @property
    def queue_name(self) -> str:
        """The name of the queue, which CloudFormation gives it: the end of its ARN."""
        return Fn.select(1, Fn.split("/", self.queue.ref))

    def _queue(self, name: str, environments: list[batch.CfnComputeEnvironment]) -> batch.CfnJobQueue:
        order = [
            batch.CfnJobQueue.ComputeEnvironmentOrderProperty(order=place, compute_environment=each.ref)
            for place, each in enumerate(environments, 1)
        ]
        return batch.CfnJobQueue(
            self, name, priority=PRIORITY, state="ENABLED", compute_environment_order=order
        )


def job_statements(environment: Environment) -> list[Statement]:
    """What runs inside a Batch job may do: read models, inputs and secrets, write predictions alone."""
    return [
        *read(CODE, MODELS, PREDICTIONS),
        allow(WRITE_OBJECT, objects(MODEL_BUCKET, PREDICTIONS)),
        *use_key(environment.kms_key)[:1],
        read_secrets(environment),
    ]
