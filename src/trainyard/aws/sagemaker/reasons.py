"""Why a training job on AWS ended, in words: from the texts of SageMaker to the reason of a run. Pure.

The texts are documented hardly anywhere; those that are not recognised are given as they are.
"""

from __future__ import annotations

import re

from ...core.jobs.job import TrainingJob
from ...core.runs import outcomes
from ..outcomes import KILLED, NO_PYTHON, SILENT, WITHOUT_PYTHON, Cause, one_line

RECLAIMED = "interrupted: the spot machine was taken back"
RESTARTED = "interrupted: SageMaker itself failed, and starts it again"

_LONGEST = 300
"""Characters of AWS's own text that stand beside ours."""
_EXIT = re.compile(r",? *exit code: (\d+)$", re.IGNORECASE)
_NO_MEMORY = re.compile(r"use an instance type with more memory", re.I)
_NOT_PULLED = re.compile(r"cannot ?pull|image does not exist|unable to pull", re.I)
_NO_BUCKET = re.compile(r"NoSuchBucket|bucket does not exist", re.I)
_OTHER_REGION = re.compile(r"PermanentRedirect|AuthorizationHeaderMalformed|other region|same region", re.I)
_DENIED = re.compile(r"access ?denied|forbidden|insufficient permissions|not authorized", re.I)
_NO_OBJECTS = re.compile(r"No S3 objects|NoSuchKey|no objects? (?:found|match)", re.I)
_ADDRESS = re.compile(r"s3://[^\s\"',()]+", re.I)


def training_failure(text: str, job: TrainingJob) -> Cause:
    """What SageMaker's FailureReason says: `AlgorithmError: …, exit code: 1`, `ClientError: …`, …"""
    text = one_line(text)
    kind, colon, rest = text.partition(":")
    rest = rest.strip()
    if NO_PYTHON.search(text):
        return Cause(WITHOUT_PYTHON.format("train"), True)
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
    text = one_line(message)
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
        return Cause(WITHOUT_PYTHON.format("train"), True)
    return Cause(SILENT.format(number or 1))


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
