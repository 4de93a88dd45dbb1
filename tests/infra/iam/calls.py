"""What somebody could try to do in an environment, in words and as the requests that AWS would check.

"read a model" -> s3:GetObject on an object of the environment that is asked. Where a service checks several
resources, each is a call, so that a denial is never another resource's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from .resolve import Deployed

_TAG = "trainyard:environment"

ROLES = {
    "training role": "TrainingRole",
    "notebook role": "NotebookRole",
    "batch job role": "InferenceJobRole",
    "batch execution role": "InferenceExecutionRole",
    "batch machine role": "InferenceInstanceRole",
}
"""The roles that hold keys somewhere, by the logical id of each."""
SERVICES = {
    "SageMaker": "sagemaker.amazonaws.com",
    "Batch": "batch.amazonaws.com",
    "ECS tasks": "ecs-tasks.amazonaws.com",
    "EC2": "ec2.amazonaws.com",
    "Lambda": "lambda.amazonaws.com",
}


class Call(NamedTuple):
    """An action on `resource(environment)`, with the context that a request for it has.

    `shared` is the account's and no environment's, so that there is no other environment's.
    """

    action: str
    resource: Callable[[Deployed], str]
    context: Callable[[Deployed], Mapping[str, Any]] = lambda _: {}
    shared: bool = False


_DATASETS = "dataset-bucket"
_MODELS = "model-bucket"
OBJECTS = {
    "a data set": (_DATASETS, "datasets/digits/3/train.csv"),
    "a model": (_MODELS, "models/digits-7/output/model.tar.gz"),
    "a checkpoint": (_MODELS, "checkpoints/digits-7/epoch-3.pt"),
    "predictions": (_MODELS, "predictions/digits-9/part-00001.csv"),
    "a record of predictions": (_MODELS, "predictions/digits-9/_SUCCESS"),
    "code": (_MODELS, "code/0123456789abcdef.tar.gz"),
    "a ledger record": (_MODELS, "ledger/runs/digits-7/1.json"),
    "the ledger's cache": (_MODELS, "ledger/runs.json"),
    "a notebook's file": (_MODELS, "notebooks/notebook/digits.ipynb"),
    "a stray file beside data sets": (_DATASETS, "stray.csv"),
    "a stray file beside models": (_MODELS, "stray.csv"),
}
"""Bucket and key of one of each kind of thing."""


def _objects() -> Iterator[tuple[str, Call]]:
    # "Enforce conditional writes on Amazon S3 buckets", S3 user guide.
    whole, part = ({"s3:ObjectCreationOperation": each} for each in ("true", "false"))
    verbs: dict[str, tuple[str, dict[str, str]]] = {
        "read": ("s3:GetObject", {}),
        "read a version of": ("s3:GetObjectVersion", {}),
        "write": ("s3:PutObject", {**whole, "s3:if-none-match": "*"}),
        "replace": ("s3:PutObject", whole),
        "send a part of": ("s3:PutObject", part),
        "delete": ("s3:DeleteObject", {}),
        "delete a version of": ("s3:DeleteObjectVersion", {}),
        "make public": ("s3:PutObjectAcl", {}),
    }
    for thing, (bucket, key) in OBJECTS.items():
        for verb, (action, context) in verbs.items():
            place = lambda d, b=bucket, k=key: _bucket(d, b, k)  # noqa: E731
            yield f"{verb} {thing}", Call(action, place, lambda _, c=context: c)
        prefix = key[: key.rfind("/") + 1]
        yield (
            f"list the folder of {thing}",
            Call("s3:ListBucket", lambda d, b=bucket: _bucket(d, b), lambda _, p=prefix: {"s3:prefix": p}),
        )


def _buckets() -> Iterator[tuple[str, Call]]:
    for words, bucket in (("the data set bucket", _DATASETS), ("the model bucket", _MODELS)):
        for verb, action in (
            ("list all of", "s3:ListBucket"),
            ("list all versions in", "s3:ListBucketVersions"),
            ("delete", "s3:DeleteBucket"),
            ("change the policy of", "s3:PutBucketPolicy"),
            ("switch off versioning of", "s3:PutBucketVersioning"),
            ("change the life cycle of", "s3:PutLifecycleConfiguration"),
        ):
            yield f"{verb} {words}", Call(action, lambda d, b=bucket: _bucket(d, b))
    yield "read an access log", Call("s3:GetObject", lambda d: f"arn:aws:s3:::{access_logs(d)}/ModelBucket/x")


def access_logs(deployed: Deployed) -> str:
    """The name of the bucket of access logs."""
    return deployed.ref("StorageAccessLogBucket")


def _bucket(deployed: Deployed, fact: str, key: str = "") -> str:
    return f"arn:aws:s3:::{deployed.fact(fact)}" + (f"/{key}" if key else "")


def _arn(service: str, resource: str) -> Callable[[Deployed], str]:
    """An ARN of the environment; `{name}` is a published fact, `{job}` the name of a job."""

    def made(deployed: Deployed) -> str:
        text = resource.replace("{job}", deployed.fact("job-name-prefix") + "digits-7")
        for name in ("repository-name", "batch-log-group"):
            if f"{{{name}}}" in text:
                text = text.replace(f"{{{name}}}", deployed.fact(name))
        text = text.replace("{stack}", deployed.environment.stack_name)
        text = text.replace("{environment}", deployed.environment.name)
        return f"arn:aws:{service}:{deployed.region}:{deployed.account}:{text}"

    return made


def _tagged(deployed: Deployed) -> Mapping[str, Any]:
    return {f"aws:ResourceTag/{_TAG}": deployed.environment.stack_name}


def _tagging(deployed: Deployed) -> Mapping[str, Any]:
    return {f"aws:RequestTag/{_TAG}": deployed.environment.stack_name}


def within(deployed: Deployed) -> dict[str, Any]:
    """What a training job of the environment's asks for."""
    return {
        "sagemaker:VpcSubnets": deployed.fact("subnet-ids").split(","),
        "sagemaker:VpcSecurityGroupIds": deployed.fact("security-group-ids").split(","),
        "sagemaker:InstanceTypes": ["ml.m5.xlarge"],
    }


def but(*without: str, **other: Any) -> Callable[[Deployed], Mapping[str, Any]]:
    """`within`, without some keys or with other values."""
    changed = {f"sagemaker:{key}": value for key, value in other.items()}

    def context(deployed: Deployed) -> Mapping[str, Any]:
        kept = {key: value for key, value in within(deployed).items() if key.partition(":")[2] not in without}
        return {**kept, **changed}

    return context


def _start_in_one_subnet_more(deployed: Deployed) -> Mapping[str, Any]:
    subnets = within(deployed)["sagemaker:VpcSubnets"]
    return {**within(deployed), "sagemaker:VpcSubnets": [*subnets, "subnet-0123"]}


def _training_jobs() -> Iterator[tuple[str, Call]]:
    job = _arn("sagemaker", "training-job/{job}")
    for words, context in (
        ("a training job", within),
        ("a training job outside of any network", but("VpcSubnets", "VpcSecurityGroupIds")),
        ("a training job in another subnet", but(VpcSubnets=["subnet-0123"])),
        ("a training job without a security group", but("VpcSecurityGroupIds")),
        ("a training job in another security group", but(VpcSecurityGroupIds=["sg-0123"])),
    ):
        yield f"start {words}", Call("sagemaker:CreateTrainingJob", job, context)
    several = _start_in_one_subnet_more
    yield "start a training job in one more subnet", Call("sagemaker:CreateTrainingJob", job, several)
    for verb, action in (
        ("stop", "StopTrainingJob"),
        ("describe", "DescribeTrainingJob"),
        ("tag", "AddTags"),
        ("change", "UpdateTrainingJob"),
        ("delete", "DeleteTrainingJob"),
    ):
        yield f"{verb} a training job", Call(f"sagemaker:{action}", job)
    yield "search training jobs", Call("sagemaker:Search", lambda _: "*", shared=True)
    yield "list training jobs", Call("sagemaker:ListTrainingJobs", lambda _: "*", shared=True)


def _batch_jobs() -> Iterator[tuple[str, Call]]:
    job = _arn("batch", "job/0123abcd-0123-4567-89ab-0123456789ab")
    definition, revision = (_arn("batch", f"job-definition/{{job}}{end}") for end in ("", ":3"))
    yield "start a Batch job in the queue", Call("batch:SubmitJob", lambda d: d.fact("job-queue-arn"))
    yield "start a Batch job of the latest job definition", Call("batch:SubmitJob", definition)
    yield "start a Batch job of a revision of the job definition", Call("batch:SubmitJob", revision)
    yield "start a Batch job under the environment's tag", Call("batch:SubmitJob", job, _tagging)
    yield "start a Batch job without the environment's tag", Call("batch:SubmitJob", job)
    yield "tag a Batch job that starts", Call("batch:TagResource", job, _tagging)
    yield "stop a Batch job", Call("batch:TerminateJob", job, _tagged)
    yield "cancel a Batch job", Call("batch:CancelJob", job, _tagged)
    yield "stop a Batch job without a tag", Call("batch:TerminateJob", job)
    yield "describe Batch jobs", Call("batch:DescribeJobs", lambda _: "*", shared=True)
    yield "list Batch jobs", Call("batch:ListJobs", lambda _: "*", shared=True)
    for words, privileged in (("a", "false"), ("a privileged", "true")):
        context = {"batch:Privileged": privileged}
        call = Call("batch:RegisterJobDefinition", definition, lambda _, c=context: c)
        yield f"register {words} job definition", call
    yield "delete a job definition", Call("batch:DeregisterJobDefinition", revision)
    yield "change the queue", Call("batch:UpdateJobQueue", lambda d: d.fact("job-queue-arn"))
    yield "delete the queue", Call("batch:DeleteJobQueue", lambda d: d.fact("job-queue-arn"))
    machines = _arn("batch", "compute-environment/{stack}-machines")
    yield "delete the machines", Call("batch:DeleteComputeEnvironment", machines)


def _roles() -> Iterator[tuple[str, Call]]:
    for words, logical in ROLES.items():
        for service, principal in SERVICES.items():
            context = {"iam:PassedToService": principal}
            call = Call("iam:PassRole", lambda d, name=logical: d.role(name).arn, lambda _, c=context: c)
            yield f"pass the {words} to {service}", call
        yield (
            f"pass the {words} to nobody knows whom",
            Call("iam:PassRole", lambda d, n=logical: d.role(n).arn),
        )
        yield f"assume the {words}", Call("sts:AssumeRole", lambda d, n=logical: d.role(n).arn)
    training = ROLES["training role"]
    for verb, action in (
        ("give the training role a policy", "iam:AttachRolePolicy"),
        ("write a policy into the training role", "iam:PutRolePolicy"),
        ("change who may assume the training role", "iam:UpdateAssumeRolePolicy"),
        ("take the boundary off the training role", "iam:DeleteRolePermissionsBoundary"),
    ):
        yield verb, Call(action, lambda d: d.role(training).arn)
    policy = "iam:CreatePolicyVersion"
    yield "change the policy of submitters", Call(policy, lambda d: d.fact("submitter-policy-arn"))


def _registry_and_images() -> Iterator[tuple[str, Call]]:
    group = _arn("sagemaker", "model-package-group/{job}")
    package = _arn("sagemaker", "model-package/{job}/3")
    yield "make a model package group", Call("sagemaker:CreateModelPackageGroup", group)
    yield "describe a model package group", Call("sagemaker:DescribeModelPackageGroup", group)
    yield "delete a model package group", Call("sagemaker:DeleteModelPackageGroup", group)
    yield "share a model package group", Call("sagemaker:PutModelPackageGroupPolicy", group)
    yield "make a model package", Call("sagemaker:CreateModelPackage", package)
    yield "approve a model package", Call("sagemaker:UpdateModelPackage", package)
    yield "delete a model package", Call("sagemaker:DeleteModelPackage", package)
    image = _arn("ecr", "repository/{repository-name}")
    yield "pull an image", Call("ecr:BatchGetImage", image)
    yield "push an image", Call("ecr:PutImage", image)
    yield "delete an image", Call("ecr:BatchDeleteImage", image)
    yield "delete the repository", Call("ecr:DeleteRepository", image)
    yield "share the repository", Call("ecr:SetRepositoryPolicy", image)
    yield "log in to registries", Call("ecr:GetAuthorizationToken", lambda _: "*", shared=True)


def _words_and_facts() -> Iterator[tuple[str, Call]]:
    # A group is checked as a stream without a name.
    shared = "log-group:/aws/sagemaker/TrainingJobs:log-stream:"
    own = "log-group:{batch-log-group}:log-stream:"
    for words, group, stream in (
        ("training", shared, "{job}/algo-1-1700000000"),
        ("Batch", own, "inference/default/0123456789abcdef"),
    ):
        yield f"read the log of a {words} job", Call("logs:GetLogEvents", _arn("logs", group + stream))
        yield f"write the log of a {words} job", Call("logs:PutLogEvents", _arn("logs", group + stream))
        yield f"delete the log of a {words} job", Call("logs:DeleteLogStream", _arn("logs", group + stream))
    yield "search the logs of Batch jobs", Call("logs:FilterLogEvents", _arn("logs", own))
    yield (
        "search the logs of all training jobs",
        Call("logs:FilterLogEvents", _arn("logs", shared), shared=True),
    )
    yield (
        "read a published fact",
        Call("ssm:GetParameter", _arn("ssm", "parameter/trainyard/{environment}/version")),
    )
    yield (
        "read all published facts",
        Call("ssm:GetParametersByPath", _arn("ssm", "parameter/trainyard/{environment}")),
    )
    yield (
        "change a published fact",
        Call("ssm:PutParameter", _arn("ssm", "parameter/trainyard/{environment}/version")),
    )
    yield (
        "read a secret parameter",
        Call("ssm:GetParameter", _arn("ssm", "parameter/secrets/password"), shared=True),
    )
    for verb, action in (
        ("read", "GetSecretValue"),
        ("describe", "DescribeSecret"),
        ("change", "PutSecretValue"),
        ("delete", "DeleteSecret"),
    ):
        own = _arn("secretsmanager", "secret:{stack}/huggingface-a1B2c3")
        yield f"{verb} a secret", Call(f"secretsmanager:{action}", own)
    yield (
        "read another secret of the account",
        Call("secretsmanager:GetSecretValue", _arn("secretsmanager", "secret:database-a1B2c3"), shared=True),
    )
    yield "list secrets", Call("secretsmanager:ListSecrets", lambda _: "*", shared=True)
    yield "publish a notification", Call("sns:Publish", lambda d: d.fact("notification-topic-arn"))
    own = "/aws/sagemaker/TrainingJobs"
    for words, namespace in (("a metric of training jobs", own), ("another metric", "AWS/Billing")):
        context = {"cloudwatch:namespace": namespace}
        call = Call("cloudwatch:PutMetricData", lambda _: "*", lambda _, c=context: c, shared=True)
        yield f"write {words}", call
    yield "read metrics", Call("cloudwatch:GetMetricData", lambda _: "*", shared=True)
    yield (
        "delete an alarm",
        Call("cloudwatch:DeleteAlarms", _arn("cloudwatch", "alarm:{stack}-TrainingAlarm")),
    )
    yield (
        "delete the platform",
        Call("cloudformation:DeleteStack", _arn("cloudformation", "stack/{stack}/0123")),
    )
    yield (
        "change the platform",
        Call("cloudformation:UpdateStack", _arn("cloudformation", "stack/{stack}/0123")),
    )


def _machines() -> Iterator[tuple[str, Call]]:
    notebook = _arn("sagemaker", "notebook-instance/{stack}-notebook")
    for verb, action in (
        ("open", "CreatePresignedNotebookInstanceUrl"),
        ("start", "StartNotebookInstance"),
        ("stop", "StopNotebookInstance"),
        ("change", "UpdateNotebookInstance"),
        ("delete", "DeleteNotebookInstance"),
    ):
        yield f"{verb} a notebook", Call(f"sagemaker:{action}", notebook, _tagged)
    yield "open a notebook without a tag", Call("sagemaker:CreatePresignedNotebookInstanceUrl", notebook)
    yield "make a notebook", Call("sagemaker:CreateNotebookInstance", notebook)
    yield "delete an endpoint", Call("sagemaker:DeleteEndpoint", _arn("sagemaker", "endpoint/{job}"))
    yield (
        "make a processing job",
        Call("sagemaker:CreateProcessingJob", _arn("sagemaker", "processing-job/{job}")),
    )
    for words, action, service, resource in (
        ("run a machine", "RunInstances", "ec2", "instance/i-0123456789abcdef0"),
        ("end a machine", "TerminateInstances", "ec2", "instance/i-0123456789abcdef0"),
        ("delete the network", "DeleteVpc", "ec2", "vpc/vpc-0123456789abcdef0"),
        ("open a firewall", "AuthorizeSecurityGroupIngress", "ec2", "security-group/sg-0123456789abcdef0"),
        ("make a network interface", "CreateNetworkInterface", "ec2", "subnet/subnet-0123456789abcdef0"),
        ("join a cluster as a machine", "RegisterContainerInstance", "ecs", "cluster/batch"),
        ("run a task in a cluster", "RunTask", "ecs", "task-definition/task:1"),
    ):
        yield words, Call(f"{service}:{action}", _arn(service, resource), shared=True)


CALLS: dict[str, Call] = {
    words: call
    for kind in (
        _objects,
        _buckets,
        _training_jobs,
        _batch_jobs,
        _roles,
        _registry_and_images,
        _words_and_facts,
        _machines,
    )
    for words, call in kind()
}
"""All of them, by their words."""
