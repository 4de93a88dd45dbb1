"""The SageMaker notebook instance: no root, no direct internet, IMDSv2, stops itself, and keeps its files.

They are copied to the model bucket while it runs (but for links and the examples), so that `destroy`, or a
change that makes another instance, takes nothing away; a new instance brings them back.
"""

from __future__ import annotations

import os

from aws_cdk import Fn
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from ..core.environments.environment import Environment
from ..core.environments.facts import NOTEBOOKS
from .key import key_of
from .network import Network
from .roles import Roles
from .statements import (
    MODEL_BUCKET,
    READ_OBJECT,
    WRITE_OBJECT,
    allow,
    arn,
    document,
    join_network,
    list_bucket,
    objects,
    use_key,
)
from .submitters import Submitters

EXAMPLES = "https://github.com/aws/amazon-sagemaker-examples.git"
PLATFORM = "notebook-al2023-v1"
_LOG_GROUP = "log-group:/aws/sagemaker/NotebookInstances"


class NotebookInstance(Construct):
    """`name` and `role` of the instance."""

    def __init__(
        self,
        scope: Construct,
        environment: Environment,
        network: Network,
        submitters: Submitters,
        roles: Roles,
    ) -> None:
        super().__init__(scope, "Notebook")
        self.role = roles.make(
            self,
            "Role",
            "sagemaker.amazonaws.com",
            [
                allow([*READ_OBJECT, *WRITE_OBJECT], objects(MODEL_BUCKET, NOTEBOOKS)),
                list_bucket(MODEL_BUCKET, NOTEBOOKS),
                allow(
                    ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                    [arn("logs", _LOG_GROUP), arn("logs", f"{_LOG_GROUP}:*")],
                ),
                *use_key(environment.kms_key),
                join_network(),
            ],
            # Whether SageMaker sends the source account for notebook instances is documented nowhere.
            own_account=False,
            reads_buckets=True,
            managed_policies=[submitters.policy_arn, submitters.data_policy_arn],
        )
        instance = self._instance(environment, network)
        self.name = instance.attr_notebook_instance_name
        # A policy of its own: the role is made before the instance whose ARN this names.
        actions = ["sagemaker:DescribeNotebookInstance", "sagemaker:StopNotebookInstance"]
        iam.CfnRolePolicy(
            self,
            "StopItself",
            role_name=self.role.ref,
            policy_name="stop-itself",
            policy_document=document(allow(actions, instance.ref)),
        )

    def _instance(self, environment: Environment, network: Network) -> sagemaker.CfnNotebookInstance:
        wanted = environment.notebook
        group = ec2.CfnSecurityGroup(
            self,
            "SecurityGroup",
            group_description=f"The notebook of {environment.stack_name}: nothing comes in",
            vpc_id=network.vpc_id,
        )
        lifecycle = self._lifecycle(environment)
        instance = sagemaker.CfnNotebookInstance(
            self,
            "Instance",
            instance_type=wanted.instance_type,
            role_arn=self.role.attr_arn,
            subnet_id=Fn.select(wanted.zone - 1, network.job_subnets),
            security_group_ids=[group.attr_group_id],
            direct_internet_access="Disabled",
            root_access="Disabled",
            platform_identifier=PLATFORM,
            instance_metadata_service_configuration=(
                sagemaker.CfnNotebookInstance.InstanceMetadataServiceConfigurationProperty(
                    minimum_instance_metadata_service_version="2"
                )
            ),
            volume_size_in_gb=wanted.volume_size_gb,
            kms_key_id=key_of(environment),
            default_code_repository=EXAMPLES,
            lifecycle_config_name=lifecycle.attr_notebook_instance_lifecycle_config_name,
        )
        # It clones the examples as it starts.
        for route in network.ways_out:
            instance.add_resource_dependency(route)
        return instance

    def _lifecycle(self, environment: Environment) -> sagemaker.CfnNotebookInstanceLifecycleConfig:
        hook = sagemaker.CfnNotebookInstanceLifecycleConfig.NotebookInstanceLifecycleHookProperty(
            content=Fn.base64(Fn.sub(start_script(environment)))
        )
        return sagemaker.CfnNotebookInstanceLifecycleConfig(self, "Lifecycle", on_start=[hook])


def start_script(environment: Environment) -> str:
    """The lifecycle script, a text for `Fn::Sub`; as base64 it has to stay below 16,384 characters."""
    # `${…}` is Fn::Sub's; neither file has any need of it.
    script = _text("notebook_start.sh")
    values = {
        "@PLACE@": f"s3://${{{MODEL_BUCKET}}}/{NOTEBOOKS}",
        "@IDLE_MINUTES@": str(environment.notebook.idle_minutes),
        "@REGION@": "${AWS::Region}",
        "@IDLE@": _without_remarks(_text("notebook_idle.py")),
    }
    for mark, value in values.items():
        script = script.replace(mark, value)
    return script


def _text(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read().replace("${", "${!")


def _without_remarks(program: str) -> str:
    """A program without its docstring and comments: a template is short."""
    lines = [line for line in program.splitlines() if not line.lstrip().startswith(("#", '"""'))]
    return "\n".join(lines).strip("\n")
