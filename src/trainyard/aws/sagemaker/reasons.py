"""Why a training job on AWS ended: from the texts of SageMaker to a cause of ours. Pure.

The texts are documented hardly anywhere; those that are not recognised are given as they are.
"""

from __future__ import annotations

import re

from ...core.jobs.job import TrainingJob
from ...core.runs import outcomes
from ...core.runs.outcomes import Outcome
from ...worker import reasons
from ...worker.reasons import Ending
from ..outcomes import NO_PYTHON, one_line

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


def training_failure(text: str, job: TrainingJob) -> Ending:
    """What SageMaker's FailureReason says: `AlgorithmError: …, exit code: 1`, `ClientError: …`, …"""
    text = one_line(text)
    kind, colon, rest = text.partition(":")
    rest = rest.strip()
    if NO_PYTHON.search(text):
        return reasons.NO_PYTHON.of("train")
    if kind == "AlgorithmError" and colon:
        return _algorithm_error(rest, job)
    if kind == "ClientError" and colon:
        return _client_error(rest, text)
    if kind in ("CapacityError", "InsufficientCapacityError") or "InsufficientInstanceCapacity" in text:
        return reasons.NO_CAPACITY.of(job.resources.instance_type, ", --no-spot" if job.spot.enabled else "")
    if kind in ("InternalServerError", "InternalError"):
        return reasons.SAGEMAKER_FAILED.of(text.rstrip("."))
    return reasons.UNMENDABLE.of(text) if text else reasons.UNKNOWN.of("SageMaker")


def stopped(secondary: str, job: TrainingJob) -> Outcome:
    """What a training job that is `Stopped` has become, by its secondary status."""
    if secondary == "MaxRuntimeExceeded":
        return outcomes.ran_too_long(job.spot)
    if secondary == "MaxWaitTimeExceeded":
        return outcomes.waited_too_long(job.spot)
    return outcomes.of(reasons.STOPPED)


def submission_refused(code: str, message: str, job: TrainingJob) -> Ending | None:
    """What AWS says when it refuses CreateTrainingJob for what the job asks for, as our problem; None for
    what is about credentials, permissions or us."""
    text = one_line(message)
    if code == "ResourceLimitExceeded":
        kind = job.resources.instance_type
        how = "spot training" if job.spot.enabled else "training"
        limit = re.search(r"is (\d+) Instances", text)
        number = limit[1] if limit else "reached"
        return reasons.OVER_QUOTA.of(kind, how, number)
    if code != "ValidationException":
        return None
    if re.search(r"training image|requested image|repository .*(?:not found|does not exist)", text, re.I):
        return reasons.IMAGE_REFUSED.of(text)
    return _channel_problem(text)


def _algorithm_error(text: str, job: TrainingJob) -> Ending:
    """The worker's own words, without what SageMaker puts around them."""
    code = _EXIT.search(text)
    said = text[: code.start()].strip(" ,") if code else text
    number = code[1] if code else ""
    if _NO_MEMORY.search(said):
        return reasons.MACHINE_TOO_SMALL.of(job.resources.instance_type)
    if said:
        return reasons.SAID.of(said)
    if number == "137":
        return reasons.KILLED.of()
    if number == "127":
        return reasons.NO_PYTHON.of("train")
    return reasons.SILENT.of(number or 1)


def _client_error(rest: str, text: str) -> Ending:
    if _NOT_PULLED.search(rest):
        return reasons.IMAGE_NOT_PULLED.of(rest.rstrip("."), "train")
    return _channel_problem(rest) or reasons.BAD_INPUT.of(text)


def _channel_problem(text: str) -> Ending | None:
    found = _ADDRESS.search(text)
    where = found[0].rstrip(".:") if found else "a channel"
    for pattern, cause in (
        (_NO_BUCKET, reasons.NO_BUCKET),
        (_OTHER_REGION, reasons.OTHER_REGION),
        (_DENIED, reasons.ACCESS_DENIED),
        (_NO_OBJECTS, reasons.NO_OBJECTS),
    ):
        if pattern.search(text):
            return cause.of(where, text[:_LONGEST])
    return None
