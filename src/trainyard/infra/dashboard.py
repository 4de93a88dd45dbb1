"""The dashboard: every widget reads a metric that is there ("Monitor Amazon SageMaker with CloudWatch", "AWS
Batch CloudWatch metrics", "Monitoring Amazon EventBridge"). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.environments.environment import Environment

TRAINING = "/aws/sagemaker/TrainingJobs"
BATCH_JOBS = (
    "JobsSubmitted",
    "JobsMovedToRunning",
    "JobsMovedToSucceeded",
    "JobsMovedToFailed",
    "JobsRetried",
)
_WIDTH = 12


def dashboard_body(
    environment: Environment, *, queues: Sequence[str], rules: Mapping[str, str]
) -> dict[str, Any]:
    """CloudWatch's JSON; `queues`, the one with GPUs last, and `rules` (`failed`, `blocked`) are names, texts
    for `Fn::Sub`."""
    hosts = [
        _widget("CPU, % of one core", [_search(environment, "Host", "CPUUtilization")]),
        _widget("Memory, %", [_search(environment, "Host", "MemoryUtilization")]),
        _widget("GPU, % of one GPU", [_search(environment, "Host", "GPUUtilization")]),
        _widget("GPU memory, % of one GPU", [_search(environment, "Host", "GPUMemoryUtilization")]),
        _widget("Disk, %", [_search(environment, "Host", "DiskUtilization")]),
        _widget("Metrics of training jobs", [_search(environment, "TrainingJobName")]),
    ]
    failures = [
        ["AWS/Events", "TriggeredRules", "RuleName", rules["failed"], {"label": "training jobs failed"}],
        ["...", rules["blocked"], {"label": "queue blocked"}],
    ]
    titles = ("Jobs of the Batch queue", "Jobs of the Batch queue with GPUs")
    jobs = [_widget(title, _jobs_of(queue), "Sum") for title, queue in zip(titles, queues, strict=False)]
    return {"widgets": [*hosts, _widget("Failures", failures, "Sum"), *jobs]}


def _jobs_of(queue: str) -> list[list[str]]:
    # CloudWatch's shorthand: a dot repeats what stands above it.
    first, *others = BATCH_JOBS
    return [["AWS/Batch", first, "JobQueueName", queue], *([".", name, ".", "."] for name in others)]


def _search(environment: Environment, dimension: str, metric: str = "") -> list[Any]:
    # A job's name is in the dimension's value; a search matches its parts between hyphens.
    words = f"{environment.prefix} {environment.name}".replace("-", " ")
    named = f' MetricName="{metric}"' if metric else ""
    expression = f"SEARCH('{{{TRAINING},{dimension}}} {words}{named}', 'Average', 60)"
    return [{"expression": expression}]


def _widget(title: str, metrics: list[Any], statistic: str = "") -> dict[str, Any]:
    properties = {"title": title, "metrics": metrics, "region": "${AWS::Region}"}
    if statistic:  # a search says its own
        properties["stat"] = statistic
    return {"type": "metric", "width": _WIDTH, "properties": properties}
