"""The templates that are really deployed."""

from __future__ import annotations

import functools
import tempfile
from typing import Any

from trainyard.core.environments.environment import Environment
from trainyard.infra.synthesis import synthesise


@functools.cache
def stacks(network: str = "private") -> tuple[dict[str, Any], dict[str, Any]]:
    """What holds data, and the platform, of an environment as it is without options."""
    with tempfile.TemporaryDirectory() as cache:
        data, platform = synthesise(Environment(network=network), cache=cache)
    return data.content, platform.content


@functools.cache
def furnished() -> tuple[dict[str, Any], dict[str, Any]]:
    """The same of an environment with every option that adds a type of resource."""
    environment = Environment(
        flow_logs=True, alarm_email="ml@example.com", budget_usd=100, read_buckets=("further-data",)
    )
    with tempfile.TemporaryDirectory() as cache:
        data, platform = synthesise(environment, cache=cache)
    return data.content, platform.content
