"""An inference run -> Batch's requests and the manifest that its jobs read, with no client in sight. Pure.

Shapes are those of botocore's model `batch/2016-08-10`; limits are those of its documentation, since the
model has hardly any. A run is a plan job, an array of shards and a commit job; each waits for the one before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...core.environments.retries import ATTEMPTS, WORKER_ATTEMPTS, WORKER_RULES
from ...core.jobs.job import InferenceJob, ShardResources
from ...core.jobs.limits import SHARDS
from ...core.runs.run import Attempt, Run
from ...worker import protocol
from ...worker.cloud.batch.bootstrap import BOOTSTRAP
from ...worker.s3.address import S3Address
from ..account import names
from ..account.deployment import Deployment
from ..account.names import tags
from ..images.images import short_digest

STEP_TIMEOUT = 86_400
"""Seconds of one attempt of the plan and of the commit, which read what all shards together read."""
STEP_RESOURCES = ShardResources(vcpus=2, memory_mib=4_096)
"""Of the plan and of the commit, at the most: neither runs the handler."""


class InferencePlan(NamedTuple):
    """The three SubmitJob requests of a launch, without `dependsOn`, and the manifest that their jobs read.

    `shards` is None where no shard is left to predict.
    """

    manifest_key: str
    manifest: str
    plan: dict[str, Any]
    shards: dict[str, Any] | None
    commit: dict[str, Any]


def inference_requests(
    run: Run,
    deployment: Deployment,
    worker: str,
    definition: str,
    indices: Sequence[int],
    *,
    instead_of: str = "",
) -> InferencePlan:
    """What a launch of an inference run submits: `indices` are the shards that are still to be predicted.

    `worker` is the address of `worker.pyz` in S3, `definition` the ARN of a job definition with its revision;
    `instead_of` is the run, if one has, that is over and has left nothing but its manifest in the output.
    """
    job = run.inference
    key = names.manifest_key(run)
    text = json.dumps(_manifest(run, job, deployment, indices, instead_of))
    hashes = [names.worker_digest(worker), hashlib.sha256(text.encode()).hexdigest()]
    manifest = S3Address(deployment.model_bucket, key).uri
    small = ShardResources(
        vcpus=min(job.resources.vcpus, STEP_RESOURCES.vcpus),
        memory_mib=min(job.resources.memory_mib, STEP_RESOURCES.memory_mib),
    )

    # Of starts that fail, the worker knows nothing; its own failures it counts itself.
    of_plan = min(max(ATTEMPTS, job.retries + 1), WORKER_ATTEMPTS)

    def submission(
        step: str, resources: ShardResources, timeout: int, attempts: int = WORKER_ATTEMPTS
    ) -> dict[str, Any]:
        return {
            "jobName": names.batch_job_name(deployment.prefix, run, step),
            "jobQueue": deployment.gpu_job_queue_arn if resources.gpus else deployment.job_queue_arn,
            "jobDefinition": definition,
            "containerOverrides": _overrides(
                [worker, manifest, _verb(step), *hashes], resources, deployment.region
            ),
            "retryStrategy": retry_strategy(attempts),
            "timeout": {"attemptDurationSeconds": timeout},
            "tags": tags(deployment, run),
            "propagateTags": True,
        }

    shards = submission(names.SHARDS, job.resources, job.timeout) if indices else None
    if shards is not None and len(indices) > 1:
        shards["arrayProperties"] = {"size": len(indices)}
    return InferencePlan(
        manifest_key=key,
        manifest=text,
        plan=submission(names.PLAN, small, max(job.timeout, STEP_TIMEOUT), of_plan),
        shards=shards,
        commit=submission(names.COMMIT, small, max(job.timeout, STEP_TIMEOUT)),
    )


def retry_strategy(attempts: int = WORKER_ATTEMPTS) -> dict[str, Any]:
    """Tried again: a machine lost, a container not started, and what the worker asks for. Nothing else."""
    rules = [{field: pattern, "action": action} for field, pattern, action in WORKER_RULES]
    return {"attempts": attempts, "evaluateOnExit": rules}


def job_definition_request(deployment: Deployment, image: str) -> dict[str, Any]:
    """RegisterJobDefinition for an image: what it says but the image is what the deployed definition says.

    Its name is the image's digest, so that the revision that is there already can be found by it.
    """
    logs = {
        "awslogs-group": deployment.batch_log_group,
        "awslogs-region": deployment.region,
        "awslogs-stream-prefix": "inference",
    }
    return {
        "jobDefinitionName": f"{deployment.prefix}img-{short_digest(image)}",
        "type": "container",
        "platformCapabilities": ["EC2"],
        "containerProperties": {
            "image": image,
            "command": ["python3", "--version"],
            "resourceRequirements": _requirements(STEP_RESOURCES),
            "jobRoleArn": deployment.batch_job_role_arn,
            "executionRoleArn": deployment.batch_execution_role_arn,
            "logConfiguration": {"logDriver": "awslogs", "options": logs},
            "privileged": False,
        },
        "retryStrategy": retry_strategy(),
        "timeout": {"attemptDurationSeconds": STEP_TIMEOUT},
        "propagateTags": True,
        "tags": tags(deployment),
    }


def find_definition(definitions: Iterable[Mapping[str, Any]], request: Mapping[str, Any]) -> str:
    """The ARN of the newest active one of DescribeJobDefinitions' `definitions` that runs a job as `request`
    would have it; "" where none does, as after the environment was deployed anew with other roles."""
    wanted = request["containerProperties"]
    same = ("image", "jobRoleArn", "executionRoleArn", "logConfiguration")
    found = [
        each
        for each in definitions
        if each.get("status", "ACTIVE") == "ACTIVE"
        and each["jobDefinitionName"] == request["jobDefinitionName"]
        and all(_said(each, field) == _said(request, field) for field in same)
        and not each.get("containerProperties", {}).get("privileged", wanted["privileged"])
    ]
    return str(max(found, key=lambda each: each["revision"])["jobDefinitionArn"]) if found else ""


def _said(definition: Mapping[str, Any], field: str) -> Any:
    said = definition.get("containerProperties", {}).get(field)
    if field == "logConfiguration" and said:
        return said.get("logDriver"), dict(said.get("options") or {})
    return said


def _verb(step: str) -> str:
    return protocol.SHARD if step == names.SHARDS else step


def _overrides(arguments: Sequence[str], resources: ShardResources, region: str) -> dict[str, Any]:
    # The user's variables are in the manifest: these can be read by whoever may describe jobs, and are short.
    return {
        "command": ["python3", "-c", BOOTSTRAP, *arguments],
        "environment": [{"name": protocol.REGION_VARIABLE, "value": region}],
        "resourceRequirements": _requirements(resources),
    }


def _requirements(resources: ShardResources) -> list[dict[str, str]]:
    wanted = [("VCPU", resources.vcpus), ("MEMORY", resources.memory_mib), ("GPU", resources.gpus)]
    return [{"type": kind, "value": str(value)} for kind, value in wanted if value]


def last_numbers(attempts: Sequence[Attempt]) -> dict[str, int]:
    """The number of the last attempt at each task."""
    last: dict[str, int] = {}
    for attempt in attempts:
        last[attempt.task] = max(attempt.number, last.get(attempt.task, 0))
    return last


def _manifest(
    run: Run,
    job: InferenceJob,
    deployment: Deployment,
    indices: Sequence[int],
    instead_of: str,
) -> dict[str, Any]:
    bucket = deployment.model_bucket
    source = S3Address(bucket, names.source_prefix(run.code)).uri
    assert len(indices) <= SHARDS
    return {
        "run": run.id,
        "launch": run.launch,
        "region": deployment.region,
        "code": source + protocol.SOURCE_FILE,
        "wheels": f"{source}{names.WHEELS}{run.wheels}/" if run.wheels else None,
        "model": run.model_uri,
        "model_size_gb": job.model_size_gb,
        "input": run.input,
        "output": run.output or S3Address(bucket, names.prediction_prefix(run.id)).uri,
        "state": S3Address(bucket, names.state_prefix(run.id)).uri,
        "handler": job.handler,
        "batch_size": job.batch_size,
        "csv": job.csv,
        "shards": job.shards,
        "indices": list(indices),
        "retries": job.retries,
        "environment": dict(job.environment),
        "requirements": True,
        "isolated": job.isolated,
        "tried": last_numbers(run.attempts),
        "instead_of": instead_of,
        "recorded": {
            "code": run.code,
            "wheels": run.wheels,
            "model": run.model_hash,
            "model_object": run.model_object_hash,
            "model_version": run.model_version,
            "input": run.input_hash,
        },
    }
