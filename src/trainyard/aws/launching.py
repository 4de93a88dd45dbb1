"""Launching a run: what is sent is put together first, and sent once the run is written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from ..core.errors import AccountRefused, BadInput
from ..core.ports.engine import Request
from ..core.runs.run import Run
from .account import names
from .account.deployment import LEAN, Deployment
from .account.session import Session
from .batch import requests as batch_requests
from .batch.jobs import BatchJobs
from .batch.runs import InferenceJobs
from .images import images
from .s3 import objects
from .s3.store import S3Store
from .sagemaker.jobs import TrainingJobs

_NO_IMAGE = frozenset({"ImageNotFoundException", "RepositoryNotFoundException"})


class Launch(NamedTuple):
    """A launch that is ready to be sent: its job's name, the requests, and what sends them; it is given
    whether the launch is a new one."""

    reference: str
    requests: list[Request]
    send: Callable[[bool], None]


class Launcher:
    """Launches runs of both kinds."""

    def __init__(
        self,
        session: Session,
        deployment: Deployment,
        store: S3Store,
        training: TrainingJobs,
        inference: InferenceJobs,
        batch: BatchJobs,
    ) -> None:
        self._session, self._deployment, self._store = session, deployment, store
        self._training, self._inference, self._batch = training, inference, batch

    def prepare(self, run: Run, *, is_dry: bool = False) -> Launch:
        """Everything that a launch sends. Only what is known by its content is sent by now: the worker, and
        the job definition of an image that is new to Batch; with `is_dry` not even that."""
        worker = self._store.worker_address() if is_dry else self._store.keep_worker()
        run = run.replace(job=run.job.replace(image=self._image(run)))
        if run.is_training:
            return self._prepare_training(run, worker)
        return self._prepare_inference(run, worker, is_dry)

    def _prepare_training(self, run: Run, worker: str) -> Launch:
        request = self._training.request(run, worker)

        def send(is_new: bool) -> None:
            if is_new or self._training.describe(run) is None:
                self._training.submit(request)

        return Launch(request["TrainingJobName"], [Request("sagemaker:CreateTrainingJob", request)], send)

    def _prepare_inference(self, run: Run, worker: str, is_dry: bool) -> Launch:
        is_planned, indices = (
            self._inference.missing(run) if run.launch > 1 else (False, range(run.inference.shards))
        )
        definition, registration = self._definition(run.inference.image, is_dry)
        plan = batch_requests.inference_requests(
            run, self._deployment, worker, definition, indices, wheels=self._has_wheels(run)
        )
        steps = [
            (names.PLAN, None if is_planned else plan.plan),
            (names.SHARDS, plan.shards),
            (names.COMMIT, plan.commit),
        ]
        wanted = [(step, request) for step, request in steps if request is not None]
        manifest = {
            "Bucket": self._deployment.model_bucket,
            "Key": plan.manifest_key,
            "Body": json.dumps(plan.manifest),
            "ContentType": "application/json",
            "IfNoneMatch": "*",
        }

        def send(is_new: bool) -> None:
            try:
                self._session.call("s3", "put_object", **manifest)
            except AccountRefused as error:
                if error.code not in objects.TAKEN:
                    raise
            self._batch.submit(run, wanted, anew=is_new)

        requests = [*registration, Request("s3:PutObject", manifest)]
        requests += [Request("batch:SubmitJob", request) for request in _chained(wanted)]
        return Launch(names.batch_job_name(self._deployment.prefix, run, names.COMMIT), requests, send)

    def _definition(self, image: str, is_dry: bool) -> tuple[str, list[Request]]:
        """The job definition that runs an image, and the request that makes it where it has to be made."""
        if not image:
            return self._deployment.job_definition_arn, []
        request = batch_requests.job_definition_request(self._deployment, image)
        pages = self._session.pages(
            "batch",
            "describe_job_definitions",
            jobDefinitionName=request["jobDefinitionName"],
            status="ACTIVE",
        )
        there = [each for page in pages for each in page["jobDefinitions"]]
        if found := batch_requests.find_definition(there, request):
            return found, []
        if is_dry:
            return request["jobDefinitionName"], [Request("batch:RegisterJobDefinition", request)]
        made = self._session.call("batch", "register_job_definition", **request)
        return made["jobDefinitionArn"], []

    def _has_wheels(self, run: Run) -> bool:
        if self._deployment.network_profile != LEAN:
            return False
        prefix = names.source_prefix(run.code) + names.WHEELS
        return any(objects.keys(self._session, self._deployment.model_bucket, prefix))

    def _image(self, run: Run) -> str:
        """The job's image; one of the environment's repository by its digest, so that it stays what it is."""
        image = run.job.image
        if not image.startswith(self._deployment.repository_uri) or images.digest_of(image):
            return image
        named = images.ecr_image(image)
        assert named is not None
        try:
            answer = self._session.call(
                "ecr",
                "describe_images",
                registryId=named.account,
                repositoryName=named.repository,
                imageIds=[{"imageTag": named.tag or "latest"}],
            )
        except AccountRefused as error:
            if error.code not in _NO_IMAGE:
                raise
            cure = "push it with `trainyard image push`, and write what that prints"
            raise BadInput(f"there is no image {image}", key=f"{run.job.section}.image", cure=cure) from None
        return (
            f"{image.rpartition(':')[0] if named.tag else image}@{answer['imageDetails'][0]['imageDigest']}"
        )


def _chained(steps: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The requests with what each waits for, whose id is known only once it is submitted."""
    chained = []
    for position, (_, request) in enumerate(steps):
        waits = {"dependsOn": [{"jobId": f"<the id of {steps[position - 1][0]}>"}]} if position else {}
        chained.append({**request, **waits})
    return chained
