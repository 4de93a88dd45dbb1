"""ListJobs: which jobs, in what order, on which page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ..api.pages import Page, page_of
from .errors import client_exception
from .jobs import RUNNING, STATUSES, Job
from .retries import matches

T = TypeVar("T")
MOST, MOST_FILTERED = 1_000, 100
_FILTERS = ("JOB_NAME", "JOB_DEFINITION", "BEFORE_CREATED_AT", "AFTER_CREATED_AT")


def check(request: Mapping[str, Any]) -> None:
    """Raises AwsError for what Batch refuses in a ListJobs request."""
    if request.get("multiNodeJobId"):
        raise client_exception("Multi-node parallel jobs do not exist in the sandbox")
    if bool(request.get("jobQueue")) == bool(request.get("arrayJobId")):
        raise client_exception("Exactly one of jobQueue, arrayJobId and multiNodeJobId must be specified")
    if (status := request.get("jobStatus")) and status not in STATUSES:
        raise client_exception(f"Job status is not one of {' | '.join(STATUSES)}")
    most = request.get("maxResults")
    if most is not None and most < 1:
        raise client_exception("maxResults must be at least 1")
    filters = request.get("filters") or ()
    if len(filters) > 1:
        raise client_exception("Only one filter can be used at a time")
    for each in filters:
        if each.get("name") not in _FILTERS:
            raise client_exception(f"Filter name must be one of {', '.join(_FILTERS)}")
        if len(each.get("values") or ()) != 1:
            raise client_exception("A filter must have exactly one value")
        if each["name"].endswith("_AT") and not each["values"][0].isdigit():
            raise client_exception("The value of the filter must be a time in milliseconds")


def select(jobs: Iterable[Job], request: Mapping[str, Any]) -> list[Job]:
    """The jobs that a request asks for out of those of its queue or array.

    Without a status and a filter: those that run. With a filter the status says nothing, and the newest
    come first; a filter sees no children.
    """
    filters = request.get("filters") or ()
    if not filters:
        status = request.get("jobStatus") or RUNNING
        return [job for job in jobs if job.status == status]
    name, value = filters[0]["name"], filters[0]["values"][0]
    found = [job for job in jobs if job.parent is None and _passes(job, name, value)]
    return sorted(found, key=lambda job: job.created, reverse=True)


def page(found: Sequence[T], request: Mapping[str, Any]) -> Page[T]:
    """The page of what was found that is asked for. Raises AwsError for a token that is none."""
    most = MOST_FILTERED if request.get("filters") else MOST
    size = min(request.get("maxResults") or most, most)
    return page_of(found, request.get("nextToken"), size, client_exception("Invalid next token"))


def _passes(job: Job, name: str, value: str) -> bool:
    if name == "JOB_NAME":
        return matches(value.lower(), job.spec.name.lower())
    if name == "JOB_DEFINITION":
        return _is_definition(value, job.spec.definition_arn)
    created = int(job.created * 1000)
    return created < int(value) if name == "BEFORE_CREATED_AT" else created > int(value)


def _is_definition(value: str, arn: str) -> bool:
    """By name, case-insensitively and with an asterisk at the end for any beginning, or by ARN, exactly."""
    if value.startswith("arn:"):
        return value == arn
    name = arn.rpartition("/")[2]
    found = name if ":" in value else name.rpartition(":")[0]
    return matches(value.lower(), found.lower())
