"""What the people who submit jobs may do, as two managed policies for whoever an engineer gives them to.

Start, watch and stop this environment's jobs and nobody else's, in its network and on the machines that it
allows; read and write data, never delete it; pass exactly the roles that jobs run under, to the services that
run them.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_iam as iam
from constructs import Construct

from ..core.environments.environment import Environment
from ..core.environments.facts import (
    CHECKPOINTS,
    CODE,
    DATASETS,
    ENVIRONMENT_TAG,
    LEDGER,
    MODELS,
    NOTEBOOKS,
    PREDICTIONS,
    TRAINING_LOG_GROUP,
    job_name_prefix,
    parameter_name,
)
from ..core.jobs.instance_types import local_disk_patterns
from .inference import Inference
from .network import Network
from .statements import (
    DATASET_BUCKET,
    MODEL_BUCKET,
    PULL,
    PUSH,
    READ_OBJECT,
    REPOSITORY,
    WRITE_OBJECT,
    Statement,
    allow,
    arn,
    bucket_arn,
    document,
    list_bucket,
    objects,
    read_model_versions,
    use_key,
)
from .training import Training

_START, _TYPES = ["sagemaker:CreateTrainingJob"], "sagemaker:InstanceTypes"
_TAGGING = ("sagemaker:AddTags", "sagemaker:ListTags")
_READABLE = (CODE, CHECKPOINTS, MODELS, PREDICTIONS, LEDGER, NOTEBOOKS)


class Submitters(Construct):
    """`policy_arn` and `data_policy_arn` of the managed policies for people and notebooks."""

    def __init__(
        self,
        scope: Construct,
        environment: Environment,
        network: Network,
        training: Training,
        inference: Inference,
    ) -> None:
        super().__init__(scope, "Submitter")
        whose = f"of {environment.stack_name}"
        jobs = [
            *_new_training_jobs(environment, network, training),
            *_training_jobs(environment, training),
            *_batch_jobs(environment, inference),
            *(_notebooks(environment) if environment.has_notebook else ()),
        ]
        self.policy_arn = self._policy("", f"Submit, watch and stop the jobs {whose}", jobs, environment)
        # Together they are longer than the 6,144 characters of a managed policy.
        what = f"Read and write the data, code and images {whose}"
        self.data_policy_arn = self._policy("Data", what, _data(environment), environment)

    def _policy(self, name: str, what: str, statements: list[Statement], environment: Environment) -> str:
        end = f"-{name.lower()}" if name else ""
        return iam.CfnManagedPolicy(
            self,
            f"{name}Policy",
            description=what,
            policy_document=document(*statements),
            managed_policy_name=f"{environment.policy_name}{end}" if environment.policy_name else None,
            path=None if environment.policy_path == "/" else environment.policy_path,
        ).ref


def _new_training_jobs(environment: Environment, network: Network, training: Training) -> list[Statement]:
    """Start training jobs in the environment's network, on the machines that it allows, encrypted as it
    wants.

    The keys have several values, and "for all values" holds where there is none: hence that they must be
    there.
    """
    jobs = arn("sagemaker", f"training-job/{job_name_prefix(environment.prefix, environment.name)}*")
    within: dict[str, Any] = {
        "sagemaker:VpcSubnets": network.job_subnets,
        "sagemaker:VpcSecurityGroupIds": [training.security_group_id],
    }
    condition: dict[str, Any] = {"ForAllValues:StringEquals": within, "Null": dict.fromkeys(within, "false")}
    if environment.encrypt_traffic:
        condition["Bool"] = {"sagemaker:InterContainerTrafficEncryption": "true"}
    if environment.allowed_instance_types:
        condition["ForAllValues:StringLike"] = {_TYPES: list(environment.allowed_instance_types)}
        condition["Null"][_TYPES] = "false"
    return [allow(_START, jobs, condition), *([_volumes_with_a_key()] if environment.kms_key else [])]


def _volumes_with_a_key() -> Statement:
    """No volume without a key of KMS's; disks inside of a machine have keys of their own, and SageMaker
    refuses another.

    The guide of SageMaker and the Service Authorization Reference call the key differently: it is missing
    where neither is there.
    """
    keys = ("sagemaker:VolumeKmsKey", "sagemaker:VolumeKmsKeyArn")
    condition = {
        "Null": dict.fromkeys(keys, "true"),
        "ForAnyValue:StringNotLike": {_TYPES: local_disk_patterns()},
    }
    return {**allow(_START, "*", condition), "Effect": "Deny"}


def _training_jobs(environment: Environment, training: Training) -> list[Statement]:
    prefix = job_name_prefix(environment.prefix, environment.name)
    jobs = arn("sagemaker", f"training-job/{prefix}*")
    groups = [arn("sagemaker", f"{kind}/{prefix}*") for kind in ("model-package-group", "model-package")]
    return [
        allow(
            [
                *_TAGGING,
                "sagemaker:CreateModelPackage",
                "sagemaker:CreateModelPackageGroup",
                "sagemaker:DescribeModelPackage",
                "sagemaker:DescribeModelPackageGroup",
                "sagemaker:DescribeTrainingJob",
                "sagemaker:StopTrainingJob",
                "sagemaker:UpdateModelPackage",
            ],
            [jobs, *groups],
        ),
        _pass_role(training.role.attr_arn, "sagemaker.amazonaws.com"),
        # The group is the account's: events are read by stream alone, and a stream is named after its job.
        allow(["logs:GetLogEvents"], arn("logs", f"log-group:{TRAINING_LOG_GROUP}:log-stream:{prefix}*")),
        allow(["logs:DescribeLogStreams"], arn("logs", f"log-group:{TRAINING_LOG_GROUP}*")),
    ]


def _batch_jobs(environment: Environment, inference: Inference) -> list[Statement]:
    prefix = job_name_prefix(environment.prefix, environment.name)
    definitions = [arn("batch", f"job-definition/{prefix}*")]
    jobs = arn("batch", "job/*")
    tagged = {"StringEquals": {f"aws:RequestTag/{ENVIRONMENT_TAG}": environment.stack_name}}
    # Nobody else's job can be made this environment's; one that starts has no tags yet.
    untagged = {"StringEqualsIfExists": {f"aws:ResourceTag/{ENVIRONMENT_TAG}": environment.stack_name}}
    unprivileged = {"BoolIfExists": {"batch:Privileged": "false"}}
    return [
        allow(["batch:SubmitJob"], [*inference.queue_arns, *definitions]),
        # A job is tagged as it is submitted, so that only this environment's can be stopped by it.
        allow(["batch:SubmitJob", "batch:TagResource"], jobs, {**tagged, **untagged}),
        allow(["batch:CancelJob", "batch:TerminateJob"], jobs, _mine(environment)),
        allow(["batch:RegisterJobDefinition", "batch:TagResource"], definitions, unprivileged),
        _pass_role(
            [inference.job_role.attr_arn, inference.execution_role.attr_arn],
            ["batch.amazonaws.com", "ecs-tasks.amazonaws.com"],
        ),
        allow(
            ["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"],
            inference.log_group.attr_arn,
        ),
        # These know no narrower resource ("Service authorization reference").
        allow(
            [
                "batch:DescribeComputeEnvironments",
                "batch:DescribeJobDefinitions",
                "batch:DescribeJobQueues",
                "batch:DescribeJobs",
                "batch:ListJobs",
                "cloudwatch:GetMetricData",
                "cloudwatch:ListMetrics",
                "sagemaker:ListModelPackageGroups",
                "sagemaker:ListModelPackages",
                "sagemaker:ListTrainingJobs",
                "sagemaker:Search",
            ],
            "*",
        ),
    ]


def _data(environment: Environment) -> list[Statement]:
    repository = arn("ecr", f"repository/${{{REPOSITORY}}}")
    return [
        # An object can't be listed.
        allow(
            [*READ_OBJECT, "s3:ListBucket"],
            [bucket_arn(DATASET_BUCKET), *objects(DATASET_BUCKET), *objects(MODEL_BUCKET)],
        ),
        read_model_versions(),
        list_bucket(MODEL_BUCKET, *_READABLE),
        allow(WRITE_OBJECT, [*objects(DATASET_BUCKET, DATASETS), *objects(MODEL_BUCKET, CODE, LEDGER)]),
        allow(["ecr:DescribeImages", "ecr:ListImages", *PULL, *PUSH], repository),
        allow(
            ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"],
            [
                arn("ssm", "parameter" + parameter_name(environment.name, "*")),
                arn("ssm", "parameter" + parameter_name(environment.name, "").rstrip("/")),
            ],
        ),
        allow(["ecr:GetAuthorizationToken"], "*"),
        *use_key(environment.kms_key)[:1],
    ]


def _notebooks(environment: Environment) -> list[Statement]:
    # By tag, since the notebook's own role has this policy too: its name would close a circle.
    actions = [
        "sagemaker:CreatePresignedNotebookInstanceUrl",
        "sagemaker:DescribeNotebookInstance",
        "sagemaker:StartNotebookInstance",
        "sagemaker:StopNotebookInstance",
    ]
    return [allow(actions, arn("sagemaker", "notebook-instance/*"), _mine(environment))]


def _mine(environment: Environment) -> dict[str, Any]:
    return {"StringEquals": {f"aws:ResourceTag/{ENVIRONMENT_TAG}": environment.stack_name}}


def _pass_role(roles: Any, services: Any) -> Statement:
    return allow(["iam:PassRole"], roles, {"StringEquals": {"iam:PassedToService": services}})
