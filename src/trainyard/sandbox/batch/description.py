"""Jobs as DescribeJobs, ListJobs and events show them."""

from __future__ import annotations

from typing import Any

from ..world.world import World
from .jobs import RUNNING, STATUSES, TERMINAL, BatchAttempt, Job


def describe(job: Job, world: World) -> dict[str, Any]:
    """A JobDetail."""
    spec = job.spec
    shown: dict[str, Any] = {
        "jobArn": world.arn("batch", f"job/{job.id}"),
        "jobName": spec.name,
        "jobId": job.id,
        "jobQueue": spec.queue_arn,
        "status": job.status,
        "attempts": [_attempt(each, world) for each in job.attempts if each.stopped is not None],
        "createdAt": millis(job.created),
        "retryStrategy": spec.retry,
        "dependsOn": job.depends_on,
        "jobDefinition": spec.definition_arn,
        "parameters": spec.parameters,
        "container": _container(job, world),
        "tags": dict((job.parent or job).tags),
        "propagateTags": spec.propagate_tags,
        "platformCapabilities": list(spec.capabilities),
        "isCancelled": job.is_cancelled,
        "isTerminated": job.is_terminated,
    }
    if spec.timeout:
        shown["timeout"] = {"attemptDurationSeconds": spec.timeout}
    return {**shown, **_times(job), **_array(job)}


def summarize(job: Job, world: World) -> dict[str, Any]:
    """A JobSummary."""
    shown: dict[str, Any] = {
        "jobArn": world.arn("batch", f"job/{job.id}"),
        "jobId": job.id,
        "jobName": job.spec.name,
        "createdAt": millis(job.created),
        "status": job.status,
        "jobDefinition": job.spec.definition_arn,
        "capacityUsage": [{"capacityUnit": "VCPU", "quantity": job.spec.vcpus}],
    }
    if job.attempts and job.attempts[-1].stopped is not None:
        shown["container"] = _ending(job.attempts[-1])
    for name, is_so in (("isCancelled", job.is_cancelled), ("isTerminated", job.is_terminated)):
        if is_so:
            shown[name] = True
    array = _array(job).get("arrayProperties")
    return {**shown, **_times(job), **({"arrayProperties": array} if array else {})}


def millis(seconds: float) -> int:
    """Batch's times: milliseconds since 1970."""
    return int(seconds * 1000)


def _times(job: Job) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if job.status_reason:
        shown["statusReason"] = job.status_reason
    if job.started is not None:
        shown["startedAt"] = millis(job.started)
    if job.stopped is not None:
        shown["stoppedAt"] = millis(job.stopped)
    return shown


def _array(job: Job) -> dict[str, Any]:
    if job.array:
        summary = {status: job.summary[status] for status in STATUSES}
        updated = millis(job.summary_updated)
        properties = {"statusSummary": summary, "size": job.array, "statusSummaryLastUpdatedAt": updated}
        return {"arrayProperties": properties}
    if job.index is not None:
        return {"arrayProperties": {"index": job.index}}
    return {}


def _container(job: Job, world: World) -> dict[str, Any]:
    shown = {"networkInterfaces": [], **job.spec.container}
    if job.attempts and not job.array:
        attempt = job.attempts[-1]
        if job.status in (RUNNING, *TERMINAL):
            shown.update(_ending(attempt))
        shown.update(_places(attempt, world))
    return shown


def _attempt(attempt: BatchAttempt, world: World) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "container": {**_places(attempt, world), "networkInterfaces": [], **_ending(attempt)}
    }
    if attempt.started is not None:
        shown["startedAt"] = millis(attempt.started)
    if attempt.stopped is not None:
        shown["stoppedAt"] = millis(attempt.stopped)
    shown["statusReason"] = attempt.ending.status_reason
    return shown


def _places(attempt: BatchAttempt, world: World) -> dict[str, Any]:
    shown = {
        "containerInstanceArn": world.arn("ecs", f"container-instance/{attempt.container_instance}"),
        "taskArn": world.arn("ecs", f"task/{attempt.task_id}"),
    }
    # "Each container attempt receives a log stream name when they reach the RUNNING status."
    if attempt.started is not None and attempt.stream:
        shown["logStreamName"] = attempt.stream
    return shown


def _ending(attempt: BatchAttempt) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if attempt.ending.exit_code is not None:
        shown["exitCode"] = attempt.ending.exit_code
    if attempt.ending.reason:
        shown["reason"] = attempt.ending.reason
    return shown
