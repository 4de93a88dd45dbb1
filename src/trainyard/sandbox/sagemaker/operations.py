"""SageMaker's operations on training jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..api.dispatch import PASS, ApiRequest, Result, operation
from ..api.pages import Page, page_of
from ..api.protocols import AwsError
from ..world.world import World
from .checks import check
from .job import TERMINAL, EmulatedTrainingJob
from .run import TrainingRun

_PAGE = 10
_MOST_TAGS = 50


class _Shown:
    """How moto's tagging API finds a training job."""

    def __init__(self, job: EmulatedTrainingJob) -> None:
        self._job, self.arn = job, job.arn

    @property
    def tags(self) -> list[dict[str, str]]:
        return tags_of(self._job)


class JobTable:
    """The part of the world that holds all training jobs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.jobs: dict[str, EmulatedTrainingJob] = {}
        self.runs: dict[str, TrainingRun] = {}
        self._has_ended = False

    def add(self, request: Mapping[str, Any]) -> EmulatedTrainingJob:
        """A new job, which begins at once. Raises AwsError while the sandbox is reset or ends."""
        if self._has_ended:
            raise AwsError("ServiceUnavailable", "the sandbox is reset, or ends", 503)
        job = EmulatedTrainingJob(self._world, request)
        run = TrainingRun(self._world, job)
        self.jobs[job.name], self.runs[job.name] = job, run
        self._world.backend("sagemaker").training_jobs[job.name] = _Shown(job)
        run.start()
        return job

    def get(self, name: str) -> EmulatedTrainingJob:
        """The job of that name. Raises AwsError as SageMaker does."""
        if name not in self.jobs:
            raise AwsError("ValidationException", "Requested resource not found.")
        return self.jobs[name]

    def remove(self, name: str) -> None:
        """Forget a job."""
        del self.jobs[name], self.runs[name]
        self._world.backend("sagemaker").training_jobs.pop(name, None)

    def end(self) -> None:
        """End all that run."""
        with self._world.lock:
            self._has_ended = True
            runs = list(self.runs.values())
        for run in runs:
            run.abandon()
        for run in runs:
            run.join()


@operation("sagemaker", "CreateTrainingJob")
def create(world: World, request: ApiRequest) -> Result:
    """Keep the job and begin it."""
    parameters = request.parameters
    jobs = world.part(JobTable)
    known = jobs.jobs.get(parameters["TrainingJobName"])
    if known:
        message = "Training job names must be unique within an AWS account and region, and a training job"
        raise AwsError("ResourceInUse", f"{message} with this name already exists ({known.arn})")
    check(world, parameters)
    return {"TrainingJobArn": jobs.add(parameters).arn}


@operation("sagemaker", "DescribeTrainingJob")
def describe(world: World, request: ApiRequest) -> Result:
    """Everything that is known of a job."""
    return world.part(JobTable).get(request.parameters["TrainingJobName"]).describe()


@operation("sagemaker", "StopTrainingJob")
def stop(world: World, request: ApiRequest) -> Result:
    """Stop a job that runs; one that stops already goes on stopping."""
    jobs = world.part(JobTable)
    job = jobs.get(request.parameters["TrainingJobName"])
    if job.status in TERMINAL:
        message = f"The request was rejected because the training job is in status {job.status}."
        raise AwsError("ValidationException", message)
    jobs.runs[job.name].stop()
    return None


@operation("sagemaker", "DeleteTrainingJob")
def delete(world: World, request: ApiRequest) -> Result:
    """Forget a job that has ended: its name is free again."""
    jobs = world.part(JobTable)
    job = jobs.get(request.parameters["TrainingJobName"])
    if job.status not in TERMINAL:
        message = f"The request was rejected because the training job is in status {job.status}."
        raise AwsError("ResourceInUse", message)
    jobs.remove(job.name)
    return None


@operation("sagemaker", "UpdateTrainingJob")
def update(world: World, request: ApiRequest) -> Result:
    """Keep what was changed: profiling, warm pools and remote debugging are not emulated."""
    job = world.part(JobTable).get(request.parameters["TrainingJobName"])
    changes = {name: value for name, value in request.parameters.items() if name != "TrainingJobName"}
    for name, value in changes.items():
        job.request[name] = {**job.request.get(name, {}), **value} if isinstance(value, dict) else value
    return {"TrainingJobArn": job.arn}


@operation("sagemaker", "ListTrainingJobs")
def list_jobs(world: World, request: ApiRequest) -> Result:
    """The summaries of jobs that fit the filters."""
    wanted = request.parameters
    found = [job for job in world.part(JobTable).jobs.values() if _fits(job, wanted)]
    keys = {"Name": lambda job: job.name, "Status": lambda job: (job.status, job.created)}
    found.sort(key=keys.get(wanted.get("SortBy", ""), lambda job: (job.created, job.name)))
    if wanted.get("SortOrder") == "Descending":
        found.reverse()
    page = paged(found, wanted.get("NextToken"), wanted.get("MaxResults", _PAGE))
    return {"TrainingJobSummaries": [job.summary() for job in page.items], "NextToken": page.token}


def _fits(job: EmulatedTrainingJob, wanted: Mapping[str, Any]) -> bool:
    if wanted.get("WarmPoolStatusEquals") or wanted.get("TrainingPlanArnEquals"):
        return False
    bounds = [
        (wanted.get("CreationTimeAfter"), wanted.get("CreationTimeBefore"), job.created),
        (wanted.get("LastModifiedTimeAfter"), wanted.get("LastModifiedTimeBefore"), job.modified),
    ]
    for after, before, at in bounds:
        if (after and at <= after.timestamp()) or (before and at >= before.timestamp()):
            return False
    return wanted.get("NameContains", "") in job.name and wanted.get("StatusEquals", job.status) == job.status


def paged(items: Sequence[Any], token: str | None, most: int) -> Page[Any]:
    """The page that a token of the one before leads to. Raises AwsError for a token that is none."""
    return page_of(items, token, most, AwsError("ValidationException", "The specified NextToken is invalid."))


def tags_of(job: EmulatedTrainingJob) -> list[dict[str, str]]:
    """The tags of a job as answers carry them."""
    return [{"Key": key, "Value": value} for key, value in job.tags.items()]


@operation("sagemaker", "AddTags", "ListTags", "DeleteTags")
def tags_of_resource(world: World, request: ApiRequest) -> Result:
    """The tags of a training job, set, told or removed; those of other resources are moto's."""
    asked = request.parameters
    _, is_job, name = asked["ResourceArn"].partition(":training-job/")
    if not is_job:
        return PASS
    job = world.part(JobTable).get(name)
    if request.operation == "ListTags":
        page = paged(tags_of(job), asked.get("NextToken"), asked.get("MaxResults", _MOST_TAGS))
        return {"Tags": page.items, "NextToken": page.token}
    if request.operation == "DeleteTags":
        for key in asked["TagKeys"]:
            job.tags.pop(key, None)
        return {}
    tags = {**job.tags, **{each["Key"]: each["Value"] for each in asked["Tags"]}}
    if len(tags) > _MOST_TAGS:
        raise AwsError("ResourceLimitExceeded", f"A resource can have {_MOST_TAGS} tags")
    job.tags = tags
    return {"Tags": tags_of(job)}
