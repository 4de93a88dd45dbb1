"""Inference on Batch: a launch is a job that plans, an array of shards and a job that commits."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...core.environments.facts import STOP_REASON
from ...core.errors import AccountRefused
from ...core.files import trees
from ...core.jobs.job import InferenceJob
from ...core.ports.engine import Request
from ...core.runs.run import Observation, Run, State
from ...worker import protocol
from ...worker.reasons import CUT_OFF
from ...worker.s3.address import S3Address
from ..account import names
from ..account.deployment import Deployment
from ..account.session import Session
from ..s3 import addresses, objects
from ..services import Launch, Sight
from . import checks, requests
from .jobs import BatchJobs, Jobs
from .runs import InferenceRuns
from .streams import BatchStreams

_REMEMBERED = 6.5 * 86_400
"""Seconds for which Batch surely knows a job that has ended; it is 7 days."""


class InferenceJobs:
    """The `Service` of inference runs."""

    def __init__(self, session: Session, deployment: Deployment, has_ended: Callable[[str], bool]) -> None:
        self._session, self._deployment, self._has_ended = session, deployment, has_ended
        self._batch = BatchJobs(session, deployment)
        self._runs = InferenceRuns(session, deployment, self._batch)

    def check(self, job: InferenceJob) -> None:
        checks.check(job, self._deployment)

    def warnings(self, job: InferenceJob) -> list[str]:
        return checks.warnings(job, self._deployment)

    def prepare(self, run: Run, worker: str, *, is_dry: bool) -> Launch:
        instead_of = self._left_by(run)
        is_planned, indices = self._missing(run) if run.launch > 1 else (False, range(run.inference.shards))
        definition, registration = self._definition(run.inference.image, is_dry)
        plan = requests.inference_requests(
            run, self._deployment, worker, definition, indices, instead_of=instead_of
        )
        steps = [
            (names.PLAN, None if is_planned else plan.plan),
            (names.SHARDS, plan.shards),
            (names.COMMIT, plan.commit),
        ]
        wanted = [(step, request) for step, request in steps if request is not None]
        manifest = objects.new(self._deployment.model_bucket, plan.manifest_key, plan.manifest)

        def send(is_new: bool) -> None:
            if not objects.put_new(self._session, manifest):
                self._check_manifest(plan)
            self._batch.submit(run, wanted, anew=is_new)

        sent = [*registration, Request("s3:PutObject", manifest)]
        sent += [Request("batch:SubmitJob", request) for request in _chained(wanted)]
        return Launch(names.batch_job_name(self._deployment.prefix, run, names.COMMIT), sent, send)

    def look(
        self, runs: Sequence[Run], prior: Callable[[Run], Observation]
    ) -> Iterator[tuple[Run, Sight | None]]:
        jobs = self._batch.describe(runs)
        for run in runs:
            yield run, self._sight(run, jobs[run.id], prior(run)) if jobs[run.id] else None

    def unknown(self, run: Run, prior: Observation, age: float) -> Observation:
        if age > _REMEMBERED:
            return self._runs.forgotten(run, prior)
        return prior.replace(state=State.FAILED, reason=CUT_OFF.words, finished=time.time())

    def streams(self, run: Run, seldom: float) -> BatchStreams:
        return BatchStreams(self._session, self._deployment, run, self._batch, self._runs, seldom)

    def stop(self, run: Run, person: Callable[[], str]) -> bool:
        return self._batch.terminate(run, f"{STOP_REASON}{person()}")

    def refused(self, run: Run, error: AccountRefused) -> None:
        # Of the three jobs some may have been taken.
        self._batch.terminate(run, f"{STOP_REASON}trainyard")

    def settled(self, run: Run, sight: Sight) -> Observation:
        return sight.seen

    def _sight(self, run: Run, jobs: Jobs, prior: Observation) -> Sight:
        seen = self._runs.sight(run, jobs, prior)
        is_cut_off = seen.state is State.FAILED and seen.reason == CUT_OFF.words
        return Sight(seen, is_whole=names.COMMIT in jobs or not is_cut_off)

    def _definition(self, image: str, is_dry: bool) -> tuple[str, list[Request]]:
        """The job definition that runs an image, and the request that makes it where it has to be made."""
        if not image:
            return self._deployment.job_definition_arn, []
        request = requests.job_definition_request(self._deployment, image)
        pages = self._session.pages(
            "batch",
            "describe_job_definitions",
            jobDefinitionName=request["jobDefinitionName"],
            status="ACTIVE",
        )
        there = [each for page in pages for each in page["jobDefinitions"]]
        if found := requests.find_definition(there, request):
            return found, []
        if is_dry:
            return request["jobDefinitionName"], [Request("batch:RegisterJobDefinition", request)]
        made = self._session.call("batch", "register_job_definition", **request)
        return made["jobDefinitionArn"], []

    def _left_by(self, run: Run) -> str:
        """The run, if one has, that is over and has left nothing but its manifest in the output that a person
        named. Raises `BadInput` where something else lies there."""
        own = S3Address(self._deployment.model_bucket, names.prediction_prefix(run.id)).uri
        if not run.output or run.output == own:
            return ""
        return addresses.check_output(self._session, run, self._has_ended)

    def _check_manifest(self, plan: requests.InferencePlan) -> None:
        """Raise `BadInput` where the manifest that is there already is another one."""
        bucket = self._deployment.model_bucket
        found = objects.read(self._session, bucket, plan.manifest_key) or b""
        hashes = [hashlib.sha256(text).hexdigest() for text in (found, plan.manifest.encode())]
        where = S3Address(bucket, plan.manifest_key).uri
        trees.check_hash(*hashes, where=where, cure="nothing was started; stop the run and resume it")

    def _missing(self, run: Run) -> tuple[bool, list[int]]:
        """Whether the run is planned, and the shards without a part or a result of theirs."""
        state = names.state_prefix(run.id)
        _, output = S3Address.parse(run.output or "")
        bucket = self._deployment.model_bucket
        kept = list(objects.keys(self._session, bucket, state))
        results = {protocol.index_of(key) for key in kept if key.startswith(state + protocol.RESULTS)}
        begin = output + protocol.PART
        parts = {protocol.index_of(key) for key in objects.keys(self._session, bucket, begin)}
        done = results & parts
        return state + protocol.PLAN_FILE in kept, [n for n in range(run.inference.shards) if n not in done]


def _chained(steps: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The requests with what each waits for, whose id is known only once it is submitted."""
    chained = []
    for position, (_, request) in enumerate(steps):
        waits = {"dependsOn": [{"jobId": f"<the id of {steps[position - 1][0]}>"}]} if position else {}
        chained.append({**request, **waits})
    return chained
