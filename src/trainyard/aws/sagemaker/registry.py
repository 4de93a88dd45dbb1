"""SageMaker's model registry: every version of a model is a package in the group of its name there too."""

from __future__ import annotations

from typing import Any

from ...core.errors import AccountRefused
from ...core.ports.ledger import Model
from ...core.runs.run import Run
from ..account.deployment import Deployment
from ..account.session import Session
from . import requests

_EXISTS = frozenset({"ConflictException", "ResourceInUse"})


def register(session: Session, deployment: Deployment, run: Run, model: Model, image: str) -> str:
    """Make the version a model package, once for each launch; what is wrong where AWS refuses, else "".

    The version is in trainyard's own ledger already: a registry that refuses costs a warning, and no model.
    """
    package = requests.model_package_request(model, deployment, image, requests.package_token(run))
    try:
        try:
            _create(session, "create_model_package", package)
        except AccountRefused:  # most likely there is no such group yet
            _create(
                session, "create_model_package_group", requests.model_group_request(deployment, model.name)
            )
            _create(session, "create_model_package", package)
    except AccountRefused as error:
        return f"{model.ref} is not in SageMaker's model registry: {error}"
    return ""


def _create(session: Session, operation: str, request: dict[str, Any]) -> None:
    try:
        session.call("sagemaker", operation, **request)
    except AccountRefused as error:
        if error.code not in _EXISTS and "already exist" not in error.message:
            raise
