"""What a Batch job's container is here: a process in a namespace, with the variables that it has on AWS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ...aws.images.images import ecr_image
from ...machine import namespace
from ...machine.namespace import Mount
from ..tasks import containers
from ..tasks.spec import HOME, TaskSpec, uncontained
from ..world.world import World
from .jobs import BatchAttempt, Job
from .requests import DEFAULT_LOG_GROUP

OPT_ML = "/opt/ml"
LONGEST_REASON = 255


def task_spec(job: Job, attempt: BatchAttempt, world: World, folder: str, engine: str) -> TaskSpec:
    """How the attempt is started, as a container where an engine has its image; its files lie in `folder`,
    which is made ready for it."""
    root = os.path.join(folder, "ml")
    home = os.path.join(folder, "home")
    for path in (root, home):
        os.makedirs(path, exist_ok=True)
    spec = TaskSpec(
        name=f"batch/{job.id}/{attempt.number}",
        command=job.spec.command,
        environment=environment(job, attempt, world),
        log=os.path.join(folder, "log"),
        folder=folder,
        mounts=(Mount(root, OPT_ML, False),),
        working_folder=HOME,
    )
    if engine:
        image = str(job.spec.container["image"])
        return containers.contained(spec, engine, image, world.mark, (), job.spec.command)
    return uncontained(spec, home, world.folder, TMPDIR=HOME)


def environment(job: Job, attempt: BatchAttempt, world: World) -> dict[str, str]:
    """The variables of the container ("Job environment variables", AWS Batch user guide), and what a client
    needs to find the sandbox. The job's own come first: nobody can take Batch's away."""
    spec = job.spec
    found = {each["name"]: each["value"] for each in spec.container["environment"]}
    found |= {
        "AWS_BATCH_JOB_ID": job.id,
        "AWS_BATCH_JQ_NAME": spec.queue_name,
        "AWS_BATCH_CE_NAME": spec.environment_name,
        "AWS_BATCH_JOB_ATTEMPT": str(attempt.number),
        "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
        "AWS_ENDPOINT_URL": world.endpoint,
        "AWS_REGION": world.region,
        "AWS_DEFAULT_REGION": world.region,
    }
    if job.parent is not None:
        found["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
        found["AWS_BATCH_JOB_ARRAY_SIZE"] = str(job.parent.array)
    if spec.job_role and (path := world.credentials_for(spec.job_role)):
        found["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = world.endpoint + path
    return found


def pull_problem(image: str, world: World) -> str:
    """Why an image of the account's own registry cannot be pulled, in Docker's words; "" where it can be.

    Other registries are taken to have what they are asked for.
    """
    found = ecr_image(image)
    if not found or found.account != world.account or found.region != world.region:
        return ""
    repository = world.backend("ecr").repositories.get(found.repository)
    if repository is None:
        return cannot_pull(
            f"pull access denied for {image.partition('@')[0]}, repository does not exist or may require"
            " 'docker login': denied: requested access to the resource is denied"
        )
    if not any(_is(each, found.tag or "latest", found.digest) for each in repository.images):
        return cannot_pull(f"manifest for {image} not found: manifest unknown: Requested image not found")
    return ""


def place_problem(image: str, engine: str) -> str:
    """Why there is no place for the job to run in; "" where there is: an engine, or a namespace."""
    if engine or not (refusal := namespace.refusal()):
        return ""
    return (
        f"CannotPullContainerError: {image} is not on this machine, and without it jobs can't run: {refusal}"
    )


def log_problem(group: str, container: Mapping[str, Any], world: World) -> str:
    """Why the container's log cannot be written, in Docker's words; "" where it can."""
    options = (container.get("logConfiguration") or {}).get("options") or {}
    makes_group = group in ("", DEFAULT_LOG_GROUP) or options.get("awslogs-create-group") == "true"
    if makes_group or group in world.backend("logs").groups:
        return ""
    return (
        "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed"
        " to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist."
    )


def cannot_pull(text: str) -> str:
    """The reason of a container whose image could not be pulled."""
    return f"CannotPullContainerError: Error response from daemon: {text}"[:LONGEST_REASON]


def cannot_start(text: str) -> str:
    """The reason of a container whose program could not be started; `text` is what the runtime says."""
    return (
        "CannotStartContainerError: Error response from daemon: failed to create task for container: failed"
        " to create shim task: OCI runtime create failed: runc create failed: unable to start container"
        f" process: {text}: unknown"
    )[:LONGEST_REASON]


def _is(image: Any, tag: str, digest: str) -> bool:
    if digest:
        return bool(image.get_image_digest() == digest)
    return tag in image.image_tags
