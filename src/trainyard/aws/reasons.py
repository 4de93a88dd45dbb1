"""Why a job on AWS ended, in words: from the texts of SageMaker and Batch to the reason of a run. Pure.

The texts are documented hardly anywhere; those that are not recognised are given as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .. import outcomes
from ..job import InferenceJob, TrainingJob
from ..parameters import STOP_REASON
from ..worker.reasons import describe_exit

RECLAIMED = "interrupted: the spot machine was taken back"
RESTARTED = "interrupted: SageMaker itself failed, and starts it again"
LOST = "interrupted: the machine was lost"
NOT_PULLED = "interrupted: the image could not be pulled"
DEPENDENT = "Dependent Job failed"
"""Batch's reason of a job that never started because one that it waits for has failed."""
CHILD = "Array Child Job failed"
"""Batch's reason of an array of which a child has failed."""
KILLED = describe_exit(9, b"")

_WITHOUT_PYTHON = "the image has no python3, which the worker needs; name another {}.image"
_LONGEST = 300
"""Characters of AWS's own text that stand beside ours."""
_SILENT = "exit status {}, and no word of the worker's: `trainyard logs` may tell more"
_EXIT = re.compile(r",? *exit code: (\d+)$", re.IGNORECASE)
_NO_PYTHON = re.compile(
    r"python3\\?\"?: (?:executable file not found|no such file)|exec python3 failed"
    r"|executable file .?python3.? not found",
    re.I,
)
_NO_MEMORY = re.compile(r"use an instance type with more memory", re.I)
_NOT_PULLED = re.compile(r"cannot ?pull|image does not exist|unable to pull", re.I)
_NO_BUCKET = re.compile(r"NoSuchBucket|bucket does not exist", re.I)
_OTHER_REGION = re.compile(r"PermanentRedirect|AuthorizationHeaderMalformed|other region|same region", re.I)
_DENIED = re.compile(r"access ?denied|forbidden|insufficient permissions|not authorized", re.I)
_NO_OBJECTS = re.compile(r"No S3 objects|NoSuchKey|no objects? (?:found|match)", re.I)
_ADDRESS = re.compile(r"s3://[^\s\"',()]+", re.I)

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


class Cause(NamedTuple):
    """Why a job failed, and whether what it was given is to blame."""

    reason: str
    bad_input: bool = False


def training_failure(text: str, job: TrainingJob) -> Cause:
    """What SageMaker's FailureReason says: `AlgorithmError: …, exit code: 1`, `ClientError: …`, …"""
    text = _one_line(text)
    kind, colon, rest = text.partition(":")
    rest = rest.strip()
    if _NO_PYTHON.search(text):
        return Cause(_WITHOUT_PYTHON.format("train"), True)
    if kind == "AlgorithmError" and colon:
        return _algorithm_error(rest, job)
    if kind == "ClientError" and colon:
        return _client_error(rest, text)
    if kind in ("CapacityError", "InsufficientCapacityError") or "InsufficientInstanceCapacity" in text:
        spot = ", --no-spot" if job.spot.enabled else ""
        kind = job.resources.instance_type
        cure = f"try later, another train.resources.instance_type{spot}"
        return Cause(f"CapacityError: AWS has no {kind} free; {cure}")
    if kind in ("InternalServerError", "InternalError"):
        cure = "SageMaker itself failed: `trainyard resume` goes on from the checkpoint"
        return Cause(f"{text.rstrip('.')}; {cure}")
    return Cause(text or "failed, and SageMaker does not say why")


def stopped(secondary: str, job: TrainingJob) -> Cause:
    """Why a training job is `Stopped`, by its secondary status, in the words of the local yard."""
    if secondary == "MaxRuntimeExceeded":
        return Cause(outcomes.ran_too_long(job.spot))
    if secondary == "MaxWaitTimeExceeded":
        return Cause(outcomes.took_too_long(job.spot))
    return Cause(outcomes.STOPPED)


def submission_refused(code: str, message: str, job: TrainingJob) -> Cause | None:
    """What AWS says when it refuses CreateTrainingJob for what the job asks for, as our problem; None for
    what is about credentials, permissions or us."""
    text = _one_line(message)
    if code == "ResourceLimitExceeded":
        kind = job.resources.instance_type
        how = "spot training" if job.spot.enabled else "training"
        limit = re.search(r"is (\d+) Instances", text)
        number = limit[1] if limit else "reached"
        return Cause(
            f"the account's quota of {kind} for {how} is {number}; ask for more in AWS Service Quotas", True
        )
    if code != "ValidationException":
        return None
    if re.search(r"training image|requested image|repository .*(?:not found|does not exist)", text, re.I):
        return Cause(f"the image cannot be used: {text}; mind train.image", True)
    return _channel_problem(text)


def batch_failure(job: Mapping[str, Any], wanted: InferenceJob) -> Cause:
    """Why a Batch job failed, as far as DescribeJobs tells. The worker's own words, where it has left some in
    S3, are better."""
    container = job.get("container", {})
    reason = _one_line(container.get("reason", ""))
    status = _one_line(job.get("statusReason", ""))
    if "attempt duration exceeded timeout" in status:
        return Cause(outcomes.timed_out(job.get("timeout", {}).get("attemptDurationSeconds", wanted.timeout)))
    if said := _container_problem(reason, _memory(container) or wanted.resources.memory_mib):
        return said
    if status.startswith("Host EC2"):
        return Cause(f"the machine was lost too often to go on: {status}")
    code = container.get("exitCode")
    if code is None:
        return Cause(reason or status or "failed, and Batch does not say why")
    if code == 137:
        return Cause(KILLED)
    if code == 127:
        # The command is python3 itself, and the worker ends with no such status.
        return Cause(_WITHOUT_PYTHON.format("infer"), True)
    return Cause(f"{reason} (exit status {code})" if reason else _SILENT.format(code))


def interruption(reason: str, status: str) -> str:
    """Why an attempt of a Batch job ended that was no failure of its own; "" where it was one."""
    if status.startswith("Host EC2"):
        return f"{LOST}: {_one_line(status)}"
    if reason.startswith("CannotPullContainerError"):
        return f"{NOT_PULLED}: {_one_line(reason).partition(':')[2].strip()}"
    return ""


def waiting(status: str) -> str:
    """Why a Batch job is not started: what Batch says, in words; "" where it says nothing."""
    text = _one_line(status)
    kind = text.split(" ")[0]
    return _WAITING.get(kind, text)


def was_stopped(job: Mapping[str, Any]) -> bool:
    """Whether a Batch job has ended because somebody asked for it."""
    status = str(job.get("statusReason", ""))
    if status.startswith(STOP_REASON):
        return True
    return bool(job.get("isTerminated") or job.get("isCancelled")) and "exceeded timeout" not in status


def _algorithm_error(text: str, job: TrainingJob) -> Cause:
    """The worker's own words, without what SageMaker puts around them."""
    code = _EXIT.search(text)
    said = text[: code.start()].strip(" ,") if code else text
    number = code[1] if code else ""
    if _NO_MEMORY.search(said):
        kind = job.resources.instance_type
        return Cause(f"out of memory: {kind} has no more; use a larger train.resources.instance_type")
    if said:
        return Cause(said)
    if number == "137":
        return Cause(KILLED)
    if number == "127":
        return Cause(_WITHOUT_PYTHON.format("train"), True)
    return Cause(_SILENT.format(number or 1))


def _client_error(rest: str, text: str) -> Cause:
    if _NOT_PULLED.search(rest):
        return Cause(f"the image cannot be pulled: {rest.rstrip('.')}; mind train.image", True)
    return _channel_problem(rest) or Cause(text, True)


def _channel_problem(text: str) -> Cause | None:
    found = _ADDRESS.search(text)
    where = found[0].rstrip(".:") if found else "a channel"
    for pattern, problem in (
        (_NO_BUCKET, "there is no such bucket"),
        (_OTHER_REGION, "it is in another region; copy it to the environment's"),
        (_DENIED, "access denied: name its bucket under `read_buckets` of the environment, and deploy it"),
        (_NO_OBJECTS, "there is nothing"),
    ):
        if pattern.search(text):
            return Cause(f"{where}: {problem} ({text[:_LONGEST]})", True)
    return None


def _container_problem(reason: str, memory_mib: int) -> Cause | None:
    if reason.startswith("OutOfMemoryError"):
        return Cause(f"out of memory: it used more than infer.resources.memory_mib, {memory_mib} MiB")
    if reason.startswith("CannotPullContainerError"):
        said = reason.partition(":")[2].strip()
        return Cause(f"the image cannot be pulled: {said}; mind infer.image", True)
    if _NO_PYTHON.search(reason):
        return Cause(_WITHOUT_PYTHON.format("infer"), True)
    return None


def _memory(container: Mapping[str, Any]) -> int:
    for requirement in container.get("resourceRequirements", ()):
        if requirement["type"] == "MEMORY":
            return int(requirement["value"])
    return int(container.get("memory", 0))


def _one_line(text: Any) -> str:
    return " ".join(str(text or "").split())
