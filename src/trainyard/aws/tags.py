"""The tags of what runs: by them jobs are found again, and only this environment's can be stopped.

The submitter policy asks for `trainyard:environment` (`infra/submitters.py`).
"""

from __future__ import annotations

from ..run import Run
from .deployment import Deployment

ENVIRONMENT = "trainyard:environment"
RUN = "trainyard:run"


def tags(deployment: Deployment, run: Run | None = None) -> dict[str, str]:
    """The tags of what belongs to an environment, or to a run in it."""
    found = {ENVIRONMENT: deployment.stack}
    if run is not None:
        found[RUN] = run.id
    return found


def tag_list(values: dict[str, str]) -> list[dict[str, str]]:
    """Tags as SageMaker writes them."""
    return [{"Key": key, "Value": value} for key, value in values.items()]
