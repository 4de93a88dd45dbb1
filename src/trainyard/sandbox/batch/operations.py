"""AWS Batch: its operations on jobs and job definitions. Queues and compute environments are moto's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.errors import BadInput
from ..api.control import Call, control
from ..api.dispatch import PASS, ApiRequest, Result, operation
from ..world.world import World
from . import definitions, listing, requests
from .definitions import Definition, Definitions
from .description import describe, summarize
from .errors import client_exception, not_emulated
from .jobs import RUNNABLE, Job
from .queues import find_queue, known_queue
from .scheduler import JobScheduler

MOST_DESCRIBED = 100
LONGEST_REASON = 1_024
_JOB, _DEFINITION = ":job/", ":job-definition/"


@operation("batch", "RegisterJobDefinition")
def register_job_definition(world: World, request: ApiRequest) -> Result:
    """A new revision of a job definition."""
    made = definitions.register(
        _definitions(world), request.parameters, world.arn("batch", "job-definition/")
    )
    return {"jobDefinitionName": made.name, "jobDefinitionArn": made.arn, "revision": made.revision}


@operation("batch", "DescribeJobDefinitions")
def describe_job_definitions(world: World, request: ApiRequest) -> Result:
    """Revisions, by name, ARN or status."""
    found = definitions.select(_definitions(world), request.parameters)
    shown, token = listing.page(found, {**request.parameters, "filters": True})
    return {"jobDefinitions": [each.describe() for each in shown], "nextToken": token}


@operation("batch", "DeregisterJobDefinition")
def deregister_job_definition(world: World, request: ApiRequest) -> Result:
    """A revision is INACTIVE from now on; jobs that have it go on."""
    definitions.deregister(_definitions(world), request.parameters["jobDefinition"])
    return None


@operation("batch", "SubmitJob")
def submit_job(world: World, request: ApiRequest) -> Result:
    """A job, or an array of them."""
    asked = request.parameters
    requests.check(asked)
    queue = find_queue(world, asked["jobQueue"])
    definition = definitions.find(_definitions(world), asked["jobDefinition"])
    spec = requests.merge(asked, definition, queue)
    jobs = world.part(JobScheduler)
    size = (asked.get("arrayProperties") or {}).get("size") or 0
    _check_dependencies(jobs, asked.get("dependsOn") or (), size)
    job = jobs.submit(spec, size, asked.get("dependsOn") or (), asked.get("tags") or {})
    return {"jobArn": world.arn("batch", f"job/{job.id}"), "jobName": spec.name, "jobId": job.id}


@operation("batch", "DescribeJobs")
def describe_jobs(world: World, request: ApiRequest) -> Result:
    """Up to 100 jobs; those that are not known are left out."""
    wanted = request.parameters["jobs"]
    if len(wanted) > MOST_DESCRIBED:
        raise client_exception(f"Maximum number of jobs supported is  {MOST_DESCRIBED}")
    found = (_find(world, each) for each in dict.fromkeys(wanted))
    return {"jobs": [describe(job, world) for job in found if job]}


@operation("batch", "ListJobs")
def list_jobs(world: World, request: ApiRequest) -> Result:
    """The jobs of a queue or the children of an array."""
    asked = request.parameters
    listing.check(asked)
    jobs = world.part(JobScheduler)
    if asked.get("arrayJobId"):
        parent = _find(world, asked["arrayJobId"])
        if parent is None or not parent.array:
            raise client_exception(f"Job {asked['arrayJobId']} is not an array job")
        candidates = parent.children
    else:
        queue = known_queue(world, asked["jobQueue"])
        candidates = [
            job for job in jobs.jobs.values() if job.parent is None and job.spec.queue_arn == queue.arn
        ]
    shown, token = listing.page(listing.select(candidates, asked), asked)
    return {"jobSummaryList": [summarize(job, world) for job in shown], "nextToken": token}


@operation("batch", "CancelJob", "TerminateJob")
def end_job(world: World, request: ApiRequest) -> Result:
    """End a job that does not run yet, or with TerminateJob any. One that is not known is passed over."""
    _end(world, request.parameters["jobId"], request.parameters["reason"], request.operation)
    return None


@operation("batch", "CancelJobs", "TerminateJobs")
def end_jobs(world: World, request: ApiRequest) -> Result:
    """The same for up to 50 jobs at once."""
    wanted = request.parameters["jobs"]
    if not 1 <= len(wanted) <= 50:
        raise client_exception("The number of jobs must be between 1 and 50")
    for each in wanted:
        _end(world, each, request.parameters["reason"], request.operation)
    return {"successful": list(wanted), "errors": []}


@operation("batch", "GetJobQueueSnapshot")
def get_job_queue_snapshot(world: World, request: ApiRequest) -> Result:
    """The first 100 jobs of a queue that are RUNNABLE."""
    queue = known_queue(world, request.parameters["jobQueue"])
    waiting = [
        job
        for job in world.part(JobScheduler).jobs.values()
        if job.status == RUNNABLE and job.spec.queue_arn == queue.arn
    ]
    shown = [
        {"jobArn": world.arn("batch", f"job/{job.id}"), "earliestTimeAtPosition": job.created}
        for job in waiting[:100]
    ]
    return {
        "frontOfQueue": {"jobs": shown, "lastUpdatedAt": max((job.created for job in waiting), default=0.0)}
    }


@operation("batch", "ListTagsForResource", "TagResource", "UntagResource")
def tags_of_resource(world: World, request: ApiRequest) -> Result:
    """Tags of jobs and job definitions; those of queues and compute environments are moto's."""
    asked = request.parameters
    tags = _tags(world, asked["resourceArn"])
    if tags is None:
        return PASS
    if request.operation == "ListTagsForResource":
        return {"tags": dict(tags)}
    if request.operation == "TagResource":
        definitions.check_tags({**tags, **asked["tags"]})
        tags.update(asked["tags"])
    else:
        for key in asked["tagKeys"]:
            tags.pop(key, None)
    return None


@operation(
    "batch", "SubmitServiceJob", "CreateServiceEnvironment", "CreateConsumableResource", "CreateQuotaShare"
)
def refuse(world: World, request: ApiRequest) -> Result:
    """Batch's newer resources."""
    raise not_emulated(f"batch:{request.operation}")


@control("batch")
def control_batch(world: World, call: Call) -> Mapping[str, Any]:
    """`batch/images` {"missing": [names]}: what nobody can pull from now on."""
    if call.rest != "images":
        raise BadInput(f"batch/{call.rest}: no such call")
    with world.lock:
        world.part(JobScheduler).miss_images(call.body.get("missing", ()))
    return {}


def _definitions(world: World) -> Definitions:
    known: dict[str, Definition] = world.backend("batch")._job_definitions
    return known


def _find(world: World, wanted: str) -> Job | None:
    """A job by id or ARN."""
    return world.part(JobScheduler).jobs.get(wanted.rpartition(_JOB)[2])


def _end(world: World, wanted: str, reason: str, name: str) -> None:
    if not wanted or not reason:
        missing = "jobId" if not wanted else "reason"
        raise client_exception(f"'{missing}' is a required field (cannot be an empty string)")
    if len(reason) > LONGEST_REASON:
        raise client_exception(f"'reason' must have at most {LONGEST_REASON} characters")
    if job := _find(world, wanted):
        world.part(JobScheduler).stop(job, reason, terminate=name.startswith("Terminate"))


def _tags(world: World, arn: str) -> dict[str, str] | None:
    """The tags of a job or a definition of ours; None for what is moto's."""
    if _JOB in arn:
        job = _find(world, arn)
        if job is None or job.parent is not None:
            raise client_exception(f"{arn} does not exist or cannot be tagged")
        return job.tags
    if _DEFINITION in arn:
        found = _definitions(world).get(arn)
        if found is None:
            raise client_exception(f"{arn} does not exist or cannot be tagged")
        return found.tags
    return None


def _check_dependencies(jobs: JobScheduler, depends_on: Any, size: int) -> None:
    for each in depends_on:
        if each.get("type") == "SEQUENTIAL":
            continue
        wanted = each["jobId"]
        found = jobs.jobs.get(wanted.partition(":")[0])
        if found is None or (":" in wanted and not _is_child(wanted, found)):
            raise client_exception(f"Job {wanted} does not exist")
        if each.get("type") == "N_TO_N" and found.array != size:
            raise client_exception("Array jobs of an N_TO_N dependency must have the same size")


def _is_child(wanted: str, parent: Job) -> bool:
    index = wanted.partition(":")[2]
    return index.isdigit() and int(index) < parent.array
