"""What SageMaker cannot do that a training job may ask for, by the job's key. Pure."""

from __future__ import annotations

import datetime

from ...core.checks import show
from ...core.errors import Unsupported
from ...core.jobs.job import TrainingJob
from ...core.jobs.limits import legal_name
from ..account.deployment import LEAN, Deployment
from ..account.names import longest_name
from ..images.images import ecr_image, registry_of, training_image
from ..images.releases import expiry

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


def check(job: TrainingJob, deployment: Deployment) -> None:
    """Raise `Unsupported` for the first key of the job that the environment cannot honour."""
    _check_name(job, deployment)
    _check_image(job, deployment)
    _check_retries(job)


def warnings(job: TrainingJob, deployment: Deployment) -> list[str]:
    """What is allowed and likely not meant on AWS, one line each."""
    found = []
    if job.resources.memory_mib:
        found.append("train.resources.memory_mib: SageMaker knows no such limit; a run has the whole machine")
    image = ecr_image(training_image(job, deployment.region))
    if image and (ending := expiry(image.repository, image.tag, datetime.date.today())):
        what = "train.image" if job.image else "the default image"
        found.append(f"{what} ({image.repository}:{image.tag}): {ending}; name a newer one as train.image")
    if image and image.region != deployment.region:
        where = f"it is in {image.region}, and SageMaker pulls from {deployment.region}"
        found.append(f"train.image: {where}; push it there")
    return found


def _check_name(job: TrainingJob, deployment: Deployment) -> None:
    most = longest_name(deployment.prefix)
    if len(job.name) > most:
        problem = f"{show(job.name)} is {len(job.name)} characters long, and {deployment.name} leaves {most}"
        raise Unsupported(problem, key="train.name", cure=f"try {legal_name(job.name, length=most)!r}")


def _check_image(job: TrainingJob, deployment: Deployment) -> None:
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
