"""moto's gaps that matter to somebody who uses the sandbox, closed one by one: a file each, a test each.

Each is small and says what moto does, what AWS does and where that is written, so that it can go upstream.
What stays open is in `docs/sandbox.md`.
"""

from __future__ import annotations

from . import (
    alarms,
    buckets,
    cloudformation,
    logs,
    machines,
    network,
    notebooks,
    packages,
    parameters,
    policies,
    protection,
    repositories,
    topics,
)

ALL = (
    alarms,
    buckets,
    cloudformation,
    logs,
    machines,
    network,
    notebooks,
    packages,
    parameters,
    policies,
    protection,
    repositories,
    topics,
)
"""The extensions. Importing one registers what it adds."""


def install(region: str) -> None:
    """Put all of them into moto, in this process; once is enough, twice does no harm."""
    cloudformation.install(region)
