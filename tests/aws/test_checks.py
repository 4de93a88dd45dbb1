"""What an environment on AWS cannot do is refused by the job's key, with the cure."""

from __future__ import annotations

from typing import Any

import pytest

from trainyard.aws import checks
from trainyard.aws.account.deployment import Deployment
from trainyard.core.errors import Unsupported
from trainyard.core.jobs.job import InferenceJob, Resources, ShardResources, TrainingJob

from .jobs import DIGEST, check, deployment, inference, run_of, training, warnings


def refusal(job: TrainingJob | InferenceJob, where: Deployment | None = None) -> Unsupported:
    with pytest.raises(Unsupported) as refused:
        check(job, where or deployment())
    assert refused.value.cure
    assert "\n" not in str(refused.value)
    return refused.value


def test_the_usual_jobs_are_accepted_without_warnings() -> None:
    for job in (training(), inference()):
        check(job, deployment())
        assert warnings(job, deployment()) == []


def test_a_name_is_as_long_as_sagemaker_leaves_room_for() -> None:
    # 63 - len("trainyard-dev-") - len("-k3v9x2q") - len("-999")
    check(training(name="a" * 37), deployment())
    error = refusal(training(name="a" * 38))
    assert error.key == "train.name"
    assert error.cure == f"try {'a' * 37!r}"
    check(training(name="a" * 33), deployment(prefix="trainyard-sandbox-"))
    assert refusal(training(name="a" * 34), deployment(prefix="trainyard-sandbox-")).key == "train.name"
    # A Batch job's name has 128 characters.
    check(inference(name="a" * 51), deployment())


def test_several_hosts_are_not_retried() -> None:
    hosts = Resources(instance_count=2)
    check(training(resources=hosts), deployment())
    check(training(retries=3), deployment())
    assert refusal(training(retries=1, resources=hosts)).key == "train.retries"


@pytest.mark.parametrize(
    "image",
    [
        "python:3.12",
        "team/image",
        "docker.io/library/python",
        "public.ecr.aws/a/b",
        "ghcr.io/a/b:1",
        "quay.io/a/b",
    ],
)
def test_a_training_image_of_a_public_registry_is_refused(image: str) -> None:
    error = refusal(training(image=image))
    assert error.key == "train.image"
    assert "SageMaker's training image must come from ECR or a TLS registry in the VPC" in str(error)
    assert "trainyard image push" in error.cure
    check(inference(image=image), deployment())


def test_a_registry_in_the_vpc_is_taken_where_jobs_reach_one() -> None:
    job = training(image="registry.corp.example/a/b:1")
    check(job, deployment())
    check(job, deployment(network_profile="existing"))
    assert refusal(job, deployment(network_profile="lean")).key == "train.image"


def test_machines_and_regions_without_a_default_image_need_one() -> None:
    job = training(resources=Resources(instance_type="ml.trn1.2xlarge"))
    assert refusal(job).key == "train.image"
    assert refusal(training(), deployment(region="eu-nowhere-1")).key == "train.image"


ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret"


def test_a_secret_needs_a_way_to_secrets_manager() -> None:
    variables = {"A": "b", "TOKEN": "secretsmanager:trainyard-dev/token:key"}
    lean = deployment(network_profile="lean")
    check(training(environment=variables), deployment())
    assert refusal(training(environment=variables), lean).key == "train.environment.TOKEN"
    # Batch's machines are in public subnets there.
    check(inference(environment=variables), lean)


def test_a_variable_of_the_shell_is_refused_with_the_secret_to_write() -> None:
    for job in (training(environment={"A": "env:TOKEN"}), inference(environment={"A": "env:TOKEN"})):
        error = refusal(job)
        assert error.key == f"{job.section}.environment.A"
        assert error.cure == "keep it in AWS Secrets Manager, and write secretsmanager:trainyard-dev/NAME"


@pytest.mark.parametrize("value", ["", " ", "trainyard-dev/a:", "arn:aws:secretsmanager:eu-central-1"])
def test_a_secret_has_a_name(value: str) -> None:
    variables = {"A": f"secretsmanager:{value}"}
    for job, key in ((training(environment=variables), "train"), (inference(environment=variables), "infer")):
        error = refusal(job)
        assert error.key == f"{key}.environment.A"
        assert "secretsmanager:" in error.cure or "trainyard-dev/" in error.cure


@pytest.mark.parametrize(
    "name", ["trainyard-dev/a", "trainyard-dev/a/b:key", f"{ARN}:trainyard-dev/a-a1B2c3:key"]
)
def test_a_secret_of_the_environment_is_taken(name: str) -> None:
    check(training(environment={"A": f"secretsmanager:{name}"}), deployment())


@pytest.mark.parametrize(
    "name",
    ["token", "team/token", "trainyard-development/token", f"{ARN}:other/token", "trainyard-prod/token"],
)
def test_a_secret_that_is_not_the_environments_is_refused_before_a_job_is(name: str) -> None:
    # The roles of jobs read `<stack>/*` (infra/statements.py).
    error = refusal(training(environment={"A": f"secretsmanager:{name}"}))
    assert error.key == "train.environment.A"
    assert error.cure == "call it trainyard-dev/token"


@pytest.mark.parametrize(("field", "most"), [("vcpus", 1_920), ("memory_mib", 33_554_432), ("gpus", 8)])
def test_more_than_any_machine_has_is_refused(field: str, most: int) -> None:
    where = deployment(gpu_job_queue_arn="queue")

    def job(value: int) -> InferenceJob:
        return inference(resources=ShardResources(**{field: value}))

    check(job(most), where)
    error = refusal(job(most + 1), where)
    assert error.key == f"infer.resources.{field}"
    assert str(most) in error.cure


def test_gpus_need_a_queue_of_machines_that_have_some() -> None:
    job = inference(resources=ShardResources(gpus=1))
    check(job, deployment(gpu_job_queue_arn="queue"))
    error = refusal(job)
    assert error.key == "infer.resources.gpus"
    assert "gpu_families" in error.cure
    assert refusal(job, deployment(name="sandbox")).cure == "write 0"


@pytest.mark.parametrize(("field", "key"), [("model_uri", "MODEL"), ("input", "INPUT")])
def test_models_and_inputs_come_from_s3_or_from_here(field: str, key: str) -> None:
    for address in ("s3://bucket/a", "/home/me/a"):
        checks.check_run(run_of(inference(), **{field: address}))
    with pytest.raises(Unsupported) as refused:
        checks.check_run(run_of(inference(), **{field: "https://example.org/a"}))
    assert refused.value.key == key


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (training(resources=Resources(memory_mib=1)), "train.resources.memory_mib"),
        (training(image="123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1"), "train.image"),
        (inference(image="public.ecr.aws/docker/library/python:3.12"), "infer.image"),
    ],
)
def test_what_is_likely_not_meant_is_told(job: Any, told: str) -> None:
    check(job, deployment())
    (line,) = warnings(job, deployment())
    assert line.startswith(f"{told}: ")


def test_an_image_by_digest_or_of_the_immutable_repository_is_beyond_doubt() -> None:
    where = deployment()
    for image in (f"public.ecr.aws/a/b@sha256:{DIGEST}", f"{where.repository_uri}:v1"):
        assert warnings(inference(image=image), where) == []
