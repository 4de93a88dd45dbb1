"""An image that was built here -> the environment's repository, under a tag that is its content's."""

from __future__ import annotations

import base64
import json
from typing import NamedTuple

from ...core.errors import AccountRefused, BadInput
from ..account.deployment import SANDBOX, Deployment
from ..account.session import Session
from . import tools
from .images import EcrImage, ecr_image
from .pinning import tagged_digest
from .tools import Built

_DIGITS = 12


class Pushed(NamedTuple):
    """An image in the repository: by digest, as jobs name it, and its tag; `is_new` where it was sent now."""

    reference: str
    tag: str
    is_new: bool


def push(session: Session, deployment: Deployment, built: Built, project: str) -> Pushed:
    """Send the image, unless it is there: its tag is its content's, and the repository's tags never change.

    Raises `BadInput` where the repository is gone, `AccountRefused` for what AWS refuses, and
    `TrainyardError` where the tool can't log in or push.
    """
    uri = deployment.repository_uri
    repository = ecr_image(uri)
    if repository is None:
        raise BadInput(f"{uri!r} is no repository of ECR", cure=f"run `trainyard deploy {deployment.name}`")
    tag = f"{project}-{built.id[:_DIGITS]}"
    digest = _digest(session, deployment, repository, tag)
    if digest:
        return Pushed(f"{uri}@{digest}", tag, False)
    tools.tag(built, f"{uri}:{tag}")
    if deployment.name == SANDBOX:
        _enter(session, repository, tag, built)
    else:
        _send(session, built, uri, tag)
    digest = _digest(session, deployment, repository, tag)
    if not digest:
        problem = f"{built.tool.name} could not push {uri}:{tag}, as it says above"
        raise AccountRefused(problem, operation="ecr:PutImage")
    return Pushed(f"{uri}@{digest}", tag, True)


def _send(session: Session, built: Built, uri: str, tag: str) -> None:
    answer = session.call("ecr", "get_authorization_token")
    token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
    user, _, password = token.partition(":")
    with tools.logged_in(built.tool, uri.partition("/")[0], user, password) as environment:
        # Whether it has come is asked of ECR: another's push of the same may have been faster.
        tools.push(built.tool, f"{uri}:{tag}", environment)


def _enter(session: Session, repository: EcrImage, tag: str, built: Built) -> None:
    """Tell the sandbox's registry of an image, which stays where it is: on this machine."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"digest": f"sha256:{built.id}", "size": 0},
        "layers": [],
    }
    parameters = {"repositoryName": repository.repository, "imageTag": tag}
    if digest := tools.digest(built):
        # So that a job which names it by digest finds it here.
        parameters["imageDigest"] = digest
    session.call("ecr", "put_image", **parameters, imageManifest=json.dumps(manifest))


def _digest(session: Session, deployment: Deployment, repository: EcrImage, tag: str) -> str:
    """The digest of what has the tag; "" where nothing has."""
    try:
        return tagged_digest(session, repository, tag)
    except AccountRefused as error:
        if error.code == "ImageNotFoundException":
            return ""
        if error.code == "RepositoryNotFoundException":
            problem = f"there is no repository {repository.repository!r} any more"
            raise BadInput(problem, cure=f"run `trainyard deploy {deployment.name}`") from None
        raise
