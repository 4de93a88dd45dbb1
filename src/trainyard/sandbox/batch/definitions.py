"""Job definitions of Batch, which moto keeps without retry strategies, timeouts and platform capabilities.

They lie in moto's memory of Batch, in the place of moto's own, so that CloudFormation finds them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..api.protocols import present
from . import retries
from .errors import client_exception, not_emulated, not_found

ACTIVE, INACTIVE = "ACTIVE", "INACTIVE"
SHORTEST_TIMEOUT = 60
MOST_TAGS = 50
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z_0-9-]{0,127}")
_ARN = re.compile(r"arn:[^:]+:batch:[^:]*:[^:]*:job-definition/(?P<name>[^:]+)(:(?P<revision>\d+))?")
_LISTS = ("command", "environment", "mountPoints", "resourceRequirements", "secrets", "ulimits", "volumes")
_FOREIGN = ("nodeProperties", "eksProperties", "ecsProperties", "consumableResourceProperties")
_SMALLEST_MEMORY = 4


class Definition:
    """One revision of a job definition; only its status and tags can change."""

    def __init__(self, arn: str, name: str, revision: int, request: Mapping[str, Any]) -> None:
        self.arn, self.name, self.revision, self.status = arn, name, revision, ACTIVE
        self.container = {**{name: [] for name in _LISTS}, **request["containerProperties"]}
        self.retry: Mapping[str, Any] | None = request.get("retryStrategy")
        self.timeout: Mapping[str, Any] | None = request.get("timeout")
        self.parameters: dict[str, str] = dict(request.get("parameters") or {})
        self.propagate_tags = bool(request.get("propagateTags", False))
        self.capabilities: list[str] = list(request.get("platformCapabilities") or ["EC2"])
        self.tags: dict[str, str] = dict(request.get("tags") or {})

    def describe(self) -> dict[str, Any]:
        """As DescribeJobDefinitions shows it."""
        shown = {
            "jobDefinitionName": self.name,
            "jobDefinitionArn": self.arn,
            "revision": self.revision,
            "status": self.status,
            "type": "container",
            "parameters": self.parameters,
            "containerProperties": self.container,
            "propagateTags": self.propagate_tags,
            "platformCapabilities": self.capabilities,
            "tags": self.tags,
            "containerOrchestrationType": "ECS",
            "retryStrategy": None if self.retry is None else retries.normal(self.retry),
            "timeout": self.timeout,
        }
        return present(shown)


Definitions = dict[str, Definition]
"""By ARN, in the order of registration."""


def register(known: Definitions, request: Mapping[str, Any], prefix: str) -> Definition:
    """Keep the next revision of a definition; `prefix` is the account's ARN up to the name.

    Raises AwsError, a ClientException, for what Batch refuses and for what is not emulated.
    """
    _check(request)
    name = request["jobDefinitionName"]
    revision = max((each.revision for each in known.values() if each.name == name), default=0) + 1
    definition = Definition(f"{prefix}{name}:{revision}", name, revision, request)
    known[definition.arn] = definition
    return definition


def find(known: Definitions, wanted: str) -> Definition:
    """The active definition of a name (its latest revision), `name:revision` or ARN, as SubmitJob takes it.

    Raises AwsError in Batch's words for one that is not there or not active.
    """
    if wanted.startswith("arn:"):
        match = _ARN.fullmatch(wanted)
        if match and (found := _latest(_active(known, match["name"], match["revision"]))):
            return found
        raise not_found(f"JobDefinition {wanted} not found.")
    name, _, revision = wanted.partition(":")
    if not _NAME.fullmatch(name) or (":" in wanted and not revision.isdigit()):
        raise not_found(f"Provided name {wanted} is not supported pattern[a-zA-Z_0-9-]{{1,128}}")
    found = _latest(_active(known, name, revision))
    if found is None:
        raise not_found(f"JobDefinition name {wanted} does not exist or is not in ACTIVE status")
    return found


def deregister(known: Definitions, wanted: str) -> None:
    """Make a revision, given as `name:revision` or ARN, INACTIVE; one that is not there is passed over."""
    name, _, revision = wanted.rpartition("job-definition/")[2].partition(":")
    if not revision:
        raise client_exception("Job definition revision should be provided")
    for found in _active(known, name, revision):
        found.status = INACTIVE


def select(known: Definitions, request: Mapping[str, Any]) -> list[Definition]:
    """What DescribeJobDefinitions asks for, the latest revisions first."""
    status, name = request.get("status"), request.get("jobDefinitionName")
    wanted = request.get("jobDefinitions")
    if wanted:
        found = [
            each for each in known.values() if each.arn in wanted or f"{each.name}:{each.revision}" in wanted
        ]
    else:
        found = [each for each in known.values() if name in (None, each.name)]
    return sorted(
        (each for each in found if status in (None, each.status)),
        key=lambda each: (each.name, -each.revision),
    )


def requirement(container: Mapping[str, Any], kind: str) -> float | None:
    """How much of VCPU, MEMORY (MiB) or GPU the container's properties ask for; None where they don't say."""
    for each in container.get("resourceRequirements") or ():
        if each["type"] == kind:
            return float(each["value"])
    old = container.get({"VCPU": "vcpus", "MEMORY": "memory"}.get(kind, ""))
    return None if old is None else float(old)


def check_environment(variables: Any) -> None:
    """Refuse names that are Batch's own."""
    for variable in variables or ():
        if str(variable.get("name", "")).startswith("AWS_BATCH"):
            raise client_exception("Environment variables cannot start with AWS_BATCH")


def check_shared(request: Mapping[str, Any]) -> None:
    """Refuse what neither a definition nor a job may say: a retry strategy that is none, a timeout below 60
    seconds, too many tags."""
    strategy, timeout = request.get("retryStrategy"), request.get("timeout")
    if strategy is not None and (problem := retries.problem(strategy)):
        raise client_exception(problem)
    if timeout and timeout.get("attemptDurationSeconds", SHORTEST_TIMEOUT) < SHORTEST_TIMEOUT:
        raise client_exception(f"Timeout must be at least {SHORTEST_TIMEOUT} seconds")
    check_tags(request.get("tags"))


def check_tags(tags: Mapping[str, str] | None) -> None:
    """Refuse more than 50 tags."""
    if tags and len(tags) > MOST_TAGS:
        raise client_exception(f"Number of tags exceeds the limit of {MOST_TAGS}")


def _check(request: Mapping[str, Any]) -> None:
    if not _NAME.fullmatch(request["jobDefinitionName"]):
        raise client_exception("Job definition name should match valid pattern")
    if request["type"] != "container" or any(request.get(name) for name in _FOREIGN):
        raise not_emulated("job definitions other than of one container (containerProperties)")
    if "FARGATE" in (request.get("platformCapabilities") or ()):
        raise not_emulated("job definitions for Fargate")
    container = request.get("containerProperties")
    if not container:
        raise client_exception("Container properties should not be empty")
    _check_container(container)
    check_shared(request)


def _check_container(container: Mapping[str, Any]) -> None:
    if not container.get("image"):
        raise client_exception("Container image must be provided")
    if "" in (container.get("command") or ()):
        raise client_exception("Container command must not contain empty strings")
    check_requirements(container)
    check_environment(container.get("environment"))


def check_requirements(container: Mapping[str, Any], *, all_needed: bool = True) -> None:
    """Refuse amounts that are no numbers or too small, and missing ones where all are needed."""
    try:
        vcpus, memory = requirement(container, "VCPU"), requirement(container, "MEMORY")
    except ValueError:
        raise client_exception("resourceRequirements must have numbers as values") from None
    if all_needed and vcpus is None:
        raise client_exception("Container vcpus should be greater than 0")
    if vcpus is not None and (vcpus <= 0 or vcpus != int(vcpus)):
        raise client_exception("Container vcpus should be greater than 0")
    if (all_needed and memory is None) or (memory is not None and memory < _SMALLEST_MEMORY):
        raise client_exception(f"Container memory should be at least {_SMALLEST_MEMORY} MiB")


def _active(known: Definitions, name: str, revision: str | None) -> Iterator[Definition]:
    for each in known.values():
        if each.status == ACTIVE and each.name == name and revision in (None, "", str(each.revision)):
            yield each


def _latest(found: Iterator[Definition]) -> Definition | None:
    return max(found, key=lambda each: each.revision, default=None)
