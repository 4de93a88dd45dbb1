"""What Batch cannot do that an inference job may ask for, by the job's key. Pure."""

from __future__ import annotations

from ...core.checks import show
from ...core.errors import Unsupported
from ...core.jobs.job import InferenceJob
from ..account.deployment import SANDBOX, Deployment
from ..images.images import digest_of

MOST_VCPUS, MOST_MIB, MOST_GPUS = 1_920, 32 * 1024 * 1024, 8
"""Of the largest machines: EC2's u7inh-32tb.480xlarge; 8 GPUs have the families that Batch's image drives."""


def check(job: InferenceJob, deployment: Deployment) -> None:
    """Raise `Unsupported` for the first key of the job that the environment cannot honour."""
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


def warnings(job: InferenceJob, deployment: Deployment) -> list[str]:
    """What is allowed and likely not meant on AWS, one line each."""
    if not job.image or digest_of(job.image) or job.image.startswith(deployment.repository_uri):
        return []
    return ["infer.image: it has no digest, and shards that start later may run a newer one; add @sha256:…"]
