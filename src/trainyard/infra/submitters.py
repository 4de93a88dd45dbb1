"""What the people who submit jobs may do, as a managed policy for whoever a platform engineer gives it to.

Start, watch and stop this environment's jobs and nobody else's; read and write data, never delete it; pass
exactly the roles that jobs run under, to the services that run them.
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
from .inference import Inference
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
    use_key,
)
from .training import Training

_TAGGING = ("sagemaker:AddTags", "sagemaker:ListTags")
_READABLE = (CODE, CHECKPOINTS, MODELS, PREDICTIONS, LEDGER, NOTEBOOKS)


class Submitters(Construct):
    """`policy_arn` of the managed policy for people and notebooks."""

    def __init__(
        self, scope: Construct, environment: Environment, training: Training, inference: Inference
    ) -> None:
        super().__init__(scope, "Submitter")
        whose = f"of {environment.stack_name}"
        statements = [
            *_training_jobs(environment, training),
            *_batch_jobs(environment, inference),
            *_data(environment),
            *(_notebooks(environment) if environment.has_notebook else ()),
        ]
        policy = iam.CfnManagedPolicy(
            self,
            "Policy",
            description=f"Submit, watch and stop the jobs {whose}, read and write its data",
            policy_document=document(*statements),
        )
        self.policy_arn = policy.ref


def _training_jobs(environment: Environment, training: Training) -> list[Statement]:
    prefix = job_name_prefix(environment.prefix, environment.name)
    jobs = arn("sagemaker", f"training-job/{prefix}*")
    groups = [arn("sagemaker", f"{kind}/{prefix}*") for kind in ("model-package-group", "model-package")]
    encrypted = {"Bool": {"sagemaker:InterContainerTrafficEncryption": "true"}}
    return [
        allow(["sagemaker:CreateTrainingJob"], jobs, encrypted if environment.encrypt_traffic else None),
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
        allow(["batch:SubmitJob"], jobs, tagged),
        allow(["batch:TagResource"], jobs, {**tagged, **untagged}),
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
    ]


def _data(environment: Environment) -> list[Statement]:
    repository = arn("ecr", f"repository/${{{REPOSITORY}}}")
    buckets = [bucket_arn(DATASET_BUCKET), bucket_arn(MODEL_BUCKET)]
    return [
        allow(READ_OBJECT, [*objects(DATASET_BUCKET, DATASETS), *objects(MODEL_BUCKET)]),
        {**list_bucket(MODEL_BUCKET, DATASETS, *_READABLE), "Resource": buckets},
        allow(WRITE_OBJECT, [*objects(DATASET_BUCKET, DATASETS), *objects(MODEL_BUCKET, CODE, LEDGER)]),
        allow(["ecr:DescribeImages", "ecr:ListImages", *PULL, *PUSH], repository),
        allow(
            ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"],
            [
                arn("ssm", "parameter" + parameter_name(environment.name, "*")),
                arn("ssm", "parameter" + parameter_name(environment.name, "").rstrip("/")),
            ],
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
                "ecr:GetAuthorizationToken",
                "sagemaker:ListModelPackageGroups",
                "sagemaker:ListModelPackages",
                "sagemaker:ListTrainingJobs",
                "sagemaker:Search",
            ],
            "*",
        ),
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
