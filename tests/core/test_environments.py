"""Every limit on an environment at its border and past it, and what holds for all that there can be."""

from __future__ import annotations

import gzip
import ipaddress
import json
import re
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from hypothesis import given
from hypothesis import strategies as st

from trainyard.core.environments import limits
from trainyard.core.environments.environment import (
    DEFAULT,
    EXISTING,
    LEAN,
    PRIVATE,
    BatchCompute,
    Environment,
    Notebook,
    Retention,
    environment_to_json,
    stack_tags,
)
from trainyard.core.environments.facts import job_name_prefix
from trainyard.core.environments.families import MOST
from trainyard.core.environments.file import load_environment
from trainyard.core.environments.regions import DEEP_LEARNING_CONTAINERS
from trainyard.core.errors import BadInput

INT_MAX = 2**31 - 1
VPC = "vpc-0123456789abcdef0"
SUBNETS = ("subnet-0123456789abcdef0", "subnet-01234567")
KEY = "arn:aws:kms:us-east-1:123456789012:key/"
UUID = "01234567-89ab-cdef-0123-456789abcdef"
MRK = "mrk-0123456789abcdef0123456789abcdef"
POLICY = "arn:aws:iam::123456789012:policy/boundary"
DIGEST = f"@sha256:{'0' * 64}"


def notebook(**values: Any) -> Environment:
    return Environment(notebook=Notebook(**values))


def batch(**values: Any) -> Environment:
    return Environment(batch=BatchCompute(**values))


def retention(**values: Any) -> Environment:
    return Environment(retention=Retention(**values))


def refusal(make: Callable[[], object]) -> BadInput:
    with pytest.raises(BadInput) as refused:
        make()
    assert refused.value.exit_status == 2
    assert str(refused.value).isprintable()
    return refused.value


def test_the_defaults_are_those_that_the_documents_promise() -> None:
    made = Environment()
    assert (made.name, made.network, made.cidr, made.zones, made.nats) == (
        DEFAULT,
        PRIVATE,
        "10.220.0.0/16",
        2,
        1,
    )
    assert limits.subnet_length(16, 2) == 24
    assert made.endpoints == ("sagemaker.api", "sagemaker.runtime", "ecr.api", "ecr.dkr")
    assert made.notebook.instance_type == "ml.t3.medium"
    assert (made.batch.max_vcpus, made.batch.on_demand_max_vcpus) == (256, 32)
    assert (made.retention.log_days, made.retention.model_archive_days) == (30, 180)


def test_names_follow_from_prefix_and_name() -> None:
    made = Environment(name="prod", prefix="acmeml", tags={"team": "a"})
    assert (made.stack_name, made.data_stack_name) == ("acmeml-prod", "acmeml-prod-data")
    assert stack_tags(made) == {"team": "a", "trainyard:environment": "acmeml-prod"}


def test_the_profile_is_the_networks_unless_one_is_there_already() -> None:
    assert Environment().profile == PRIVATE
    assert Environment(network="lean").profile == LEAN
    assert Environment(vpc=VPC, subnets=SUBNETS).profile == EXISTING


def without_nat(**values: Any) -> Environment:
    return Environment(nats=0, endpoints=limits.WITHOUT_NAT, **values)


def test_a_notebook_is_there_where_it_can_reach_the_internet_unless_told_otherwise() -> None:
    assert Environment().has_notebook
    assert Environment(vpc=VPC, subnets=SUBNETS).has_notebook
    assert not Environment(network="lean").has_notebook
    assert not without_nat().has_notebook
    assert notebook(enabled=True).has_notebook
    assert not notebook(enabled=False).has_notebook
    assert not Environment(network="lean", notebook=Notebook(enabled=False)).has_notebook
    for make in (without_nat, lambda **values: Environment(network="lean", **values)):
        error = refusal(lambda make=make: make(notebook=Notebook(enabled=True)))  # type: ignore[misc]
        assert error.key == "environments.dev.notebook.enabled"
        assert "private" in error.cure


NUMBERS = [
    (Environment, "zones", "zones", 1, limits.ZONES),
    (Environment, "nats", "nats", 0, 2),
    (
        lambda budget_usd: Environment(budget_usd=budget_usd, alarm_email="a@b.cd"),
        *["budget_usd"] * 2,
        0,
        INT_MAX,
    ),
    (notebook, "idle_minutes", "notebook.idle_minutes", 10, 10_080),
    (notebook, "volume_size_gb", "notebook.volume_size_gb", 5, 16_384),
    (batch, "max_vcpus", "batch.max_vcpus", 0, INT_MAX),
    (batch, "on_demand_max_vcpus", "batch.on_demand_max_vcpus", 0, INT_MAX),
    (batch, "gpu_max_vcpus", "batch.gpu_max_vcpus", 4, INT_MAX),
    (batch, "volume_size_gb", "batch.volume_size_gb", 30, 16_384),
    (retention, "log_days", "retention.log_days", 1, 3_653),
    (retention, "noncurrent_days", "retention.noncurrent_days", 1, 3_653),
    (retention, "model_days", "retention.model_days", 270, 3_653),
    (
        lambda model_archive_days: retention(model_archive_days=model_archive_days, model_days=3_653),
        "model_archive_days",
        "retention.model_archive_days",
        1,
        3_563,
    ),
]


@pytest.mark.parametrize(("make", "field", "key", "low", "high"), NUMBERS, ids=[each[2] for each in NUMBERS])
def test_a_number_is_taken_at_its_borders_and_refused_one_past(
    make: Callable[..., object], field: str, key: str, low: int, high: int
) -> None:
    # One NAT gateway needs one zone, none needs endpoints.
    for right in (low, high):
        if (field, right) == ("nats", 0):
            assert without_nat().nats == 0
        else:
            make(**{field: right})
    for wrong in (low - 1, high + 1):
        error = refusal(lambda wrong=wrong: make(**{field: wrong}))  # type: ignore[misc]
        assert error.key == f"environments.dev.{key}"
        assert str(wrong) in error.problem
        assert error.cure
    for wrong in (True, 1.0, "1", None, [1]):
        error = refusal(lambda wrong=wrong: make(**{field: wrong}))  # type: ignore[misc]
        assert error.key == f"environments.dev.{key}"
        assert "must be an integer, not " in error.problem


BOOLEANS = [
    (Environment, "flow_logs", "flow_logs"),
    (Environment, "encrypt_traffic", "encrypt_traffic"),
    (notebook, "enabled", "notebook.enabled"),
    (batch, "gpu_spot", "batch.gpu_spot"),
]


@pytest.mark.parametrize(("make", "field", "key"), BOOLEANS, ids=[each[2] for each in BOOLEANS])
def test_a_boolean_is_true_or_false(make: Callable[..., object], field: str, key: str) -> None:
    make(**{field: True})
    make(**{field: False})
    for wrong in (0, 1, "true", 1.0, []):
        error = refusal(lambda wrong=wrong: make(**{field: wrong}))  # type: ignore[misc]
        assert error.key == f"environments.dev.{key}"
        assert "must be a boolean, not " in error.problem


TEXTS: list[tuple[Callable[..., Environment], str, str, list[str], list[str]]] = [
    (
        Environment,
        "region",
        "region",
        ["us-east-1", "ap-southeast-7", "us-gov-west-1"],
        [
            "us-east",
            "us-east-1a",
            "US-EAST-1",
            "us_east_1",
            "useast1",
            "Ireland",
            "us-east-1 ",
            "us-east-\u0661",
        ],
    ),
    (
        Environment,
        "account",
        "account",
        ["123456789012", "000000000000"],
        ["12345678901", "1234567890123", "1234-5678-9012", "\u0661" * 12, " 123456789012"],
    ),
    (
        Environment,
        "prefix",
        "prefix",
        ["trainyard", "a", "a1b2", "a" * limits.PREFIX_LENGTH, "awsome"],
        [
            "",
            "A",
            "1a",
            "-a",
            "a-",
            "a--b",
            "a_b",
            "a" * (limits.PREFIX_LENGTH + 1),
            "aws",
            "aws-a",
            "amzn",
            "acme-ml",
            "sthree",
        ],
    ),
    (Environment, "network", "network", ["private", "lean"], ["", "existing", "Private", "public", "x" * 65]),
    (
        Environment,
        "kms_key",
        "kms_key",
        [
            KEY + UUID,
            KEY + MRK,
            (KEY + UUID).replace("arn:aws:", "arn:aws-us-gov:").replace("us-east-1", "us-gov-west-1"),
            (KEY + UUID).replace("arn:aws:", "arn:aws-eusc:").replace("us-east-1", "eusc-de-east-1"),
        ],
        [
            UUID,
            KEY,
            KEY + "x",
            (KEY + UUID).replace("key/", "alias/"),
            (KEY + UUID)[:-1],
            KEY + "mrk-" + UUID,
            (KEY + UUID).replace("kms", "s3"),
            "alias/mine",
            "x" * 2_049,
        ],
    ),
    (
        Environment,
        "permissions_boundary",
        "permissions_boundary",
        [
            POLICY,
            "arn:aws:iam::123456789012:policy/path/to/boundary+=,.@-_",
            "arn:aws:iam::aws:policy/PowerUserAccess",
            "arn:aws-cn:iam::123456789012:policy/boundary",
        ],
        [
            "boundary",
            POLICY.replace("policy", "role"),
            POLICY.replace("::", ":us-east-1:"),
            POLICY + "/",
            POLICY.replace("123456789012", "mine"),
            POLICY + "\u00e9",
        ],
    ),
    (
        Environment,
        "alarm_email",
        "alarm_email",
        ["ml@example.com", "first.last+tag@sub.example.co.uk", "o_o@example.xn--p1ai"],
        [
            "ml",
            "ml@example",
            "@example.com",
            "a@b@example.com",
            "a b@example.com",
            "a@example.com,b@example.com",
            "a@ex\u00e4mple.com",
            "a@example.com\n",
            "<a@example.com>",
        ],
    ),
    (
        notebook,
        "instance_type",
        "notebook.instance_type",
        ["ml.t3.medium", "ml.p6-b200.48xlarge"],
        ["", "t3.medium", "ml.t3", "ml.t3.", "ML.T3.MEDIUM", "ml.t3.medium "],
    ),
    (
        batch,
        "image",
        "batch.image",
        [f"123456789012.dkr.ecr.us-east-1.amazonaws.com/a/b{DIGEST}", f"python:3.12{DIGEST}"],
        ["python:3.12", "python@sha256:0", DIGEST, f"python{DIGEST}0", f"p ython{DIGEST}"],
    ),
]


@pytest.mark.parametrize(("make", "field", "key", "rights", "wrongs"), TEXTS, ids=[each[2] for each in TEXTS])
def test_a_text_has_its_form_or_is_refused_with_the_cure(
    make: Callable[..., Environment], field: str, key: str, rights: list[str], wrongs: list[str]
) -> None:
    for right in rights:
        make(**{field: right})
    for wrong in wrongs:
        error = refusal(lambda wrong=wrong: make(**{field: wrong}))  # type: ignore[misc]
        assert error.key == f"environments.dev.{key}", wrong
        assert error.cure, wrong
    for other in (1, True, None, ["a"], ("a",)):
        error = refusal(lambda other=other: make(**{field: other}))  # type: ignore[misc]
        assert error.key == f"environments.dev.{key}"
        assert "must be a string, not " in error.problem


@pytest.mark.parametrize("name", ["a", "dev", "prod2", "a" * limits.NAME_LENGTH])
def test_a_name_of_an_environment_is_taken(name: str) -> None:
    assert Environment(name=name).name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "1a",
        "a-b",
        "a_b",
        "a.b",
        "a" * (limits.NAME_LENGTH + 1),
        "\u00e4",
        "a\n",
        "a b",
        3,
        None,
        ["a"],
    ],
)
def test_another_name_is_refused_under_its_own_table(name: Any) -> None:
    error = refusal(lambda: Environment(name=name))
    shown = isinstance(name, str) and name and name.isprintable()
    assert error.key == (f"environments.{name}" if shown else "environments")
    assert error.cure or "must be a string" in error.problem


def test_a_region_is_one_that_botocore_knows_and_that_images_for_training_are_in() -> None:
    partitions = Loader().load_data("endpoints")["partitions"]
    regions = {region for partition in partitions for region in partition["regions"]}
    assert set(DEEP_LEARNING_CONTAINERS) <= regions
    for region in DEEP_LEARNING_CONTAINERS:
        assert Environment(region=region).region == region


def test_a_key_is_of_the_environments_region_and_a_boundary_of_its_account() -> None:
    Environment(region="us-east-1", account="123456789012", kms_key=KEY + UUID, permissions_boundary=POLICY)
    # A key may be another account's, a boundary AWS's own.
    Environment(account="000000000000", kms_key=KEY + UUID)
    Environment(account="000000000000", permissions_boundary="arn:aws:iam::aws:policy/PowerUserAccess")
    error = refusal(lambda: Environment(region="eu-west-1", kms_key=KEY + UUID))
    assert str(error) == "environments.dev.kms_key: is a key of us-east-1; write one of eu-west-1"
    error = refusal(lambda: Environment(account="000000000000", permissions_boundary=POLICY))
    assert error.key == "environments.dev.permissions_boundary"


LISTS: list[tuple[Callable[..., Environment], str, str, list[tuple[str, ...]], list[tuple[Any, ...]]]] = [
    (
        Environment,
        "endpoints",
        "endpoints",
        [(), limits.ENDPOINTS],
        [
            ("ecr",),
            ("s3",),
            ("ecr.api", "ecr.api"),
            ("",),
            (1,),
            (("ecr.api",),),
        ],
    ),
    (
        lambda subnets: Environment(vpc=VPC, subnets=subnets),
        "subnets",
        "subnets",
        [SUBNETS, tuple(f"subnet-{n:08x}" for n in range(limits.SUBNETS))],
        [
            ("subnet-1",),
            ("subnet-0123456g",),
            (VPC,),
            ("",),
            (SUBNETS[0], SUBNETS[0]),
            tuple(f"subnet-{n:08x}" for n in range(limits.SUBNETS + 1)),
        ],
    ),
    (
        Environment,
        "read_buckets",
        "read_buckets",
        [
            (),
            ("abc", "my.bucket-1"),
            ("a" * 63, "lake-123456789012-us-east-1-an"),
            tuple(f"b-{n}" for n in range(limits.READ_BUCKETS)),
        ],
        [
            ("ab",),
            ("a" * 64,),
            ("My-bucket",),
            ("my_bucket",),
            ("my..bucket",),
            ("-bucket",),
            ("bucket.",),
            ("192.168.0.1",),
            ("xn--bucket",),
            ("s3://bucket",),
            ("arn:aws:s3:::bucket",),
            ("bucket/",),
            ("bucket*",),
            ("",),
            (1,),
            ("abc", "abc"),
            tuple(f"b-{n}" for n in range(limits.READ_BUCKETS + 1)),
        ],
    ),
    (
        batch,
        "families",
        "batch.families",
        [
            ("default_x86_64",),
            ("default_arm64",),
            ("m6i",),
            ("m6i.xlarge", "c5.2xlarge", "c5n.xlarge", "t3.xlarge"),
            ("m7i-flex", "u-6tb1", "u7i-12tb.224xlarge", "hpc6a", "x2iedn"),
            ("m5.metal", "m7i.metal-24xl"),
            ("m6g", "c7gn", "t4g", "im4gn", "hpc7g", "x2gd"),
            ("g4dn", "g5", "g6", "m5"),
            tuple(f"m{n}" for n in range(10, 10 + MOST)),
        ],
        [
            (),
            ("optimal",),
            ("default_x86_64", "m5"),
            ("default_arm64", "default_x86_64"),
            ("zz9plural",),
            ("mac2",),
            ("t1",),
            ("M5",),
            ("m5.",),
            ("m5.large.x",),
            ("ml.m5.xlarge",),
            ("",),
            (5,),
            ("m5", "m5"),
            ("m5", "m6g"),
            ("g5", "g5g.2xlarge"),
            ("p5", "p6e-gb200.36xlarge"),
            ("m5.large",),
            ("t3.nano",),
            ("c5.xlarge",),
            ("c5a.xlarge",),
            ("c7i-flex.xlarge",),
            ("g5g.xlarge",),
            ("a1",),
            ("a1.4xlarge",),
            tuple(f"m{n}" for n in range(10, 11 + MOST)),
        ],
    ),
    (
        batch,
        "gpu_families",
        "batch.gpu_families",
        [(), ("g4dn", "g5", "g6e.xlarge", "gr6", "p4d", "p6-b200")],
        [
            ("m5",),
            ("inf2",),
            ("trn1",),
            ("g4ad",),
            ("p3.2xlarge",),
            ("g5g",),
            ("g5", "g5"),
            ("g6f.large",),
            (5,),
        ],
    ),
]


@pytest.mark.parametrize(("make", "field", "key", "rights", "wrongs"), LISTS, ids=[each[2] for each in LISTS])
def test_a_list_holds_what_it_may_or_is_refused_with_the_cure(
    make: Callable[..., Environment],
    field: str,
    key: str,
    rights: list[tuple[str, ...]],
    wrongs: list[tuple[Any, ...]],
) -> None:
    for right in rights:
        made = make(**{field: list(right)})
        assert made == make(**{field: right})
        *tables, last = ("environment." + key).split(".")
        owner: Any = made if len(tables) == 1 else getattr(made, tables[1])
        assert getattr(owner, last) == right
    for wrong in wrongs:
        error = refusal(lambda wrong=wrong: make(**{field: wrong}))  # type: ignore[misc]
        assert error.key in (f"environments.dev.{key}", "environments.dev.vpc"), wrong
        assert error.cure or "must be" in error.problem, wrong
    for other in ("m5", b"m5", {"m5": 1}, {"m5"}, 5, None, True, iter(("m5",))):
        error = refusal(lambda other=other: make(**{field: other}))  # type: ignore[misc]
        assert error.key == f"environments.dev.{key}"
        assert "must be an array, not " in error.problem


def test_a_list_that_changes_later_changes_no_environment() -> None:
    families, buckets = ["m5"], ["abc"]
    made = Environment(read_buckets=buckets, batch=BatchCompute(families=families))  # type: ignore[arg-type]
    families.append("optimal")
    buckets.append("*")
    assert (made.batch.families, made.read_buckets) == (("m5",), ("abc",))


def instance_types() -> Iterator[dict[str, Any]]:
    packed = resources.files("moto").joinpath("ec2/resources/instance_types.json.gz").read_bytes()
    yield from json.loads(gzip.decompress(packed)).values()


OF_OLD = ("c1", "m1", "m2", "t1")


def test_what_names_tell_of_instance_types_is_what_ec2_says_of_them() -> None:
    # moto has the answer of DescribeInstanceTypes.
    checked = 0
    for each in instance_types():
        name, family = each["InstanceType"], each["InstanceType"].partition(".")[0]
        architectures = set(each["ProcessorInfo"]["SupportedArchitectures"])
        if not architectures & {"arm64", "x86_64"} or family in ("a1", "t8i", *OF_OLD):
            continue
        checked += 1
        fits = each["VCpuInfo"]["DefaultVCpus"] >= 4 and each["MemoryInfo"]["SizeInMiB"] > 8_192
        try:
            batch(families=(name,))
        except BadInput as error:
            assert "too small" in error.problem, name
            assert not fits, name
        else:
            assert fits, name
        other = "m5" if "arm64" in architectures else "m6g"
        assert "mixes Arm and x86" in refusal(lambda f=(family, other): batch(families=f)).problem  # type: ignore[misc]
    assert checked > 1_000


def test_a_family_of_gpus_is_one_that_ec2_gives_nvidias() -> None:
    for each in instance_types():
        name = each["InstanceType"]
        made_by = {gpu.get("Manufacturer") for gpu in each.get("GpuInfo", {}).get("Gpus", [])}
        if "NVIDIA" in made_by or "arm64" in each["ProcessorInfo"]["SupportedArchitectures"]:
            continue
        if each["VCpuInfo"]["DefaultVCpus"] < 4 or each["MemoryInfo"]["SizeInMiB"] <= 8_192:
            continue
        error = refusal(lambda name=name: batch(gpu_families=(name,)))  # type: ignore[misc]
        assert error.key == "environments.dev.batch.gpu_families"


def test_some_machines_are_left_and_each_maximum_fits_a_job() -> None:
    assert batch(max_vcpus=0).batch.on_demand_max_vcpus == 32
    assert batch(on_demand_max_vcpus=0).batch.max_vcpus == 256
    error = refusal(lambda: batch(max_vcpus=0, on_demand_max_vcpus=0))
    assert (
        str(error)
        == "environments.dev.batch.max_vcpus: leaves Batch no machines; write a maximum of 4 or more"
    )
    for field in ("max_vcpus", "on_demand_max_vcpus"):
        batch(**{field: 4})
        error = refusal(lambda field=field: batch(**{field: 3}))  # type: ignore[misc]
        assert error.key == f"environments.dev.batch.{field}"


def test_logs_are_kept_for_as_long_as_cloudwatch_can() -> None:
    documented = Loader().load_service_model("logs", "service-2")["shapes"]["Days"]["documentation"]
    assert [int(each) for each in re.findall(r"\b\d+\b", documented)] == list(limits.LOG_DAYS)
    for days in limits.LOG_DAYS:
        assert retention(log_days=days).retention.log_days == days
    error = refusal(lambda: retention(log_days=31))
    assert str(error).endswith("log_days: 31 is no retention of CloudWatch Logs; try 30")


def test_an_archived_model_stays_for_what_is_billed_anyway() -> None:
    retention(model_archive_days=10, model_days=100)
    error = refusal(lambda: retention(model_archive_days=10, model_days=99))
    assert error.key == "environments.dev.retention.model_days"
    assert error.cure == "write from 100 to 3653 days (90 after model_archive_days)"


@pytest.mark.parametrize(
    ("cidr", "zones"),
    [
        ("10.0.0.0/16", limits.ZONES),
        ("172.16.0.0/16", 2),
        ("172.18.0.0/15", 0),
        ("192.168.0.0/16", 2),
        ("100.64.0.0/16", 2),
        ("10.1.2.0/24", limits.ZONES),
        ("10.1.2.0/26", 2),
        ("10.1.2.32/27", 1),
    ],
)
def test_a_block_of_private_addresses_with_room_is_taken(cidr: str, zones: int) -> None:
    if zones:
        assert Environment(cidr=cidr, zones=zones).cidr == cidr
    else:
        assert refusal(lambda: Environment(cidr=cidr)).cure == "write /16 to /28"


@pytest.mark.parametrize(
    ("cidr", "zones", "said"),
    [
        ("", 2, "is empty; write a block such as 10.220.0.0/16"),
        ("ten", 2, "'ten' is no block of addresses; write a block such as"),
        ("10.0.0.0/33", 2, "is no block of addresses"),
        ("fd00::/16", 2, "is no block of addresses"),
        ("10.0.0.0", 2, "write 10.0.0.0/32"),
        ("10.220.1.0/16", 2, "write 10.220.0.0/16"),
        ("10.0.0.0/016", 2, "write 10.0.0.0/16"),
        ("10.0.0.0/0.0.0.255", 2, "write 10.0.0.0/24"),
        ("10.0.0.0/15", 2, "is no size of a VPC; write /16 to /28"),
        ("10.0.0.0/29", 1, "is no size of a VPC; write /16 to /28"),
        ("8.8.0.0/16", 2, "'8.8.0.0/16' is not private; use a part of 10.0.0.0/8"),
        ("127.0.0.0/16", 2, "is not private"),
        ("169.254.0.0/16", 2, "is not private"),
        ("198.18.0.0/16", 2, "is not private"),
        ("172.17.0.0/16", 2, "overlaps Docker's own network"),
        ("172.17.5.0/24", 2, "overlaps Docker's own network"),
        ("10.0.0.0/28", 1, "has no room for the subnets; use a larger one, or fewer zones than 1"),
        ("10.0.0.0/27", 2, "has no room for the subnets"),
        ("10.0.0.0/26", 3, "has no room for the subnets; use a larger one, or fewer zones than 3"),
    ],
)
def test_another_block_is_refused_with_the_cure(cidr: str, zones: int, said: str) -> None:
    nats = min(zones, 1)
    error = refusal(lambda: Environment(cidr=cidr, zones=zones, nats=nats))
    assert error.key == "environments.dev.cidr"
    assert said in str(error)
    for wrong in (10, None, True, ["10.0.0.0/16"]):
        assert "must be a string" in refusal(lambda wrong=wrong: Environment(cidr=wrong)).problem  # type: ignore[misc]


def test_a_network_that_is_there_already_is_shaped_by_nothing_else() -> None:
    Environment(vpc=VPC, subnets=SUBNETS, network="private")
    assert refusal(lambda: Environment(vpc=VPC)).key == "environments.dev.subnets"
    assert refusal(lambda: Environment(subnets=SUBNETS)).key == "environments.dev.vpc"
    for vpc in ("vpc-1", "subnet-01234567", "vpc-0123456G", "my-vpc"):
        error = refusal(lambda vpc=vpc: Environment(vpc=vpc, subnets=SUBNETS))  # type: ignore[misc]
        assert error.key == "environments.dev.vpc"
    assert refusal(lambda: Environment(vpc=VPC, subnets=SUBNETS, network="lean")).key.endswith(".network")
    shapes = {
        "cidr": "10.0.0.0/16",
        "zones": 3,
        "nats": 2,
        "endpoints": ("ecr.api",),
        "flow_logs": True,
    }
    for key, value in shapes.items():
        error = refusal(lambda key=key, value=value: Environment(vpc=VPC, subnets=SUBNETS, **{key: value}))  # type: ignore[misc]
        assert error.key == f"environments.dev.{key}"
        assert error.cure.startswith("leave it out")


def test_lean_has_neither_nat_nor_interface_endpoints() -> None:
    Environment(network="lean", nats=0, endpoints=())
    Environment(network="lean", zones=3, cidr="10.0.0.0/20", flow_logs=True)
    assert refusal(lambda: Environment(network="lean", nats=2)).key == "environments.dev.nats"
    error = refusal(lambda: Environment(network="lean", endpoints=("ecr.api",)))
    assert error.key == "environments.dev.endpoints"


def test_without_nat_batch_reaches_what_it_needs_through_endpoints() -> None:
    Environment(nats=0, endpoints=limits.WITHOUT_NAT)
    for each in limits.WITHOUT_NAT:
        others = tuple(other for other in limits.WITHOUT_NAT if other != each)
        error = refusal(lambda others=others: Environment(nats=0, endpoints=others))  # type: ignore[misc]
        assert error.key == "environments.dev.nats"
        assert error.cure == f"write 1, or add to endpoints {each}"


def test_there_are_no_more_nat_gateways_than_zones() -> None:
    assert Environment(zones=3, nats=3).nats == 3
    error = refusal(lambda: Environment(zones=1, nats=2))
    assert str(error) == "environments.dev.nats: 2 is out of bounds; write from 0 to 1"


def test_a_budget_has_somebody_to_alert() -> None:
    Environment(budget_usd=100, alarm_email="ml@example.com")
    assert str(refusal(lambda: Environment(budget_usd=100))) == (
        "environments.dev.budget_usd: a budget has nobody to alert; write alarm_email too"
    )


@pytest.mark.parametrize(
    ("tags", "key"),
    [
        ({"aws:team": "a"}, "tags.aws:team"),
        ({"AWS:team": "a"}, "tags.AWS:team"),
        ({"trainyard:environment": "a"}, "tags.trainyard:environment"),
        ({"Trainyard:Environment": "a"}, "tags.Trainyard:Environment"),
        ({"team": "a", "Team": "b"}, "tags.Team"),
        ({"team": ""}, "tags.team"),
        ({"team": "x" * 257}, "tags.team"),
        ({"team": 3}, "tags.team"),
        ({"team": True}, "tags.team"),
        ({"team": "a\nb"}, "tags.team"),
        ({"team": "a\tb"}, "tags.team"),
        ({"team": "a,b"}, "tags.team"),
        ({"te<am": "a"}, "tags.te<am"),
        ({"": "a"}, "tags"),
        ({"x" * 129: "a"}, "tags"),
        ({3: "a"}, "tags"),
        ({f"t{n}": "a" for n in range(41)}, "tags"),
        ([("team", "a")], "tags"),
        ("team", "tags"),
        (None, "tags"),
    ],
)
def test_tags_that_aws_refuses_are_refused(tags: Any, key: str) -> None:
    error = refusal(lambda: Environment(tags=tags))
    assert error.key == f"environments.dev.{key}"
    assert error.cure or "must be" in error.problem


def test_tags_that_aws_takes_are_taken() -> None:
    Environment(tags={"x" * 128: "y" * 256, "Cost Center": "R&D"[:1], "b.:/=+-@_": "caf\u00e9 1"})
    Environment(tags={f"t{n}": "a" for n in range(40)})


def test_a_section_is_a_section() -> None:
    for key in ("notebook", "batch", "retention"):
        for wrong in ({}, None, 3, "x"):
            error = refusal(lambda key=key, wrong=wrong: Environment(**{key: wrong}))  # type: ignore[misc]
            assert error.key == f"environments.dev.{key}"
            assert "must be a" in error.problem


FILE_WRONGS = [
    ("", 'region = "here"', 2, "region: 'here' is no region; write one such as us-east-1"),
    ("", 'network = "leen"', 2, "network: 'leen' is no network; did you mean 'lean'?"),
    ("", "zones = 9", 2, f"zones: 9 is out of bounds; write from 1 to {limits.ZONES}"),
    ("", 'cidr = "10.0.0.1/16"', 2, "cidr: '10.0.0.1/16' is not how a block is written; write 10.0.0.0/16"),
    ("", 'prefix = "acme-ml"', 2, "prefix: 'acme-ml' is no prefix of names"),
    ("", 'prefix = "aws"', 2, "prefix: 'aws' is kept for AWS; choose another"),
    (
        ".notebook",
        "idle_minutes = 5",
        2,
        "notebook.idle_minutes: 5 is out of bounds; write from 10 to 10080 minutes",
    ),
    (
        ".batch",
        'families = ["c5.xlarge"]',
        2,
        "batch.families: 'c5.xlarge' is too small for a job of 4 vCPUs",
    ),
    (
        ".retention",
        "model_days = 1",
        2,
        "retention.model_days: 1 is out of bounds; write from 270 to 3653 days",
    ),
    (".tags", "'aws:a' = 'b'", 2, "tags.aws:a: 'aws:a' is reserved; begin it otherwise"),
]


@pytest.mark.parametrize(
    ("table", "text", "line", "told"), FILE_WRONGS, ids=[each[1] for each in FILE_WRONGS]
)
def test_from_a_file_the_line_is_told(tmp_path: Path, table: str, text: str, line: int, told: str) -> None:
    path = tmp_path / "job.toml"
    path.write_text(f"[environments.prod{table}]\n{text}\n")
    error = refusal(lambda: load_environment(str(path), "prod"))
    assert str(error).startswith(f"{path}:{line}: environments.prod.{told}")


names = st.from_regex(limits.NAME, fullmatch=True)
prefixes = st.from_regex(limits.PREFIX, fullmatch=True).filter(
    lambda prefix: len(prefix) <= limits.PREFIX_LENGTH and prefix not in limits.TAKEN
)
buckets = st.from_regex(r"[a-w][a-z0-9-]{1,30}[a-z0-9]", fullmatch=True)
tag_words = st.from_regex(r"[a-z0-9 .:/=+\-@_]{1,20}", fullmatch=True)


@st.composite
def environments(draw: st.DrawFn) -> Environment:
    zones = draw(st.integers(1, limits.ZONES))
    lean = draw(st.booleans())
    first = draw(st.sampled_from(["10.0.0.0/8", "192.168.0.0/16", "100.64.0.0/10", "172.18.0.0/16"]))
    around = ipaddress.IPv4Network(first)
    length = draw(st.integers(16, 28 - (2 * zones - 1).bit_length()))
    index = draw(st.integers(0, 2 ** (length - around.prefixlen) - 1))
    start = int(around.network_address) + index * 2 ** (32 - length)
    archive = draw(st.integers(1, 3_563))
    return Environment(
        name=draw(names),
        prefix=draw(prefixes),
        network="lean" if lean else "private",
        cidr=str(ipaddress.IPv4Network((start, length))),
        zones=zones,
        nats=1 if lean else draw(st.integers(1, zones)),
        endpoints=Environment().endpoints
        if lean
        else tuple(draw(st.lists(st.sampled_from(limits.ENDPOINTS), unique=True))),
        flow_logs=draw(st.booleans()),
        read_buckets=tuple(draw(st.lists(buckets, unique=True, max_size=limits.READ_BUCKETS))),
        tags=draw(st.dictionaries(tag_words.map(lambda word: f"x{word}"), tag_words, max_size=9)),
        notebook=Notebook(enabled=draw(st.sampled_from([None, False]))),
        batch=BatchCompute(
            families=tuple(
                draw(st.lists(st.sampled_from(["m5", "r5", "c5.2xlarge"]), min_size=1, unique=True))
            )
        ),
        retention=Retention(
            log_days=draw(st.sampled_from(limits.LOG_DAYS)),
            model_archive_days=archive,
            model_days=draw(st.integers(archive + 90, 3_653)),
        ),
    )


@given(environments())
def test_the_subnets_of_any_environment_fit_into_its_block(made: Environment) -> None:
    block = ipaddress.IPv4Network(made.cidr)
    length = limits.subnet_length(block.prefixlen, made.zones)
    subnets = list(block.subnets(new_prefix=length))[: 2 * made.zones]
    assert len(subnets) == 2 * made.zones
    assert 24 <= length <= 28


@given(environments())
def test_any_environment_comes_back_from_json_and_its_json_is_its_own(made: Environment) -> None:
    text = json.dumps(environment_to_json(made))
    plain = json.loads(text)
    assert plain == environment_to_json(made)
    backwards = dict(reversed(plain["tags"].items()))
    again = Environment(
        **{
            **plain,
            "tags": backwards,
            "notebook": Notebook(**plain["notebook"]),
            "batch": BatchCompute(**plain["batch"]),
            "retention": Retention(**plain["retention"]),
        }
    )
    assert again == made
    assert json.dumps(environment_to_json(again)) == text


@given(environments(), names, prefixes)
def test_no_names_of_an_environment_begin_with_those_of_another(
    made: Environment, name: str, prefix: str
) -> None:
    other = made.replace(name=name, prefix=prefix)
    if made.stack_name != other.stack_name:
        assert not job_name_prefix(made.prefix, made.name).startswith(job_name_prefix(prefix, name))
        mine = {made.stack_name, made.data_stack_name}
        assert not mine & {other.stack_name, other.data_stack_name}


@given(
    environments(), st.sampled_from(["zones", "cidr", "subnets", "tags", "batch", "prefix", "alarm_email"])
)
def test_any_environment_with_nonsense_in_it_is_refused_in_one_line(made: Environment, key: str) -> None:
    error = refusal(lambda: made.replace(**{key: object()}))
    assert error.key == f"environments.{made.name}.{key}"


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_refused_in_one_line(text: str) -> None:
    for key in ("name", "region", "prefix", "network", "vpc", "cidr", "kms_key", "alarm_email"):
        try:
            Environment(**{key: text})
        except BadInput as error:
            assert str(error).isprintable()
            assert error.key.startswith("environments")


def test_a_region_that_lacks_a_part_is_refused_by_name_or_does_without() -> None:
    assert Environment(region="eu-west-1").has_notebook
    assert not Environment(region="me-central-1").has_notebook
    for values, key, problem in (
        ({"region": "cn-north-1"}, "region", "China is not supported"),
        ({"region": "xx-north-1"}, "region", "no Deep Learning Containers in 'xx-north-1'"),
        (
            {"region": "us-gov-east-1", "notebook": Notebook(enabled=True)},
            "notebook.enabled",
            "no notebook instances in us-gov-east-1",
        ),
        (
            {"region": "eu-north-1", "budget_usd": 5, "alarm_email": "a@example.com"},
            "budget_usd",
            "no budgets in eu-north-1",
        ),
    ):
        error = refusal(lambda values=values: Environment(**values))  # type: ignore[misc]
        assert (error.key, problem in error.problem) == (f"environments.dev.{key}", True), error
        assert error.cure


def test_zones_are_counted_or_named() -> None:
    assert Environment().zone_count == 2
    assert Environment(zone_ids=("use1-az6", "use1-az4", "use1-az2")).zone_count == 3
    assert Environment(zone_ids=("eu-west-1c",), region="eu-west-1").zone_count == 1
    for values in (
        {"zone_ids": ("use1-az1", "us-east-1a")},
        {"zone_ids": ("us-east-1a",), "region": "eu-west-1"},
        {"zone_ids": ("use1-az1",), "zones": 3},
        {"zone_ids": ("a", "b")},
        {"zone_ids": ("use1-az1", "use1-az1")},
        {"zone_ids": ("use1-az1",), "nats": 2},
        {"zone_ids": ("use1-az1",), "notebook": Notebook(zone=2)},
    ):
        assert refusal(lambda values=values: Environment(**values)).cure  # type: ignore[misc]
