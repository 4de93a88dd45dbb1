"""What training jobs need: a security group whose hosts reach each other, and a role for just their work."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from ..core.environments.environment import Environment
from ..core.environments.facts import CHECKPOINTS, CODE, MODELS, TRAINING_LOG_GROUP, job_name_prefix
from .network import Network
from .roles import Roles
from .statements import (
    MODEL_BUCKET,
    WRITE_OBJECT,
    Statement,
    allow,
    arn,
    join_network,
    objects,
    read,
    read_secrets,
    use_key,
)

METRICS = "/aws/sagemaker/TrainingJobs"
"""The namespace of a training job's metrics ("Amazon SageMaker AI metrics in Amazon CloudWatch")."""


class Training(Construct):
    """`security_group_id` and `role` of training jobs."""

    def __init__(self, scope: Construct, environment: Environment, network: Network, roles: Roles) -> None:
        super().__init__(scope, "Training")
        self.security_group_id = self._security_group(environment, network)
        self.role = roles.make(
            self,
            "Role",
            "sagemaker.amazonaws.com",
            training_statements(environment),
            pulls_images=True,
            reads_buckets=True,
        )

    def _security_group(self, environment: Environment, network: Network) -> str:
        group = ec2.CfnSecurityGroup(
            self,
            "SecurityGroup",
            group_description=f"Training jobs of {environment.stack_name}",
            vpc_id=network.vpc_id,
        )
        # A group can't name itself while it is made. All protocols: encrypted traffic between hosts takes
        # UDP 500 and ESP ("Protect communications between ML compute instances").
        ec2.CfnSecurityGroupIngress(
            self,
            "HostsAmongThemselves",
            group_id=group.attr_group_id,
            source_security_group_id=group.attr_group_id,
            ip_protocol="-1",
            description="The hosts of a training job among themselves",
        )
        return group.attr_group_id


def training_statements(environment: Environment) -> list[Statement]:
    """A training job may: read both buckets and secrets, write models and checkpoints, delete checkpoints."""
    group = f"log-group:{TRAINING_LOG_GROUP}"
    prefix = job_name_prefix(environment.prefix, environment.name)
    return [
        *read(CODE, MODELS, CHECKPOINTS),
        allow(WRITE_OBJECT, objects(MODEL_BUCKET, MODELS, CHECKPOINTS)),
        # SageMaker carries deletions of local checkpoints over to S3.
        allow(["s3:DeleteObject"], objects(MODEL_BUCKET, CHECKPOINTS)),
        *use_key(environment.kms_key),
        read_secrets(environment),
        # The group is the account's; a stream begins with its job's name.
        allow(
            ["logs:CreateLogGroup", "logs:DescribeLogStreams"],
            [arn("logs", group), arn("logs", f"{group}:*")],
        ),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], arn("logs", f"{group}:log-stream:{prefix}*")),
        allow(["cloudwatch:PutMetricData"], "*", {"StringEquals": {"cloudwatch:namespace": METRICS}}),
        join_network(),
    ]
