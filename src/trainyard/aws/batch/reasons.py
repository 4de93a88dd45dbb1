"""What Batch says of failures -> a cause of ours, and of waits -> words that a person understands. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.environments.facts import STOP_REASON
from ...core.environments.retries import NOT_STARTED
from ...core.jobs.job import InferenceJob
from ...worker import reasons
from ...worker.reasons import Ending
from ..outcomes import NO_PYTHON, one_line

_WAITING = {
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": "waiting for capacity: AWS has no such machines free",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": "waits for ever: infer.resources.vcpus is more than"
    " `max_vcpus` of the environment; stop it, and ask for less",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": "waits for ever: no machine of the environment's `families`"
    " has what infer.resources asks for; stop it, and ask for less",
    "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS": "waits for ever: Batch's own role lacks permissions;"
    " deploy the environment again",
    "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED": "waits for ever: EC2 refuses the environment's"
    " machines; mind its `families`, and deploy it again",
}
"""DescribeJobs, statusReason of a job that is RUNNABLE ("Jobs stuck in a RUNNABLE status")."""


def batch_failure(job: Mapping[str, Any], wanted: InferenceJob) -> Ending:
    """Why a Batch job failed, as far as DescribeJobs tells. The worker's own words, where it has left some in
    S3, are better."""
    container = job.get("container", {})
    reason = one_line(container.get("reason", ""))
    status = one_line(job.get("statusReason", ""))
    if "attempt duration exceeded timeout" in status:
        limit = job.get("timeout", {}).get("attemptDurationSeconds", wanted.timeout)
        return reasons.TIMED_OUT.of(limit)
    if said := _container_problem(reason, _memory(container) or wanted.resources.memory_mib):
        return said
    if status.startswith("Host EC2"):
        return reasons.LOST_TOO_OFTEN.of(status)
    code = container.get("exitCode")
    if code is None:
        text = reason or status
        return reasons.UNMENDABLE.of(text) if text else reasons.UNKNOWN.of("Batch")
    if code == 137:
        return reasons.KILLED.of()
    if code == 127:
        # The command is python3 itself, and the worker ends with no such status.
        return reasons.NO_PYTHON.of("infer")
    return reasons.EXITED.of(reason, code) if reason else reasons.SILENT.of(code)


def interruption(reason: str, status: str) -> Ending | None:
    """Why an attempt of a Batch job ended that was no failure of its own; None where it was one."""
    if status.startswith("Host EC2"):
        return reasons.HOST_LOST.of(one_line(status))
    if reason.startswith("CannotPullContainerError"):
        return reasons.PULL_FAILED.of(one_line(reason).partition(":")[2].strip())
    if status.startswith(NOT_STARTED):
        return reasons.START_FAILED.of(one_line(reason) or one_line(status))
    return None


def waiting(status: str) -> str:
    """Why a Batch job is not started: what Batch says, in words; "" where it says nothing."""
    text = one_line(status)
    kind = text.split(" ")[0]
    return _WAITING.get(kind, text)


def was_stopped(job: Mapping[str, Any]) -> bool:
    """Whether a Batch job has ended because somebody asked for it."""
    status = str(job.get("statusReason", ""))
    if status.startswith(STOP_REASON):
        return True
    return bool(job.get("isTerminated") or job.get("isCancelled")) and "exceeded timeout" not in status


def _container_problem(reason: str, memory_mib: int) -> Ending | None:
    if reason.startswith("OutOfMemoryError"):
        return reasons.MEMORY_EXCEEDED.of(memory_mib)
    if reason.startswith("CannotPullContainerError"):
        return reasons.IMAGE_NOT_PULLED.of(reason.partition(":")[2].strip(), "infer")
    if NO_PYTHON.search(reason):
        return reasons.NO_PYTHON.of("infer")
    return None


def _memory(container: Mapping[str, Any]) -> int:
    for requirement in container.get("resourceRequirements", ()):
        if requirement["type"] == "MEMORY":
            return int(requirement["value"])
    return int(container.get("memory", 0))
