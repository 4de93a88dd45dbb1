"""A training run -> SageMaker's requests: what is sent is decided here, with no client in sight. Pure.

Shapes are those of botocore's model `sagemaker/2017-07-24`.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from typing import Any

from ...core.environments.facts import MODELS
from ...core.jobs.instance_types import has_local_disk
from ...core.jobs.job import TrainingJob
from ...core.ports.ledger import Model
from ...core.runs.run import Interruption, Run
from ...worker import protocol
from ...worker.contract.hyperparameters import encode_hyperparameter
from ...worker.s3.address import S3Address, own_endpoint
from ..account import names
from ..account.deployment import Deployment
from ..account.names import tag_list, tags
from ..images.images import ecr_image

RETRIES_OF_SAGEMAKER = 3
"""RetryStrategy: how often SageMaker starts a job again after an InternalServerError, which is its own and no
fault of the script's. Checkpoints are there then, and the time limits go on."""
INTERRUPTIONS = 40
"""ContainerArguments has 100 items: one for each interruption and channel, and 17 for the rest."""
START = (
    "import hashlib,os,sys;x=sys.executable;p,w,*a=sys.argv[1:];"
    'h=hashlib.sha256(open(p,"rb").read()).hexdigest();'
    'h==w and os.execv(x,[x,p]+a);m="the hash of the worker is %s, and %s was recorded"%(h,w);'
    'open("/opt/ml/output/failure","w").write(m);sys.exit(m)'
)
"""What Python executes first: it becomes the worker, where that is the one that was sent. An item has 256
characters (TrainingContainerEntrypointString)."""
METADATA, METADATA_KEY, METADATA_VALUE = 50, 128, 256
"""CustomerMetadataMap, CustomerMetadataKey, CustomerMetadataValue."""
CONTENT_TYPES = ("text/csv", "application/jsonlines", "application/vnd.apache.parquet")
"""What a handler's batches are read from."""

_FILE = "File"
_ENDPOINTS = frozenset({"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"})


def training_request(
    run: Run, deployment: Deployment, worker: str, image: str, endpoint: str = ""
) -> dict[str, Any]:
    """CreateTrainingJob for a launch of a training run that `checks` has accepted.

    `worker` is the address of `worker.pyz` in S3; channels have theirs already. `endpoint` stands in for
    AWS's own addresses.
    """
    job = run.training
    request: dict[str, Any] = {
        "TrainingJobName": names.launch_name(deployment.prefix, run),
        "RoleArn": deployment.training_role_arn,
        "AlgorithmSpecification": _algorithm(
            job, image, names.worker_digest(worker), _arguments(run, deployment, endpoint)
        ),
        "InputDataConfig": _channels(run, job, deployment, worker),
        "OutputDataConfig": {"S3OutputPath": S3Address(deployment.model_bucket, MODELS.rstrip("/")).uri},
        "CheckpointConfig": {
            "S3Uri": S3Address(deployment.model_bucket, names.checkpoint_prefix(run.id)).uri,
            "LocalPath": "/opt/ml/checkpoints",
        },
        "ResourceConfig": _resources(job, deployment),
        "StoppingCondition": _stopping_condition(job),
        "EnableManagedSpotTraining": job.spot.enabled,
        "RetryStrategy": {"MaximumRetryAttempts": RETRIES_OF_SAGEMAKER},
        "VpcConfig": {
            "Subnets": list(deployment.subnet_ids),
            "SecurityGroupIds": list(deployment.security_group_ids),
        },
        # The worker needs no network that the VPC does not give, and the script may want it.
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": deployment.encrypt_traffic,
        "Tags": tag_list(tags(deployment, run)),
    }
    if deployment.kms_key_arn:
        request["OutputDataConfig"]["KmsKeyId"] = deployment.kms_key_arn
    if job.hyperparameters:
        request["HyperParameters"] = {
            key: encode_hyperparameter(value) for key, value in job.hyperparameters.items()
        }
    if job.environment:
        # All 100 may be the user's: what the worker has to know comes as arguments.
        request["Environment"] = dict(job.environment)
    return request


def model_group_request(deployment: Deployment, name: str) -> dict[str, Any]:
    """CreateModelPackageGroup for the versions of a model."""
    return {
        "ModelPackageGroupName": names.model_group_name(deployment.prefix, name),
        "ModelPackageGroupDescription": f"Versions of the model {name}, made by trainyard",
        "Tags": tag_list(tags(deployment)),
    }


def model_package_request(model: Model, deployment: Deployment, image: str, token: str) -> dict[str, Any]:
    """CreateModelPackage for a version of a model that lies at `model.path`, made in `image`.

    The same `token`, which is the run's and its launch's, makes one package however often it is sent.
    """
    return {
        "ModelPackageGroupName": names.model_group_name(deployment.prefix, model.name),
        "ModelPackageDescription": f"{model.ref}, of the run {model.run}",
        "InferenceSpecification": {
            "Containers": [{"Image": image, "ModelDataUrl": model.path}],
            "SupportedContentTypes": list(CONTENT_TYPES),
            "SupportedResponseMIMETypes": list(CONTENT_TYPES),
        },
        "ModelApprovalStatus": "PendingManualApproval",
        # The image trains; whether it serves is not SageMaker's to find out now.
        "SkipModelValidation": "All",
        "ClientToken": hashlib.sha256(token.encode()).hexdigest()[:36],
        "CustomerMetadataProperties": _metadata(model),
    }


def package_token(run: Run) -> str:
    """What `model_package_request` takes as the token of a launch's model."""
    return f"{run.id}/{run.launch}"


def _algorithm(job: TrainingJob, image: str, worker_digest: str, arguments: list[str]) -> dict[str, Any]:
    algorithm: dict[str, Any] = {
        "TrainingImage": image,
        "TrainingInputMode": _FILE,
        "ContainerEntrypoint": ["python3", "-c", START, names.WORKER_PATH, worker_digest, "train"],
        "ContainerArguments": arguments,
    }
    if ecr_image(image) is None:
        # A registry of one's own is reached from the job's network, and from nowhere else.
        algorithm["TrainingImageConfig"] = {"TrainingRepositoryAccessMode": "Vpc"}
    if job.metrics:
        algorithm["MetricDefinitions"] = [
            {"Name": name, "Regex": regex} for name, regex in job.metrics.items()
        ]
    return algorithm


def _arguments(run: Run, deployment: Deployment, endpoint: str) -> list[str]:
    job, histories = run.training, names.history_prefix(run.id)
    arguments = ["--script", job.entry_script, "--launch", str(run.launch)]
    arguments += ["--grace", str(job.grace), "--retries", str(job.retries)]
    arguments += ["--histories", S3Address(deployment.model_bucket, histories).uri]
    arguments += ["--region", deployment.region]
    if not _ENDPOINTS.isdisjoint(job.environment):
        # Of another S3, which is the script's and not the worker's.
        arguments += ["--endpoint", endpoint or own_endpoint(deployment.region)]
    arguments += [f"--code={run.code}"] + ([f"--wheels={run.wheels}"] if run.wheels else [])
    for name, channel in run.channels.items():
        if channel.hash:
            arguments.append(f"--channel={name}:{channel.hash.removeprefix('sha256:')}")
    arguments += [f"--interrupt-at={_interruption(at)}" for at in run.interrupt_at]
    flags = (("--spot", job.spot.enabled), ("--isolated", job.isolated))
    return [*arguments, *(flag for flag, is_set in flags if is_set)]


def _interruption(at: Interruption) -> str:
    # `{:g}` writes a million as 1e+06.
    seconds = f"{at.after:.6f}".rstrip("0").rstrip(".")
    return f"{seconds}s:kill" if at.kill else f"{seconds}s"


def _channels(run: Run, job: TrainingJob, deployment: Deployment, worker: str) -> list[dict[str, Any]]:
    code = S3Address(deployment.model_bucket, names.source_prefix(run.code)).uri
    begun = [
        _channel(
            protocol.CHECKPOINT_CHANNEL,
            S3Address(deployment.model_bucket, names.checkpoint_prefix(other)).uri,
            _FILE,
        )
        for other in [run.starts_from]
        if other
    ]
    return [
        *begun,
        _channel(protocol.WORKER_CHANNEL, worker.rpartition("/")[0] + "/", _FILE),
        _channel(protocol.CODE_CHANNEL, code, _FILE),
        *(_channel(name, channel.uri, job.input_mode) for name, channel in run.channels.items()),
    ]


def _channel(name: str, address: str, mode: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": address,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
        "InputMode": mode,
    }


def _resources(job: TrainingJob, deployment: Deployment) -> dict[str, Any]:
    resources: dict[str, Any] = {
        "InstanceType": job.resources.instance_type,
        "InstanceCount": job.resources.instance_count,
        "VolumeSizeInGB": job.resources.volume_size_gb,
    }
    # Disks inside of a machine are encrypted by the machine, and SageMaker refuses another key for them.
    if deployment.kms_key_arn and not has_local_disk(job.resources.instance_type):
        resources["VolumeKmsKeyId"] = deployment.kms_key_arn
    return resources


def _stopping_condition(job: TrainingJob) -> dict[str, int]:
    condition = {"MaxRuntimeInSeconds": job.spot.max_runtime}
    if job.spot.enabled:
        condition["MaxWaitTimeInSeconds"] = job.spot.max_wait
    return condition


def _metadata(model: Model) -> dict[str, str]:
    facts = {
        "trainyard:model": model.ref,
        "trainyard:run": model.run,
        "trainyard:code": model.code,
        "trainyard:hash": model.hash,
        **_prefixed("trainyard:data:", model.data),
        **_prefixed("trainyard:metric:", {name: f"{value:.6g}" for name, value in model.metrics.items()}),
    }
    written = [
        (_plain(key, METADATA_KEY), _plain(value, METADATA_VALUE)) for key, value in facts.items() if value
    ]
    return dict(written[:METADATA])


def _prefixed(prefix: str, values: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}{name}": value for name, value in values.items()}


def _plain(text: str, most: int) -> str:
    """The text in the characters that tags and metadata take, each other one as `_`."""
    return "".join(char if _is_plain(char) else "_" for char in text[:most])


def _is_plain(char: str) -> bool:
    return char in "_.:/=+-@" or unicodedata.category(char)[0] in "LZN"
