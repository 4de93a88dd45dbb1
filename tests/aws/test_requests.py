"""A job that an environment accepts becomes requests that SageMaker may take, field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainyard.aws import checks
from trainyard.aws.account import names
from trainyard.aws.account.deployment import Deployment
from trainyard.aws.images import images
from trainyard.aws.sagemaker.requests import (
    INTERRUPTIONS,
    METADATA,
    START,
    model_group_request,
    model_package_request,
    package_token,
    training_request,
)
from trainyard.core.errors import BadInput, Unsupported
from trainyard.core.jobs.job import Resources, Spot, TrainingJob
from trainyard.core.ports.ledger import Model
from trainyard.core.runs.run import Channel, Interruption, Run
from trainyard.worker.cloud.training import options
from trainyard.worker.s3.address import S3Address

from .jobs import (
    DIGEST,
    KEY,
    WORKER,
    check,
    deployment,
    deployments,
    interruptions,
    run_of,
    training,
    trainings,
)
from .model_rules import compiled, violations

IMAGE = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/images@sha256:{DIGEST}"


def request_of(job: TrainingJob, where: Deployment | None = None, **values: Any) -> dict[str, Any]:
    """CreateTrainingJob of a run of the job, which obeys SageMaker's model."""
    request = training_request(run_of(job, **values), where or deployment(), WORKER, IMAGE)
    assert violations("sagemaker", "CreateTrainingJob", request) == []
    return request


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(trainings, deployments(), interruptions, st.integers(1, 999))
def test_whatever_check_accepts_sagemakers_model_accepts(
    job: TrainingJob, where: Deployment, interrupt_at: tuple[Interruption, ...], launch: int
) -> None:
    run = run_of(job, interrupt_at=interrupt_at, launch=launch)
    try:
        check(job, where)
        checks.check_run(run)
    except Unsupported as error:
        assert error.key.startswith("train.")
        assert error.cure
        return
    image = images.training_image(job, where.region)
    request = training_request(run, where, WORKER, image)
    assert violations("sagemaker", "CreateTrainingJob", request) == []
    assert len(request["InputDataConfig"]) == len(job.channels) + 2
    assert request.get("Environment", {}) == dict(job.environment)
    json.dumps(request)


def test_what_the_rules_are_to_find_they_find() -> None:
    request = request_of(training())
    for broken, told in (
        ({"TrainingJobName": "a" * 64}, "TrainingJobName"),
        ({"TrainingJobName": "a_b"}, "TrainingJobName"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.tiny"}}, "enum"),
        ({"HyperParameters": {"a": "x" * 2501}}, "HyperParameters"),
        ({"HyperParameters": {"a": "x\ny"}}, "HyperParameters"),
        ({"Environment": {f"A{n}": "" for n in range(101)}}, "Environment"),
        ({"Tags": [{"Key": "a", "Value": "b;c"}]}, "Tags"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "MaxRuntimeInSeconds"),
        ({"Nonsense": 1}, "Nonsense"),
    ):
        lines = violations("sagemaker", "CreateTrainingJob", request | broken)
        assert lines and all(told in line for line in lines)


def test_a_training_job_is_named_after_its_environment_its_run_and_its_launch() -> None:
    assert request_of(training())["TrainingJobName"] == "trainyard-dev-digits-k3v9x2q"
    assert request_of(training(), launch=3)["TrainingJobName"] == "trainyard-dev-digits-k3v9x2q-3"


def test_the_worker_is_the_entry_point_and_is_told_all_by_arguments() -> None:
    algorithm = request_of(training(grace=30, retries=2, spot=Spot(enabled=False)))["AlgorithmSpecification"]
    path = "/opt/ml/input/data/trainyard-worker/worker.pyz"
    assert algorithm["ContainerEntrypoint"] == ["python3", "-c", START, path, DIGEST, "train"]
    said = "--script train.py --launch 1 --grace 30 --retries 2 --region eu-central-1 --histories"
    where = f"s3://{deployment().model_bucket}/checkpoints/.attempts/{run_of(training()).id}/"
    assert sorted(algorithm["ContainerArguments"]) == sorted([*said.split(), where, f"--code={DIGEST}"])


def test_what_the_worker_writes_down_is_never_restored_among_the_checkpoints() -> None:
    request = request_of(training())
    arguments = request["AlgorithmSpecification"]["ContainerArguments"]
    histories = arguments[arguments.index("--histories") + 1]
    assert not histories.startswith(request["CheckpointConfig"]["S3Uri"].rstrip("/"))


def test_an_endpoint_of_the_scripts_own_is_not_the_workers() -> None:
    job = training(environment={"AWS_ENDPOINT_URL": "https://minio.example.com"})
    arguments = request_of(job)["AlgorithmSpecification"]["ContainerArguments"]
    assert options.parse(arguments).endpoint == "https://s3.eu-central-1.amazonaws.com"


def test_interruptions_and_spot_are_told_to_the_worker() -> None:
    at = (Interruption(after=5), Interruption(after=1_000_000.25, kill=True))
    arguments = request_of(training(), interrupt_at=at)["AlgorithmSpecification"]["ContainerArguments"]
    assert arguments[-3:] == ["--interrupt-at=5s", "--interrupt-at=1000000.25s:kill", "--spot"]


def test_as_many_interruptions_as_arguments_hold_are_taken_and_no_more() -> None:
    most = tuple(Interruption(after=n) for n in range(INTERRUPTIONS))
    checks.check_run(run_of(training(), interrupt_at=most))
    request_of(training(), interrupt_at=most)
    with pytest.raises(Unsupported, match="--interrupt-at: 41 interruptions"):
        checks.check_run(run_of(training(), interrupt_at=(*most, Interruption(after=1))))


def test_worker_and_code_come_as_channels_in_file_mode_whatever_the_jobs_mode_is() -> None:
    job = training(input_mode="FastFile", channels={"train": "s3://bucket/train/", "test": "digits@1"})
    channels = request_of(job)["InputDataConfig"]
    assert [each["ChannelName"] for each in channels] == [
        "trainyard-worker",
        "trainyard-code",
        "train",
        "test",
    ]
    assert [each["InputMode"] for each in channels] == ["File", "File", "FastFile", "FastFile"]
    addresses = [each["DataSource"]["S3DataSource"]["S3Uri"] for each in channels]
    assert addresses[0] == WORKER.removesuffix("worker.pyz")
    assert addresses[1] == f"s3://{deployment().model_bucket}/code/sources/{DIGEST}/"
    assert addresses[2] == "s3://bucket/train/"
    assert {each["DataSource"]["S3DataSource"]["S3DataType"] for each in channels} == {"S3Prefix"}


def test_a_folder_of_channels_is_a_prefix_that_ends() -> None:
    # S3Prefix matches keys by their beginning: without the slash another folder's would come along.
    for each in request_of(training())["InputDataConfig"]:
        assert each["DataSource"]["S3DataSource"]["S3Uri"].endswith("/")


def test_checkpoints_belong_to_the_run_and_not_to_the_launch() -> None:
    config = request_of(training(), launch=4)["CheckpointConfig"]
    place = f"s3://{deployment().model_bucket}/checkpoints/digits-k3v9x2q/"
    assert config == {"S3Uri": place, "LocalPath": "/opt/ml/checkpoints"}


def test_the_model_comes_where_the_names_say() -> None:
    request = request_of(training())
    output, name = request["OutputDataConfig"]["S3OutputPath"], request["TrainingJobName"]
    # SageMaker: <S3OutputPath>/<job>/output/model.tar.gz.
    assert (
        f"{output}/{name}/output/model.tar.gz"
        == S3Address(deployment().model_bucket, names.model_key(name)).uri
    )


def test_spot_waits_and_on_demand_does_not() -> None:
    spot = request_of(training(spot=Spot(max_runtime=60, max_wait=90)))
    assert spot["EnableManagedSpotTraining"] is True
    assert spot["StoppingCondition"] == {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90}
    paid = request_of(training(spot=Spot(enabled=False, max_runtime=60)))
    assert paid["EnableManagedSpotTraining"] is False
    # "MaxWaitTimeInSeconds" without spot is refused.
    assert paid["StoppingCondition"] == {"MaxRuntimeInSeconds": 60}


def test_a_failure_of_sagemakers_own_is_tried_again_whatever_retries_says() -> None:
    assert request_of(training())["RetryStrategy"] == {"MaximumRetryAttempts": 3}


def test_jobs_run_in_the_environments_network_and_encrypt_where_it_says_so() -> None:
    request = request_of(training())
    assert request["VpcConfig"]["Subnets"] == list(deployment().subnet_ids)
    assert request["VpcConfig"]["SecurityGroupIds"] == list(deployment().security_group_ids)
    assert request["EnableInterContainerTrafficEncryption"] is False
    assert request["EnableNetworkIsolation"] is False
    # The submitter policy asks for it, of a job with one host too.
    encrypted = request_of(training(), deployment(encrypt_traffic=True))
    assert encrypted["EnableInterContainerTrafficEncryption"] is True


@pytest.mark.parametrize(("kind", "has_volume"), [("ml.m5.large", True), ("ml.g5.xlarge", False)])
def test_a_key_encrypts_output_and_volume_but_no_disk_of_a_machines_own(kind: str, has_volume: bool) -> None:
    request = request_of(training(resources=Resources(instance_type=kind)), deployment(kms_key_arn=KEY))
    assert request["OutputDataConfig"]["KmsKeyId"] == KEY
    assert ("VolumeKmsKeyId" in request["ResourceConfig"]) is has_volume
    plain = request_of(training())
    assert "KmsKeyId" not in plain["OutputDataConfig"]
    assert "VolumeKmsKeyId" not in plain["ResourceConfig"]


def test_hyperparameters_are_encoded_as_the_sagemaker_sdk_encodes_them() -> None:
    values = {"epochs": 20, "rate": 0.1, "fast": True, "name": "20", "word": "é"}
    assert request_of(training(hyperparameters=values))["HyperParameters"] == {
        "epochs": "20",
        "rate": "0.1",
        "fast": "true",
        "name": '"20"',
        "word": '"\\u00e9"',
    }


def test_what_a_job_has_not_is_not_sent() -> None:
    request = request_of(training())
    assert "HyperParameters" not in request
    assert "Environment" not in request
    assert "MetricDefinitions" not in request["AlgorithmSpecification"]


def test_a_hundred_variables_of_the_users_are_a_hundred_and_a_secret_stays_a_reference() -> None:
    variables = {f"V{n}": "secretsmanager:token" for n in range(100)}
    assert request_of(training(environment=variables))["Environment"] == variables


def test_metrics_go_with_the_algorithm() -> None:
    algorithm = request_of(training(metrics={"loss": "loss=(.*)"}))["AlgorithmSpecification"]
    assert algorithm["MetricDefinitions"] == [{"Name": "loss", "Regex": "loss=(.*)"}]


def test_a_job_is_tagged_with_its_environment_and_its_run() -> None:
    tags = {each["Key"]: each["Value"] for each in request_of(training())["Tags"]}
    assert tags == {"trainyard:environment": "trainyard-dev", "trainyard:run": "digits-k3v9x2q"}


def test_an_image_of_a_registry_in_the_vpc_is_pulled_from_there() -> None:
    image = "registry.corp.example/team/image:1"
    request = training_request(run_of(training()), deployment(), WORKER, image)
    assert violations("sagemaker", "CreateTrainingJob", request) == []
    config = request["AlgorithmSpecification"]["TrainingImageConfig"]
    assert config == {"TrainingRepositoryAccessMode": "Vpc"}
    assert "TrainingImageConfig" not in request_of(training())["AlgorithmSpecification"]


def test_the_same_run_makes_the_same_request() -> None:
    job = training(channels={"a": "s3://bucket/c"}, hyperparameters={"x": 1}, environment={"A": "b"})
    assert json.dumps(request_of(job)) == json.dumps(request_of(job))


metric_names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=255)
model_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=400)
models = st.builds(
    Model,
    name=st.from_regex(r"[a-z]{1,21}", fullmatch=True),
    version=st.integers(1, 10**6),
    run=st.just("digits-k3v9x2q"),
    path=st.just("s3://bucket/models/a/output/model.tar.gz"),
    created=st.just(1.0),
    hash=st.just(f"sha256:{DIGEST}"),
    code=st.just(DIGEST),
    data=st.dictionaries(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True), model_texts, max_size=18),
    metrics=st.dictionaries(metric_names, st.floats(), max_size=40),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(models, deployments(), st.text(max_size=80))
def test_any_model_becomes_a_package_that_sagemakers_model_accepts(
    model: Model, where: Deployment, token: str
) -> None:
    package = model_package_request(model, where, IMAGE, token)
    assert violations("sagemaker", "CreateModelPackage", package) == []
    assert len(package["CustomerMetadataProperties"]) <= METADATA
    group = model_group_request(where, model.name)
    assert violations("sagemaker", "CreateModelPackageGroup", group) == []
    assert group["ModelPackageGroupName"] == package["ModelPackageGroupName"]


def a_model(**values: Any) -> Model:
    facts = {"name": "digits", "version": 3, "run": "digits-k3v9x2q", "path": "s3://b/model.tar.gz"}
    return Model(**{**facts, "created": 1.0, **values})


def test_a_package_says_what_the_model_was_made_from() -> None:
    model = a_model(code=DIGEST, data={"train": "digits@2"}, metrics={"accuracy": 0.9733})
    package = model_package_request(model, deployment(), IMAGE, "token")
    assert package["ModelPackageGroupName"] == "trainyard-dev-digits"
    (container,) = package["InferenceSpecification"]["Containers"]
    assert container == {"Image": IMAGE, "ModelDataUrl": "s3://b/model.tar.gz"}
    assert package["CustomerMetadataProperties"] == {
        "trainyard:model": "digits@3",
        "trainyard:run": "digits-k3v9x2q",
        "trainyard:code": DIGEST,
        "trainyard:data:train": "digits@2",
        "trainyard:metric:accuracy": "0.9733",
    }


def test_the_package_of_a_launch_is_made_once_and_of_another_launch_again() -> None:
    run = run_of(training())
    first = package_token(run)
    assert first == package_token(run)
    assert first != package_token(run.replace(launch=2))
    sent = model_package_request(a_model(), deployment(), IMAGE, first)["ClientToken"]
    assert sent == model_package_request(a_model(version=4), deployment(), IMAGE, first)["ClientToken"]


def test_channels_are_taken_from_the_run_where_they_are_published() -> None:
    job = training(channels={"train": "data/train"})
    run: Run = run_of(job, channels={"train": Channel(uri="s3://d/datasets/abc/")})
    channel = training_request(run, deployment(), WORKER, IMAGE)["InputDataConfig"][2]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "s3://d/datasets/abc/"


def test_javas_patterns_are_read_as_java_reads_them() -> None:
    assert not compiled(".*").fullmatch("a\u2028b")
    assert compiled(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)").fullmatch("é 1@٣")
    assert not compiled(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)").fullmatch("a;b")
    assert not compiled(r"[a-z]\w").fullmatch("aé")


def test_bad_input_is_what_a_refusal_of_check_is() -> None:
    with pytest.raises(BadInput) as refused:
        check(training(retries=1, resources=Resources(instance_count=2)), deployment())
    assert refused.value.exit_status == 2


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(trainings, interruptions, st.integers(1, 999))
def test_the_worker_reads_from_its_arguments_what_the_run_says(
    job: TrainingJob, interrupt_at: tuple[Interruption, ...], launch: int
) -> None:
    run = run_of(job, interrupt_at=interrupt_at, launch=launch, wheels="b" * 64)
    known = {name: each.replace(hash=f"sha256:{'c' * 64}") for name, each in run.channels.items()}
    request = training_request(run.replace(channels=known), deployment(), WORKER, IMAGE)
    told = options.parse(request["AlgorithmSpecification"]["ContainerArguments"])
    assert (told.script, told.launch, told.region) == (job.entry_script, launch, deployment().region)
    assert (told.grace, told.retries, told.spot) == (job.grace, job.retries, job.spot.enabled)
    assert (told.code, told.wheels) == (run.code, "b" * 64)
    assert dict(told.channels) == dict.fromkeys(job.channels, "c" * 64)
    assert [each.kill for each in told.interruptions] == [each.kill for each in interrupt_at]
    for read, meant in zip(told.interruptions, interrupt_at, strict=True):
        assert read.after == pytest.approx(meant.after, abs=1e-6)
