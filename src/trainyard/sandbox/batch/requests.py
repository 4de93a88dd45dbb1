"""SubmitJob: what is asked for, checked as Batch checks it, merged with the job definition."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import retries
from .definitions import Definition, check_environment, check_requirements, check_shared, requirement
from .errors import client_exception, not_emulated
from .jobs import Spec

LONGEST_OVERRIDES = 8_192
OVERRIDES_TOO_LONG = f"Container Overrides length must be at most {LONGEST_OVERRIDES}"
"""The status reason of such a job: Batch takes it, and ECS refuses it when it is to start."""

DEFAULT_LOG_GROUP = "/aws/batch/job"
LARGEST_JOB = 30 * 1024
MOST_DEPENDENCIES, SMALLEST_ARRAY, LARGEST_ARRAY = 20, 2, 10_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_REFERENCE = re.compile(r"Ref::([A-Za-z0-9_-]+)")
_MIB = 1024 * 1024
_FOREIGN = (
    "nodeOverrides",
    "eksPropertiesOverride",
    "ecsPropertiesOverride",
    "consumableResourcePropertiesOverride",
)
_OVERRIDABLE = ("command", "environment", "resourceRequirements", "vcpus", "memory")


class Queue(NamedTuple):
    """A job queue as a job sees it."""

    arn: str
    name: str
    environment_name: str  # of its first compute environment


def check(request: Mapping[str, Any]) -> None:
    """Raises AwsError for what Batch refuses whatever queue and definition the request names."""
    if not _NAME.fullmatch(request["jobName"]):
        raise client_exception("Job name should match valid pattern")
    size = len(json.dumps(request, default=str, separators=(",", ":")))
    if size >= LARGEST_JOB:
        raise client_exception(f"Job size must be less than 30 KiB, got {-(-size // 1024)} KiB")
    for name in _FOREIGN:
        if request.get(name):
            raise not_emulated(name)
    if request.get("shareIdentifier") or request.get("schedulingPriorityOverride") is not None:
        raise client_exception(
            "Job with shareIdentifier or schedulingPriority can only be submitted"
            " to job queue with fair share scheduling policy."
        )
    _check_array(request)
    _check_overrides(request.get("containerOverrides") or {})
    check_shared(request)


def merge(request: Mapping[str, Any], definition: Definition, queue: Queue) -> Spec:
    """What the job runs. Raises AwsError for a placeholder in the command that has no value."""
    container = _container(request.get("containerOverrides") or {}, definition)
    parameters = {**definition.parameters, **(request.get("parameters") or {})}
    timeout = request.get("timeout") or definition.timeout or {}
    group, prefix = _log_place(container, definition)
    propagate = request.get("propagateTags")
    return Spec(
        name=request["jobName"],
        queue_arn=queue.arn,
        queue_name=queue.name,
        environment_name=queue.environment_name,
        definition_arn=definition.arn,
        command=tuple(_substitute(each, parameters) for each in container["command"]),
        container=container,
        memory=int((requirement(container, "MEMORY") or 0) * _MIB),
        vcpus=requirement(container, "VCPU") or 1.0,
        log_group=group,
        log_prefix=prefix,
        job_role=container.get("jobRoleArn", ""),
        retry=retries.normal(request.get("retryStrategy") or definition.retry or {}),
        timeout=int(timeout.get("attemptDurationSeconds", 0)),
        refusal=OVERRIDES_TOO_LONG if overrides_length(request) > LONGEST_OVERRIDES else "",
        parameters=parameters,
        propagate_tags=definition.propagate_tags if propagate is None else propagate,
        capabilities=tuple(definition.capabilities),
    )


def overrides_length(request: Mapping[str, Any]) -> int:
    """The characters of the container overrides, as JSON, that ECS counts."""
    return len(json.dumps(request.get("containerOverrides") or {}, separators=(",", ":")))


def _check_array(request: Mapping[str, Any]) -> None:
    size = (request.get("arrayProperties") or {}).get("size")
    if size is not None and not SMALLEST_ARRAY <= size <= LARGEST_ARRAY:
        raise client_exception(f"Array size must be between {SMALLEST_ARRAY} and {LARGEST_ARRAY}")
    depends_on = request.get("dependsOn") or ()
    if len(depends_on) > MOST_DEPENDENCIES:
        raise client_exception(f"Job can depend upon a maximum of {MOST_DEPENDENCIES} jobs")
    for each in depends_on:
        kind = each.get("type")
        if kind and not size:
            raise client_exception(f"Dependency type {kind} is only supported for array jobs")
        if kind == "SEQUENTIAL" and each.get("jobId"):
            raise client_exception("A SEQUENTIAL dependency must not have a jobId")
        if kind != "SEQUENTIAL" and not each.get("jobId"):
            raise client_exception("Dependency must have a jobId")


def _check_overrides(overrides: Mapping[str, Any]) -> None:
    if "" in (overrides.get("command") or ()):
        raise client_exception("Container command must not contain empty strings")
    if overrides.get("instanceType"):
        raise not_emulated("instanceType, which is for multi-node jobs")
    check_requirements(overrides, all_needed=False)
    check_environment(overrides.get("environment"))


def _container(overrides: Mapping[str, Any], definition: Definition) -> dict[str, Any]:
    own = definition.container
    merged = {**own, **{name: overrides[name] for name in _OVERRIDABLE if overrides.get(name)}}
    for name, key in (("environment", "name"), ("resourceRequirements", "type")):
        entries = {each[key]: each for each in [*own[name], *(overrides.get(name) or ())]}
        merged[name] = list(entries.values())
    merged["environment"] = [each for each in merged["environment"] if each.get("value")]
    return merged


def _log_place(container: Mapping[str, Any], definition: Definition) -> tuple[str, str]:
    """Log group and prefix of the stream; ("", "") when another driver than awslogs is asked for."""
    configuration = container.get("logConfiguration")
    if not configuration:
        return DEFAULT_LOG_GROUP, definition.name
    if configuration["logDriver"] != "awslogs":
        return "", ""
    options = configuration.get("options") or {}
    return options.get("awslogs-group", DEFAULT_LOG_GROUP), options.get(
        "awslogs-stream-prefix", definition.name
    )


def _substitute(argument: str, parameters: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in parameters:
            raise client_exception(f"Unable to substitute value. No parameter found for reference {found[1]}")
        return parameters[found[1]]

    return _REFERENCE.sub(value, argument)
