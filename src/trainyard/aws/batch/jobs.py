"""The Batch jobs of inference runs: submitted once, found again by name, described in bulk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...core.errors import AccountRefused
from ...core.runs.run import Run
from ..account import errors, names, parallel
from ..account.deployment import Deployment
from ..account.session import Session

AT_A_TIME = 100
"""DescribeJobs, jobs."""
_FEW = 4
"""Runs that are looked up one by one, at the most; of more, all jobs of the environment are listed."""
_GONE = "ClientException"
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before a SubmitJob of which nothing was heard is tried again."""

Jobs = Mapping[str, Mapping[str, Any]]
"""What Batch says of a launch: JobDetail by step."""


class BatchJobs:
    """Knows the ids of what it submitted or found, for as long as it lives."""

    def __init__(self, session: Session, deployment: Deployment) -> None:
        self._session, self._deployment = session, deployment
        self._ids: dict[tuple[str, int], dict[str, str]] = {}
        self._lock = threading.Lock()

    def submit(self, run: Run, requests: Sequence[tuple[str, Mapping[str, Any]]], *, anew: bool) -> None:
        """Submit each step's job, to wait for the one before. Where the launch is not made `anew`, those that
        are there already are left alone."""
        known = {} if anew else dict(self._find([run])[run.id])
        before = ""
        for step, request in requests:
            if step not in known:
                waits = {"dependsOn": [{"jobId": before}]} if before else {}
                known[step] = self._submitted(run, step, {**request, **waits})
                self._remember(run, known)
            before = known[step]
        self._remember(run, known)

    def _submitted(self, run: Run, step: str, request: Mapping[str, Any]) -> str:
        """The id of the step's job. SubmitJob knows no token: where its answer was lost, the job is looked
        for before it is submitted again."""
        for pause in (*_PAUSES, None):
            try:
                return str(self._session.call_once("batch", "submit_job", **request)["jobId"])
            except AccountRefused as error:
                if pause is None or errors.is_final(error.code):
                    raise
            time.sleep(pause)
            there = self._find([run])[run.id]
            if step in there:
                return there[step]
        raise AssertionError("the last attempt returns or raises")

    def ids(self, run: Run) -> Mapping[str, str]:
        """The ids of a launch's jobs, by step; only those that there are."""
        return self._all_ids([run])[run.id]

    def describe(self, runs: Sequence[Run]) -> dict[str, Jobs]:
        """What Batch says of each run's jobs; nothing of those it has forgotten, after 7 days."""
        ids = self._all_ids(runs)
        details = self.details(each for found in ids.values() for each in found.values())
        return {
            run_id: {step: details[each] for step, each in found.items() if each in details}
            for run_id, found in ids.items()
        }

    def details(self, ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """JobDetail by id, 100 ids a request."""
        wanted = list(dict.fromkeys(ids))
        parts = [wanted[at : at + AT_A_TIME] for at in range(0, len(wanted), AT_A_TIME)]
        answers = parallel.each(lambda part: self._session.call("batch", "describe_jobs", jobs=part), parts)
        return {job["jobId"]: job for answer in answers for job in answer["jobs"]}

    def terminate(self, run: Run, reason: str) -> bool:
        """End the launch's jobs, those first that wait for others; False where there are none."""
        found = self._find([run])[run.id]
        for step in reversed([step for step in names.STEPS if step in found]):
            with errors.ignoring(_GONE):
                self._session.call("batch", "terminate_job", jobId=found[step], reason=reason)
        return bool(found)

    def _all_ids(self, runs: Sequence[Run]) -> dict[str, Mapping[str, str]]:
        known = {run.id: self._ids.get((run.id, run.launch), {}) for run in runs}
        # A launch without a commit was cut off, or another machine is about to submit it.
        unknown = [run for run in runs if names.COMMIT not in known[run.id]]
        return {**known, **(self._find(unknown) if unknown else {})}

    def _find(self, runs: Sequence[Run]) -> dict[str, dict[str, str]]:
        if len(runs) > _FEW:
            summaries = self._listed(self._deployment.prefix)
        else:
            prefixes = [names.batch_job_name(self._deployment.prefix, run, "") for run in runs]
            summaries = {
                job: each for part in parallel.each(self._listed, prefixes) for job, each in part.items()
            }
        found = {}
        for run in runs:
            wanted = {step: names.batch_job_name(self._deployment.prefix, run, step) for step in names.STEPS}
            found[run.id] = {step: summaries[name] for step, name in wanted.items() if name in summaries}
            self._remember(run, found[run.id])
        return found

    def _listed(self, prefix: str) -> dict[str, str]:
        """The ids of the jobs whose names begin with `prefix`, by name; the oldest where one has two."""
        queues = [self._deployment.job_queue_arn, self._deployment.gpu_job_queue_arn]
        found: dict[str, tuple[int, str]] = {}
        for queue in filter(None, queues):
            pages = self._session.pages(
                "batch",
                "list_jobs",
                jobQueue=queue,
                filters=[{"name": "JOB_NAME", "values": [f"{prefix}*"]}],
            )
            for page in pages:
                for each in page["jobSummaryList"]:
                    entry = (each.get("createdAt", 0), each["jobId"])
                    found[each["jobName"]] = min(entry, found.get(each["jobName"], entry))
        return {name: job for name, (_, job) in found.items()}

    def _remember(self, run: Run, found: Mapping[str, str]) -> None:
        with self._lock:
            self._ids[run.id, run.launch] = dict(found)
