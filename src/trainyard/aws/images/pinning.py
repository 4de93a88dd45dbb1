"""The image of a job by its digest, so that it stays what it is."""

from __future__ import annotations

from ...core.errors import AccountRefused, BadInput
from ...core.jobs.job import Job
from ..account.deployment import Deployment
from ..account.session import Session
from . import images

_NO_IMAGE = frozenset({"ImageNotFoundException", "RepositoryNotFoundException"})


def pinned_image(session: Session, deployment: Deployment, job: Job) -> str:
    """The job's image; one of the environment's repository by its digest, so that it stays what it is."""
    image = job.image
    if not image.startswith(deployment.repository_uri) or images.digest_of(image):
        return image
    named = images.ecr_image(image)
    assert named is not None
    try:
        answer = session.call(
            "ecr",
            "describe_images",
            registryId=named.account,
            repositoryName=named.repository,
            imageIds=[{"imageTag": named.tag or "latest"}],
        )
    except AccountRefused as error:
        if error.code not in _NO_IMAGE:
            raise
        cure = "push it with `trainyard image push`, and write what that prints"
        raise BadInput(f"there is no image {image}", key=f"{job.section}.image", cure=cure) from None
    return f"{image.rpartition(':')[0] if named.tag else image}@{answer['imageDetails'][0]['imageDigest']}"
