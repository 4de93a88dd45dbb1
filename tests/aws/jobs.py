"""Jobs, runs and deployments of every kind that there can be, for properties."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import strategies as st

from trainyard.aws import checks
from trainyard.aws.account.deployment import Deployment
from trainyard.aws.batch import checks as batch_checks
from trainyard.aws.sagemaker import checks as training_checks
from trainyard.core.environments.facts import job_name_prefix
from trainyard.core.environments.limits import NAME, PREFIX, PREFIX_LENGTH
from trainyard.core.environments.regions import DEEP_LEARNING_CONTAINERS
from trainyard.core.jobs.instance_types import instance_types
from trainyard.core.jobs.job import InferenceJob, Job, Resources, ShardResources, Spot, TrainingJob
from trainyard.core.runs.run import Channel, Interruption, Run

INT_MAX = 2**31 - 1
DIGEST = "0123456789abcdef" * 4
WORKER = f"s3://trainyard-dev-models-abc/code/workers/{DIGEST}/worker.pyz"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

FACTS = {
    "dataset-bucket": "trainyard-dev-data-datasets-1a2b3c",
    "model-bucket": "trainyard-dev-data-models-1a2b3c",
    "repository-name": "trainyard-dev-data-images-1a2b3c",
    "repository-uri": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/trainyard-dev-data-images-1a2b3c",
    "version": "0.1.0",
    "network-profile": "private",
    "job-name-prefix": "trainyard-dev-",
    "training-role-arn": "arn:aws:iam::123456789012:role/trainyard-dev-TrainingRole-ABC",
    "subnet-ids": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "security-group-ids": "sg-0123456789abcdef0",
    "encrypt-traffic": "false",
    "job-queue-arn": "arn:aws:batch:eu-central-1:123456789012:job-queue/InferenceQueue-abc",
    "job-definition-arn": "arn:aws:batch:eu-central-1:123456789012:job-definition/trainyard-dev-inference:3",
    "batch-job-role-arn": "arn:aws:iam::123456789012:role/trainyard-dev-InferenceJobRole-ABC",
    "batch-execution-role-arn": "arn:aws:iam::123456789012:role/trainyard-dev-InferenceExecutionRole-ABC",
    "batch-log-group": "trainyard-dev-InferenceLogGroup-ABC",
}


def deployment(**changes: Any) -> Deployment:
    """An environment that is deployed in the usual way."""
    values: dict[str, Any] = {
        "name": "dev",
        "stack": "trainyard-dev",
        "prefix": "trainyard-dev-",
        "region": "eu-central-1",
        "account": "123456789012",
        "version": "0.1.0",
        "network_profile": "private",
        "dataset_bucket": FACTS["dataset-bucket"],
        "model_bucket": FACTS["model-bucket"],
        "repository_uri": FACTS["repository-uri"],
        "training_role_arn": FACTS["training-role-arn"],
        "subnet_ids": ("subnet-0123456789abcdef0", "subnet-0123456789abcdef1"),
        "security_group_ids": ("sg-0123456789abcdef0",),
        "encrypt_traffic": False,
        "job_queue_arn": FACTS["job-queue-arn"],
        "job_definition_arn": FACTS["job-definition-arn"],
        "batch_job_role_arn": FACTS["batch-job-role-arn"],
        "batch_execution_role_arn": FACTS["batch-execution-role-arn"],
        "batch_log_group": FACTS["batch-log-group"],
    }
    return Deployment(**(values | changes))


def training(**values: Any) -> TrainingJob:
    return TrainingJob(**{"name": "digits", "entry_script": "train.py", **values})


def inference(**values: Any) -> InferenceJob:
    return InferenceJob(**{"name": "digits-inference", "handler": "predict.py", **values})


def run_of(job: TrainingJob | InferenceJob, **values: Any) -> Run:
    """A run of the job as it is handed to an engine: with addresses in S3."""
    facts: dict[str, Any] = {
        "id": f"{job.name}-k3v9x2q",
        "job": job,
        "yard": "dev",
        "created": 1.0,
        "code": DIGEST,
    }
    if isinstance(job, TrainingJob):
        facts["channels"] = {name: Channel(uri=address_of(source)) for name, source in job.channels.items()}
    else:
        facts["model_uri"] = "s3://trainyard-dev-models/models/a/output/model.tar.gz"
        facts["input"] = "s3://trainyard-dev-data/datasets/abc/"
    return Run(**(facts | values))


def address_of(source: str) -> str:
    """Where a channel's source lies once it is published."""
    return source if source.startswith("s3://") else f"s3://{FACTS['dataset-bucket']}/datasets/{DIGEST}/"


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
alphanumeric = string.ascii_letters + string.digits
job_names = st.from_regex(r"[a-zA-Z0-9](-{0,3}[a-zA-Z0-9]){0,50}", fullmatch=True).filter(
    lambda name: len(name) <= 51
)
scripts = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\n\r\u0085\u2028\u2029/~"), min_size=1, max_size=253
).map(lambda name: f"{name}.py")
variables = st.from_regex(r"[A-Z_][A-Z0-9_]{0,40}", fullmatch=True).map(lambda name: f"X{name}")
long_variables = st.integers(1, 511).map(lambda length: "Y" * length)


def values(most: int) -> st.SearchStrategy[str]:
    """Texts of up to so many characters, and of exactly so many."""
    return st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=most),
        st.characters(codec="utf-8", exclude_characters="\0").map(lambda char: char * most),
    )


hyperparameter_names = st.one_of(
    st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True),
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=256).filter(
        lambda name: not name.startswith("-") and "=" not in name and name.isprintable()
    ),
)
scalars = st.one_of(
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200),
    st.just("\N{GRINNING FACE}" * 200),
    st.just("x" * 2_498),
)
channel_names = st.one_of(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True), st.just("c" * 64)).filter(
    lambda name: name not in (".", "..") and not name.lower().startswith("trainyard")
)
channel_sources = st.sampled_from(
    ["data/train", "digits@3", "s3://bucket", "s3://a.bucket/prefix/", "s3://bucket/" + "k" * 1_011]
)
metric_names = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\n\r\u0085\u2028\u2029"), min_size=1, max_size=255
)
metric_regexes = st.one_of(
    st.just(r"loss=([0-9.]+)"), st.integers(0, 490).map(lambda length: "é" * length + "=(.*)")
)
images = st.sampled_from(
    [
        "",
        f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/images@sha256:{DIGEST}",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/images:" + "t" * 128,
        "registry.corp.example:5000/team/image:1",
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/images:1",
    ]
)


def unlike(first: st.SearchStrategy[str], item: st.SearchStrategy[Any], most: int) -> Any:
    """Tables of up to `most` entries, and full ones, whose keys differ in more than their case."""
    few = st.lists(st.tuples(first, item), max_size=most, unique_by=lambda pair: pair[0].upper())
    return few.map(dict)


def full(few: Any, name: str, item: st.SearchStrategy[Any], most: int) -> Any:
    """Those tables, or one with as many entries as there may be."""
    many = item.map(lambda value: {f"{name}{index}": value for index in range(most)})
    return st.one_of(few, many)


trainings = st.builds(
    TrainingJob,
    name=job_names | job_names.map(lambda name: name[:17].strip("-")),
    entry_script=scripts,
    image=images,
    retries=st.sampled_from([0, 0, 0, 1, 30]),
    grace=st.integers(0, 120),
    input_mode=st.sampled_from(["File", "FastFile"]),
    channels=full(unlike(channel_names, channel_sources, 18), "channel", channel_sources, 18),
    hyperparameters=full(unlike(hyperparameter_names, scalars, 20), "parameter", scalars, 100),
    environment=full(unlike(variables | long_variables, values(512), 20), "VARIABLE", values(512), 100),
    metrics=full(unlike(metric_names, metric_regexes, 10), "metric", metric_regexes, 40),
    resources=st.builds(
        Resources,
        instance_type=st.sampled_from(instance_types()),
        instance_count=st.sampled_from([1, 1, 2, 20, INT_MAX]),
        volume_size_gb=st.integers(1, 16_384),
        memory_mib=st.integers(0, 1_000),
    ),
    spot=st.one_of(
        st.builds(Spot, enabled=st.just(False), max_runtime=st.integers(1, 28 * 86_400)),
        st.builds(Spot, max_runtime=st.integers(1, 28 * 86_400), max_wait=st.integers(28 * 86_400, INT_MAX)),
    ),
)
inferences = st.builds(
    InferenceJob,
    name=job_names,
    handler=scripts,
    image=images | st.sampled_from(["python:3.12", "public.ecr.aws/docker/library/python:3.12"]),
    shards=st.integers(1, 10_000),
    batch_size=st.integers(1, INT_MAX),
    retries=st.integers(0, 9),
    timeout=st.integers(60, INT_MAX),
    environment=unlike(variables, st.text(alphanumeric, max_size=100), 30),
    resources=st.builds(
        ShardResources,
        vcpus=st.integers(1, 2_000),
        memory_mib=st.integers(4, 40_000_000),
        gpus=st.integers(0, 9),
    ),
)
interruptions = st.lists(
    st.builds(Interruption, after=st.floats(0, 1e9, allow_nan=False), kill=st.booleans()), max_size=40
).map(tuple)


@st.composite
def deployments(draw: Any) -> Deployment:
    """Environments of any name, region, profile, with a key or a GPU queue or without."""
    name = draw(st.from_regex(NAME, fullmatch=True))
    prefix = draw(st.from_regex(PREFIX, fullmatch=True).filter(lambda text: len(text) <= PREFIX_LENGTH))
    return deployment(
        name=name,
        stack=f"{prefix}-{name}",
        prefix=job_name_prefix(prefix, name),
        region=draw(st.sampled_from(sorted(DEEP_LEARNING_CONTAINERS))),
        network_profile=draw(st.sampled_from(["private", "lean", "existing"])),
        encrypt_traffic=draw(st.booleans()),
        kms_key_arn=draw(st.sampled_from(["", KEY])),
        model_bucket="b" * draw(st.integers(3, 63)),
        gpu_job_queue_arn=draw(st.sampled_from(["", FACTS["job-queue-arn"] + "-gpu"])),
        subnet_ids=tuple(f"subnet-{index:017x}" for index in range(draw(st.integers(1, 16)))),
    )


def check(job: Job, where: Deployment) -> None:
    """What an environment asks of a job, before anything of AWS is needed."""
    if isinstance(job, TrainingJob):
        training_checks.check(job, where)
    else:
        batch_checks.check(job, where)
    checks.check_secrets(job, where)


def warnings(job: Job, where: Deployment) -> list[str]:
    """What an environment warns of in a job."""
    if isinstance(job, TrainingJob):
        return training_checks.warnings(job, where)
    return batch_checks.warnings(job, where)
