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
        digest = tagged_digest(session, named, named.tag or "latest")
    except AccountRefused as error:
        if error.code not in _NO_IMAGE:
            raise
        cure = "push it with `trainyard image push`, and write what that prints"
        raise BadInput(f"there is no image {image}", key=f"{job.section}.image", cure=cure) from None
    return f"{image.rpartition(':')[0] if named.tag else image}@{digest}"


def tagged_digest(session: Session, image: images.EcrImage, tag: str) -> str:
    """The digest of what has the tag in the image's repository. Raises `AccountRefused`."""
    answer = session.call(
        "ecr",
        "describe_images",
        registryId=image.account,
        repositoryName=image.repository,
        imageIds=[{"imageTag": tag}],
    )
    return str(answer["imageDetails"][0]["imageDigest"])
