"""What an environment on AWS cannot do that a job may ask for, by the job's key. Pure.

What no environment can do is refused when a job is made (`core/jobs/limits.py`).
"""

from __future__ import annotations

from ..core.checks import show
from ..core.errors import Unsupported
from ..core.jobs.job import InferenceJob, Job, TrainingJob
from ..core.jobs.limits import is_remote, legal_name
from ..core.runs.run import Run
from ..worker.cloud import secrets
from ..worker.errors import InputError
from ..worker.protocol import SECRET
from .account.deployment import LEAN, SANDBOX, Deployment
from .account.names import longest_name
from .images.images import digest_of, ecr_image, registry_of, training_image
from .sagemaker.requests import INTERRUPTIONS

MOST_VCPUS, MOST_MIB, MOST_GPUS = 1_920, 32 * 1024 * 1024, 8
"""Of the largest machines: EC2's u7inh-32tb.480xlarge; 8 GPUs have the families that Batch's image drives."""
PUBLIC_REGISTRIES = (
    "docker.io",
    "index.docker.io",
    "registry-1.docker.io",
    "gcr.io",
    "ghcr.io",
    "mcr.microsoft.com",
    "nvcr.io",
    "public.ecr.aws",
    "quay.io",
    "registry.gitlab.com",
    "registry.k8s.io",
)
"""Registries that are in nobody's VPC."""
_PUSH = "push it to the environment's repository: `trainyard image push`"


def check(job: Job, deployment: Deployment) -> None:
    """Raise `Unsupported` for the first key of the job that the environment cannot honour."""
    if isinstance(job, TrainingJob):
        _check_name(job, deployment)
        _check_training_image(job, deployment)
        _check_retries(job)
    else:
        _check_shards(job, deployment)
    _check_secrets(job, deployment)


def check_run(run: Run) -> None:
    """Raise `Unsupported` for what a run asks for beside its job."""
    if len(run.interrupt_at) > INTERRUPTIONS:
        problem = f"{len(run.interrupt_at)} interruptions are more than SageMaker's arguments hold"
        raise Unsupported(problem, key="--interrupt-at", cure=f"use at most {INTERRUPTIONS}")
    for key, address in (("MODEL", run.model_uri), ("INPUT", run.input)):
        if is_remote(address) and not address.startswith("s3://"):
            problem = f"{show(address)} is no place that jobs on AWS read"
            raise Unsupported(problem, key=key, cure="name a file here, or s3://bucket/prefix")


def warnings(job: Job, deployment: Deployment) -> list[str]:
    """What is allowed and likely not meant on AWS, one line each."""
    found = []
    if isinstance(job, TrainingJob):
        if job.resources.memory_mib:
            found.append(
                "train.resources.memory_mib: SageMaker knows no such limit; a run has all of its machine"
            )
        image = ecr_image(job.image)
        if image and image.region != deployment.region:
            found.append(
                f"train.image: it is in {image.region}, and SageMaker pulls from {deployment.region};"
                " push it there"
            )
    elif job.image and not digest_of(job.image) and not job.image.startswith(deployment.repository_uri):
        found.append(
            "infer.image: it has no digest, and shards that start later may run a newer one; add @sha256:…"
        )
    return found


def _check_name(job: TrainingJob, deployment: Deployment) -> None:
    most = longest_name(deployment.prefix)
    if len(job.name) > most:
        problem = f"{show(job.name)} is {len(job.name)} characters long, and {deployment.name} leaves {most}"
        raise Unsupported(problem, key="train.name", cure=f"try {legal_name(job.name, length=most)!r}")


def _check_training_image(job: TrainingJob, deployment: Deployment) -> None:
    image = training_image(job, deployment.region)
    if ecr_image(image):
        return
    registry = registry_of(image)
    key = "train.image"
    if not registry or registry in PUBLIC_REGISTRIES:
        problem = f"{show(image)}: SageMaker's training image must come from ECR or a TLS registry in the VPC"
        raise Unsupported(problem, key=key, cure=_PUSH)
    if deployment.network_profile == LEAN:
        problem = f"{show(image)}: training jobs of {deployment.name} reach S3 and no registry"
        raise Unsupported(problem, key=key, cure=_PUSH)


def _check_retries(job: TrainingJob) -> None:
    if job.retries and job.resources.instance_count > 1:
        problem = "the hosts of a training job on SageMaker cannot be started again together"
        cure = "write 0, and `trainyard resume` where it failed; interruptions are no failures"
        raise Unsupported(problem, key="train.retries", cure=cure)


def _check_shards(job: InferenceJob, deployment: Deployment) -> None:
    key, wanted = "infer.resources", job.resources
    for name, value, most in (
        ("vcpus", wanted.vcpus, MOST_VCPUS),
        ("memory_mib", wanted.memory_mib, MOST_MIB),
        ("gpus", wanted.gpus, MOST_GPUS),
    ):
        if value > most:
            problem = f"{show(value)} are more than any machine has"
            raise Unsupported(problem, key=f"{key}.{name}", cure=f"use at most {most}, and more shards")
    if wanted.gpus and not deployment.gpu_job_queue_arn:
        cure = f"write `gpu_families` under [environments.{deployment.name}.batch] and deploy, or 0"
        if deployment.name == SANDBOX:
            cure = "write 0"
        raise Unsupported(f"{deployment.name} has no machines with GPUs", key=f"{key}.gpus", cure=cure)


def _check_secrets(job: Job, deployment: Deployment) -> None:
    for name, value in job.environment.items():
        if value.startswith(SECRET):
            key = f"{job.section}.environment.{name}"
            _check_secret(value, key, deployment)
            if job.section == "train" and deployment.network_profile == LEAN:
                problem = f"training jobs of {deployment.name} reach S3 alone, and not Secrets Manager"
                cure = 'deploy with `network = "private"`, or read it from a channel'
                raise Unsupported(problem, key=key, cure=cure)


def _check_secret(value: str, key: str, deployment: Deployment) -> None:
    try:
        secret = secrets.parse("", value).secret
    except InputError:
        cure = f"write {SECRET}{deployment.stack}/NAME, or {SECRET}{deployment.stack}/NAME:KEY"
        raise Unsupported(f"{show(value)} names no secret", key=key, cure=cure) from None
    # An ARN ends with the name: arn:aws:secretsmanager:<region>:<account>:secret:<name>.
    name = secret.rpartition(":")[2]
    if not name.startswith(f"{deployment.stack}/"):
        problem = f"jobs of {deployment.name} read secrets called {deployment.stack}/… and no others"
        raise Unsupported(problem, key=key, cure=f"call it {deployment.stack}/{name.rpartition('/')[2]}")
