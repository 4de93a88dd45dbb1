"""An inference job that an environment accepts becomes requests that Batch may take, and their manifest."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainyard.aws.account.deployment import Deployment
from trainyard.aws.batch.requests import (
    STEP_TIMEOUT,
    InferencePlan,
    find_definition,
    inference_requests,
    job_definition_request,
)
from trainyard.core.errors import Unsupported
from trainyard.core.jobs.job import InferenceJob, ShardResources

from .jobs import (
    DIGEST,
    FACTS,
    INT_MAX,
    WORKER,
    check,
    deployment,
    deployments,
    inference,
    inferences,
    run_of,
)
from .model_rules import OVERRIDES, batch_violations, violations

DEFINITION = FACTS["job-definition-arn"]
IMAGE = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/images@sha256:{DIGEST}"


def plan_of(job: InferenceJob, where: Deployment | None = None, **values: Any) -> InferencePlan:
    run = run_of(job, **values)
    return inference_requests(run, where or deployment(), WORKER, DEFINITION, range(job.shards))


def submissions(plan: InferencePlan) -> list[dict[str, Any]]:
    return [each for each in (plan.plan, plan.shards, plan.commit) if each is not None]


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(inferences, deployments(), st.integers(1, 999), st.data())
def test_whatever_check_accepts_batch_accepts(
    job: InferenceJob, where: Deployment, launch: int, data: Any
) -> None:
    run = run_of(job, launch=launch)
    try:
        check(job, where)
    except Unsupported as error:
        assert error.key.startswith("infer.")
        assert error.cure
        return
    left = data.draw(st.integers(0, job.shards), label="shards left")
    plan = inference_requests(run, where, WORKER, DEFINITION, range(left))
    for request in submissions(plan):
        assert batch_violations(request) == []
    assert (plan.shards is None) == (left == 0)
    assert json.loads(plan.manifest)["indices"] == list(range(left))
    definition = job_definition_request(where, job.image or IMAGE)
    assert violations("batch", "RegisterJobDefinition", definition) == []
    assert len(definition["jobDefinitionName"]) <= 128


def test_what_the_rules_are_to_find_they_find() -> None:
    request = plan_of(inference()).plan
    overrides = request["containerOverrides"]
    for broken in (
        {"jobName": "-a"},
        {"timeout": {"attemptDurationSeconds": 59}},
        {"retryStrategy": {"attempts": 11, "evaluateOnExit": []}},
        {"retryStrategy": {"attempts": 1, "evaluateOnExit": [{"onReason": "a(b", "action": "EXIT"}]}},
        {"arrayProperties": {"size": 1}},
        {"containerOverrides": {**overrides, "command": ["x" * OVERRIDES]}},
        {"containerOverrides": {**overrides, "command": ["python3", ""]}},
        {"containerOverrides": {**overrides, "resourceRequirements": [{"type": "MEMORY", "value": "3"}]}},
        {"tags": {}},
    ):
        assert batch_violations(request | broken), broken


def test_jobs_are_named_after_the_run_its_launch_and_what_they_do() -> None:
    named = [request["jobName"] for request in submissions(plan_of(inference(), launch=2))]
    begin = "trainyard-dev-digits-inference-k3v9x2q-2"
    assert named == [f"{begin}-plan", f"{begin}-shards", f"{begin}-commit"]


@pytest.mark.parametrize(("shards", "array"), [(1, None), (2, {"size": 2}), (10_000, {"size": 10_000})])
def test_an_array_of_one_is_a_plain_job(shards: int, array: dict[str, int] | None) -> None:
    plan = plan_of(inference(shards=shards))
    assert plan.shards is not None
    assert plan.shards.get("arrayProperties") == array
    assert json.loads(plan.manifest)["indices"] == list(range(shards))
    assert "arrayProperties" not in plan.plan and "arrayProperties" not in plan.commit


def test_only_the_shards_that_are_left_are_submitted() -> None:
    run = run_of(inference(shards=4), launch=2)
    plan = inference_requests(run, deployment(), WORKER, DEFINITION, [1, 3])
    assert plan.shards is not None
    assert plan.shards["arrayProperties"] == {"size": 2}
    manifest = json.loads(plan.manifest)
    assert (manifest["indices"], manifest["shards"]) == ([1, 3], 4)
    assert inference_requests(run, deployment(), WORKER, DEFINITION, []).shards is None


def test_a_command_is_the_bootstrap_with_the_worker_the_manifest_a_verb_and_their_hashes() -> None:
    plan = plan_of(inference())
    verbs = []
    for request in submissions(plan):
        *begin, worker, manifest, verb, worker_hash, manifest_hash = request["containerOverrides"]["command"]
        assert begin[:2] == ["python3", "-c"] and len(begin) == 3
        assert worker == WORKER
        assert manifest == f"s3://{deployment().model_bucket}/{plan.manifest_key}"
        assert worker_hash == DIGEST
        assert manifest_hash == hashlib.sha256(plan.manifest.encode()).hexdigest()
        verbs.append(verb)
    assert verbs == ["plan", "shard", "commit"]
    assert plan.manifest_key == "code/runs/digits-inference-k3v9x2q-1.json"


def test_the_users_variables_are_in_the_manifest_and_nowhere_else() -> None:
    # Whoever may describe jobs sees a command and its variables, and they are cut at 8,192 characters.
    plan = plan_of(inference(environment={"TOKEN": "secretsmanager:token"}))
    assert json.loads(plan.manifest)["environment"] == {"TOKEN": "secretsmanager:token"}
    assert "secretsmanager" not in json.dumps(submissions(plan))
    for request in submissions(plan):
        assert request["containerOverrides"]["environment"] == [
            {"name": "TRAINYARD_REGION", "value": "eu-central-1"}
        ]


def test_the_longest_names_leave_room_in_the_overrides() -> None:
    where = deployment(prefix="p" * 16 + "-" + "n" * 12 + "-", model_bucket="b" * 63)
    for request in submissions(plan_of(inference(name="j" * 51, shards=10_000), where, launch=999)):
        assert len(json.dumps(request["containerOverrides"])) < OVERRIDES - 512


def test_the_manifest_says_all_that_a_worker_has_to_know() -> None:
    job = inference(shards=2, batch_size=16, retries=3)
    bucket = deployment().model_bucket
    recorded = {"model_hash": "a" * 64, "model_version": "v1", "input_hash": "b" * 64}
    assert json.loads(plan_of(job, **recorded).manifest) == {
        "run": "digits-inference-k3v9x2q",
        "launch": 1,
        "region": "eu-central-1",
        "code": f"s3://{bucket}/code/sources/{DIGEST}/source.zip",
        "wheels": None,
        "model": "s3://trainyard-dev-models/models/a/output/model.tar.gz",
        "input": "s3://trainyard-dev-data/datasets/abc/",
        "output": f"s3://{bucket}/predictions/digits-inference-k3v9x2q/",
        "state": f"s3://{bucket}/predictions/digits-inference-k3v9x2q/_run/",
        "handler": "predict.py",
        "batch_size": 16,
        "model_size_gb": 30,
        "csv": {"header": True, "delimiter": ","},
        "shards": 2,
        "indices": [0, 1],
        "retries": 3,
        "environment": {},
        "requirements": True,
        "isolated": False,
        "tried": {},
        "instead_of": "",
        "recorded": {
            "code": DIGEST,
            "wheels": "",
            "model": "a" * 64,
            "model_object": "",
            "model_version": "v1",
            "input": "b" * 64,
        },
    }
    with_wheels = json.loads(plan_of(job, wheels="c" * 64).manifest)
    assert with_wheels["wheels"] == f"s3://{bucket}/code/sources/{DIGEST}/wheels/{'c' * 64}/"
    assert with_wheels["recorded"]["wheels"] == "c" * 64


def test_predictions_go_where_the_run_says_and_its_state_stays_with_the_run() -> None:
    place = f"s3://{deployment().model_bucket}/predictions/march/"
    manifest = json.loads(plan_of(inference(), output=place).manifest)
    assert manifest["output"] == place
    assert manifest["state"].endswith("/predictions/digits-inference-k3v9x2q/_run/")


def test_resources_and_time_are_a_shards_own_and_the_other_steps_ask_for_little() -> None:
    wanted = ShardResources(vcpus=16, memory_mib=65_536)
    plan = plan_of(inference(resources=wanted, timeout=120))
    assert plan.shards is not None
    requirements = plan.shards["containerOverrides"]["resourceRequirements"]
    assert requirements == [{"type": "VCPU", "value": "16"}, {"type": "MEMORY", "value": "65536"}]
    assert plan.shards["timeout"] == {"attemptDurationSeconds": 120}
    for step in (plan.plan, plan.commit):
        requirements = step["containerOverrides"]["resourceRequirements"]
        assert requirements == [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "4096"}]
        assert step["timeout"] == {"attemptDurationSeconds": STEP_TIMEOUT}


def test_a_step_never_asks_for_more_than_a_shard() -> None:
    plan = plan_of(inference(resources=ShardResources(vcpus=1, memory_mib=512), timeout=INT_MAX))
    requirements = plan.plan["containerOverrides"]["resourceRequirements"]
    assert requirements == [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}]
    assert plan.plan["timeout"] == {"attemptDurationSeconds": INT_MAX}


def test_shards_with_gpus_wait_in_the_queue_of_machines_that_have_them_and_nothing_else_does() -> None:
    where = deployment(gpu_job_queue_arn="arn:aws:batch:eu-central-1:123456789012:job-queue/Gpu")
    plan = plan_of(inference(resources=ShardResources(gpus=2)), where)
    assert plan.shards is not None
    assert plan.shards["jobQueue"] == where.gpu_job_queue_arn
    assert {"type": "GPU", "value": "2"} in plan.shards["containerOverrides"]["resourceRequirements"]
    assert plan.plan["jobQueue"] == plan.commit["jobQueue"] == where.job_queue_arn
    general = plan_of(inference(), where).shards
    assert general is not None and general["jobQueue"] == where.job_queue_arn


def test_a_lost_machine_and_what_the_worker_asks_for_are_tried_again_and_nothing_else() -> None:
    for request in submissions(plan_of(inference(retries=0))):
        rules = request["retryStrategy"]["evaluateOnExit"]
        assert rules == [
            {"onStatusReason": "Host EC2*", "action": "RETRY"},
            {"onStatusReason": "Task failed to start*", "action": "RETRY"},
            {"onExitCode": "75", "action": "RETRY"},
            {"onReason": "*", "action": "EXIT"},
            {"onExitCode": "*", "action": "EXIT"},
        ]


@pytest.mark.parametrize(("retries", "of_plan"), [(0, 3), (2, 3), (6, 7), (9, 10)])
def test_an_image_that_is_not_there_costs_a_few_starts_and_lost_machines_may_be_many(
    retries: int, of_plan: int
) -> None:
    plan = plan_of(inference(retries=retries))
    assert plan.shards is not None
    assert plan.plan["retryStrategy"]["attempts"] == of_plan
    assert plan.shards["retryStrategy"]["attempts"] == plan.commit["retryStrategy"]["attempts"] == 10


def test_every_job_is_tagged_and_so_are_its_tasks() -> None:
    for request in submissions(plan_of(inference())):
        assert request["tags"] == {
            "trainyard:environment": "trainyard-dev",
            "trainyard:run": "digits-inference-k3v9x2q",
        }
        assert request["propagateTags"] is True


def described(request: dict[str, Any], revision: int = 1, **changes: Any) -> dict[str, Any]:
    """A definition as DescribeJobDefinitions answers."""
    name = request["jobDefinitionName"]
    arn = f"arn:aws:batch:eu-central-1:123456789012:job-definition/{name}:{revision}"
    answer = {**request, "jobDefinitionArn": arn, "revision": revision, "status": "ACTIVE"}
    properties = {**request["containerProperties"], "volumes": [], "environment": []}
    return {**answer, "containerProperties": properties, **changes}


def test_a_digest_has_one_definition_which_is_found_again() -> None:
    request = job_definition_request(deployment(), IMAGE)
    assert request["jobDefinitionName"] == f"trainyard-dev-img-{DIGEST[:12]}"
    assert request["containerProperties"]["privileged"] is False
    assert find_definition([], request) == ""
    first, second = described(request, 1), described(request, 2)
    assert find_definition([first, second], request) == second["jobDefinitionArn"]
    assert find_definition([first, {**second, "status": "INACTIVE"}], request) == first["jobDefinitionArn"]


@pytest.mark.parametrize("field", ["image", "jobRoleArn", "executionRoleArn", "logConfiguration"])
def test_a_definition_that_says_something_else_is_not_taken_for_the_same(field: str) -> None:
    request = job_definition_request(deployment(), IMAGE)
    other = described(request)
    changed = {"logDriver": "awslogs", "options": {}} if field == "logConfiguration" else "other"
    other["containerProperties"][field] = changed
    assert find_definition([other], request) == ""


def test_an_image_without_a_digest_has_a_name_of_its_own_too() -> None:
    one, other = (job_definition_request(deployment(), image) for image in ("python:3.12", "python:3.13"))
    assert one["jobDefinitionName"] != other["jobDefinitionName"]
    assert (
        one["jobDefinitionName"] == job_definition_request(deployment(), "python:3.12")["jobDefinitionName"]
    )
