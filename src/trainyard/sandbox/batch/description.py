"""Jobs as DescribeJobs, ListJobs and events show them."""

from __future__ import annotations

from typing import Any

from ..api.protocols import present
from ..world.world import World
from .jobs import RUNNING, STATUSES, TERMINAL, BatchAttempt, Job


def describe(job: Job, world: World) -> dict[str, Any]:
    """A JobDetail."""
    spec = job.spec
    shown = {
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
        "timeout": {"attemptDurationSeconds": spec.timeout} if spec.timeout else None,
        **_times(job),
    }
    return present(shown)


def summarize(job: Job, world: World) -> dict[str, Any]:
    """A JobSummary."""
    has_ended = job.attempts and job.attempts[-1].stopped is not None
    shown = {
        "jobArn": world.arn("batch", f"job/{job.id}"),
        "jobId": job.id,
        "jobName": job.spec.name,
        "createdAt": millis(job.created),
        "status": job.status,
        "jobDefinition": job.spec.definition_arn,
        "capacityUsage": [{"capacityUnit": "VCPU", "quantity": job.spec.vcpus}],
        "container": _ending(job.attempts[-1]) if has_ended else None,
        "isCancelled": job.is_cancelled or None,
        "isTerminated": job.is_terminated or None,
        **_times(job),
    }
    return present(shown)


def millis(seconds: float | None) -> int | None:
    """Batch's times: milliseconds since 1970; None for None."""
    return None if seconds is None else int(seconds * 1000)


def _times(job: Job) -> dict[str, Any]:
    return {
        "statusReason": job.status_reason or None,
        "startedAt": millis(job.started),
        "stoppedAt": millis(job.stopped),
        "arrayProperties": _array(job),
    }


def _array(job: Job) -> dict[str, Any] | None:
    if job.array:
        summary = {status: job.summary[status] for status in STATUSES}
        updated = millis(job.summary_updated)
        return {"statusSummary": summary, "size": job.array, "statusSummaryLastUpdatedAt": updated}
    return None if job.index is None else {"index": job.index}


def _container(job: Job, world: World) -> dict[str, Any]:
    shown = {"networkInterfaces": [], **job.spec.container}
    if job.attempts and not job.array:
        attempt = job.attempts[-1]
        if job.status in (RUNNING, *TERMINAL):
            shown.update(_ending(attempt))
        shown.update(_places(attempt, world))
    return shown


def _attempt(attempt: BatchAttempt, world: World) -> dict[str, Any]:
    shown = {
        "container": {**_places(attempt, world), "networkInterfaces": [], **_ending(attempt)},
        "startedAt": millis(attempt.started),
        "stoppedAt": millis(attempt.stopped),
        "statusReason": attempt.ending.status_reason,
    }
    return present(shown)


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
    return present({"exitCode": attempt.ending.exit_code, "reason": attempt.ending.reason or None})
