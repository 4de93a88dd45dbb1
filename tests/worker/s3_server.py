"""How a process of the worker finds the S3 of the tests."""

from __future__ import annotations

REGION = "eu-central-1"
BUCKET = "the-models"


def variables(endpoint: str) -> dict[str, str]:
    """The environment of a process that finds S3 at the endpoint."""
    return {
        "TRAINYARD_REGION": REGION,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
    }
