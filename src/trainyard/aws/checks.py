"""What an environment on AWS cannot do that a job or a run of either kind may ask for, by key. Pure.

What no environment can do is refused when a job is made (`core/jobs/limits.py`).
"""

from __future__ import annotations

from ..core.checks import show
from ..core.errors import Unsupported
from ..core.jobs.job import Job
from ..core.jobs.limits import CHANNELS
from ..core.jobs.sources import is_remote
from ..core.runs.run import Run
from ..worker.cloud import secrets
from ..worker.errors import InputError
from ..worker.protocol import OF_SHELL, SECRET
from .account.deployment import LEAN, Deployment
from .sagemaker.requests import INTERRUPTIONS


def check_run(run: Run) -> None:
    """Raise `Unsupported` for what a run asks for beside its job."""
    if len(run.interrupt_at) > INTERRUPTIONS:
        problem = f"{len(run.interrupt_at)} interruptions are more than SageMaker's arguments hold"
        raise Unsupported(problem, key="--interrupt-at", cure=f"use at most {INTERRUPTIONS}")
    if run.starts_from and len(run.training.channels) == CHANNELS:
        problem = "its checkpoints are a channel too, and SageMaker takes no more of them"
        raise Unsupported(problem, key="--from", cure=f"use at most {CHANNELS - 1} channels")
    for key, address in (("MODEL", run.model_uri), ("INPUT", run.input)):
        if is_remote(address) and not address.startswith("s3://"):
            problem = f"{show(address)} is no place that jobs on AWS read"
            raise Unsupported(problem, key=key, cure="name a file here, or s3://bucket/prefix")


def check_secrets(job: Job, deployment: Deployment) -> None:
    """Raise `Unsupported` for a secret that jobs of the environment cannot read."""
    for name, value in job.environment.items():
        key = f"{job.section}.environment.{name}"
        if value.startswith(OF_SHELL):
            cure = f"keep it in AWS Secrets Manager, and write {SECRET}{deployment.stack}/NAME"
            raise Unsupported(
                f"{show(value)}: jobs on AWS have no variables of this shell", key=key, cure=cure
            )
        if value.startswith(SECRET):
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
