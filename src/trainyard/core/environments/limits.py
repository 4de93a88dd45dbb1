"""Every limit of AWS on an environment that can be known without AWS, checked when an environment is made.

Sources: CloudFormation's resource schemas (patterns and ranges of EC2, S3, Batch, SageMaker, Logs, SNS and
Budgets resources) and the VPC user guide (a VPC is /16 to /28, a subnet as small as /28). A limit that is
trainyard's own says why. `families` has those of Batch's machines.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Any

from ..checks import (
    check_boolean,
    check_form,
    check_integer,
    check_list,
    check_section,
    check_table,
    check_text,
    entry,
    formed,
    show,
)
from ..errors import BadInput, nearest
from .families import check_families, check_gpu_families
from .regions import check_region

NAME_LENGTH = 12
"""Trainyard's own, as PREFIX_LENGTH."""
NAME = rf"[a-z][a-z0-9]{{0,{NAME_LENGTH - 1}}}"
"""Of an environment. No hyphen, so that no environment's names begin with another's."""
PREFIX = r"[a-z][a-z0-9]*"
"""No hyphen either: policies go by `<prefix>-<name>-`, and one environment's must not cover another's."""
PREFIX_LENGTH = 16
"""Trainyard's own: what SageMaker's 63 characters for a job's name can spare."""
EMAIL_LENGTH = 100
"""Trainyard's own; some mail systems take more, none that we know needs it."""
READ_BUCKETS = 10
"""Trainyard's own: what a role's inline policies (10,240 characters) can surely take."""
INSTANCE_TYPES = 10
"""Trainyard's own: what a managed policy's 6,144 characters can surely take."""
ZONES = 3
"""Trainyard's own; most regions have three."""
SUBNETS = 16
"""VpcConfig.Subnets of SageMaker."""
DOCKER = "172.17.0.0/16"
"""The bridge of every Docker daemon: from inside a container addresses in it are not the VPC's."""
PARAMETER_LENGTH = 4_096
"""A value in SSM's Parameter Store, of the standard tier."""
TAGS = 40
"""A resource has 50; some are kept for CloudFormation's and trainyard's."""
VOLUME_SIZE = 16_384
"""GB, of a gp3 volume and of a notebook's."""
LOG_DAYS = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
"""RetentionInDays of AWS::Logs::LogGroup."""
DAYS = 3_653
"""Trainyard's own: ten years, as long as CloudWatch Logs keeps anything."""
ARCHIVED_DAYS = 90
"""That S3 Glacier Flexible Retrieval bills for at the least, however soon an object is deleted."""
ENDPOINTS = (
    "sagemaker.api",
    "sagemaker.runtime",
    "ecr.api",
    "ecr.dkr",
    "batch",
    "ecs",
    "ecs-agent",
    "ecs-telemetry",
    "logs",
    "monitoring",
    "secretsmanager",
    "ssm",
    "sts",
)
"""Services whose interface endpoints a network can have, by the end of their endpoint service's name."""
WITHOUT_NAT = ("ecs", "ecs-agent", "ecs-telemetry", "ecr.api", "ecr.dkr", "logs")
"""What Batch's machines must reach; "Amazon ECS interface VPC endpoints", ECS developer guide."""
RESERVED = ("local", "sandbox")
"""Yards that are no environments."""

_REGION = r"[a-z]{2,4}(?:-[a-z]+){1,2}-[0-9]{1,2}"
_ACCOUNT = r"[0-9]{12}"
_VPC, _SUBNET = r"vpc-(?:[0-9a-f]{8}|[0-9a-f]{17})", r"subnet-(?:[0-9a-f]{8}|[0-9a-f]{17})"
_KEY_ID = r"mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_KEY = rf"arn:aws[a-z-]*:kms:{_REGION}:{_ACCOUNT}:key/(?:{_KEY_ID})"
_POLICY = rf"arn:aws[a-z-]*:iam::(?:{_ACCOUNT}|aws):policy/(?:[\w+=,.@-]+/)*[\w+=,.@-]+"
_BUCKET = r"(?!xn--|[0-9.]+\Z)[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9]"
_EMAIL = r"[\w.!#$%&*+/=?^{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z][A-Za-z0-9-]{1,62}"
_TAG = r"[\w .:/=+\-@]*"
_PINNED = r"[a-z0-9][a-zA-Z0-9._:/-]{0,180}@sha256:[0-9a-f]{64}"
_ZONE_NAME = rf"{_REGION}[a-k]"
_ZONE = rf"{_ZONE_NAME}|[a-z]{{2,6}}[0-9]{{1,2}}-az[0-9]{{1,2}}"
_NOTEBOOK = r"ml\.[a-z0-9]+(?:-[a-z0-9]+)*\.[a-z0-9]+"
_TRAINS_ON = r"ml\.(?:\*|[a-z0-9*-]+\.[a-z0-9*]+)"
TAKEN = ("aws", "amzn", "sthree")
"""Prefixes of names that AWS keeps for itself."""
_ADDRESSES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")


def check_environment(environment: Any) -> None:
    """Raise `BadInput` for the first field of an `Environment` that can't be deployed."""
    base = entry("environments", environment.name)
    _check_names(environment, base)
    _check_network(environment, base)
    _check_options(environment, base)
    _check_tags(environment.tags, f"{base}.tags")
    _check_notebook(environment, f"{base}.notebook")
    _check_batch(environment.batch, f"{base}.batch")
    _check_retention(environment.retention, f"{base}.retention")
    check_region(environment, base)


def _check_names(environment: Any, base: str) -> None:
    name, prefix = environment.name, environment.prefix
    cure = f"use 1 to {NAME_LENGTH} lower-case letters and digits, a letter first"
    check_form(name, base, NAME, "name of an environment", cure)
    key = f"{base}.prefix"
    cure = f"use at most {PREFIX_LENGTH} lower-case letters and digits, a letter first"
    check_form(prefix, key, PREFIX, "prefix of names", cure)
    if len(prefix) > PREFIX_LENGTH:
        raise BadInput(f"is {len(prefix)} characters long", key=key, cure=f"use at most {PREFIX_LENGTH}")
    if prefix in TAKEN:
        raise BadInput(f"{show(prefix)} is kept for AWS", key=key, cure="choose another")
    check_form(
        environment.region, f"{base}.region", f"(?:{_REGION})?", "region", "write one such as us-east-1"
    )
    cure = "write its 12 digits, between quotation marks"
    check_form(environment.account, f"{base}.account", f"(?:{_ACCOUNT})?", "account", cure)


def _check_network(environment: Any, base: str) -> None:
    key = f"{base}.network"
    check_text(environment.network, key, 1, 64, cure="write private or lean")
    if environment.network not in ("private", "lean"):
        cure = nearest(environment.network, ["private", "lean"])
        raise BadInput(f"{show(environment.network)} is no network", key=key, cure=cure)
    check_integer(environment.zones, f"{base}.zones", 1, ZONES)
    _check_zone_ids(environment, f"{base}.zone_ids")
    check_integer(environment.nats, f"{base}.nats", 0, environment.zone_count)
    _check_endpoints(environment.endpoints, f"{base}.endpoints")
    check_boolean(environment.flow_logs, f"{base}.flow_logs")
    check_boolean(environment.encrypt_traffic, f"{base}.encrypt_traffic")
    _check_cidr(environment, f"{base}.cidr")
    _check_existing(environment, base)
    if environment.profile == "lean":
        _refuse_other_than_default(environment, base, ("nats", "endpoints"), "lean has none")
    missing = [each for each in WITHOUT_NAT if each not in environment.endpoints]
    if environment.profile == "private" and not environment.nats and missing:
        raise BadInput(
            "without a NAT gateway the machines of AWS Batch need more endpoints",
            key=f"{base}.nats",
            cure=f"write 1, or add to endpoints {', '.join(missing)}",
        )


def _check_zone_ids(environment: Any, key: str) -> None:
    ids, region = environment.zone_ids, environment.region
    cure = "write ids such as use1-az1, or names such as us-east-1a"
    check_list(ids, key, ZONES, formed(_ZONE, "zone", cure))
    named = [each for each in ids if re.fullmatch(_ZONE_NAME, each)]
    if named and len(named) < len(ids):
        raise BadInput("mixes ids and names", key=key, cure="write one or the other")
    if region and (wrong := [each for each in named if each[:-1] != region]):
        raise BadInput(f"{show(wrong[0])} is not in {region}", key=key, cure="name one that is")
    if ids and environment.zones not in (len(ids), environment._field_defaults["zones"]):
        problem = f"names {len(ids)} zones, and `zones` is {environment.zones}"
        raise BadInput(problem, key=key, cure="leave `zones` out")


def _check_existing(environment: Any, base: str) -> None:
    cure = "write its id, such as vpc-0123456789abcdef0"
    check_form(environment.vpc, f"{base}.vpc", f"(?:{_VPC})?", "VPC", cure)
    check = formed(_SUBNET, "subnet", "write its id, such as subnet-0123456789abcdef0")
    check_list(environment.subnets, f"{base}.subnets", SUBNETS, check)
    if bool(environment.vpc) != bool(environment.subnets):
        lacking = "subnets" if environment.vpc else "vpc"
        raise BadInput("is missing", key=f"{base}.{lacking}", cure="vpc and subnets go together")
    if not environment.vpc:
        return
    if environment.network == "lean":
        cure = "leave network out: an existing VPC has its own"
        raise BadInput("lean makes a network of its own", key=f"{base}.network", cure=cure)
    shapes = ("cidr", "zones", "zone_ids", "nats", "endpoints", "flow_logs")
    _refuse_other_than_default(environment, base, shapes, "shapes a network of its own")


def _refuse_other_than_default(environment: Any, base: str, keys: tuple[str, ...], why: str) -> None:
    # What would have no effect is refused, but for saying so: none.
    for key in keys:
        value = getattr(environment, key)
        if value and value != environment._field_defaults[key]:
            raise BadInput(why, key=f"{base}.{key}", cure="leave it out, or have a private network made")


def _check_endpoints(endpoints: Any, key: str) -> None:
    def check(item: Any, key: str) -> None:
        check_text(item, key, 1, 64, cure="leave it out")
        if item not in ENDPOINTS:
            raise BadInput(
                f"{show(item)} is no endpoint known here", key=key, cure=nearest(item, list(ENDPOINTS))
            )

    check_list(endpoints, key, len(ENDPOINTS), check)


def _check_cidr(environment: Any, key: str) -> None:
    cidr, cure = environment.cidr, "write a block such as 10.220.0.0/16"
    check_text(cidr, key, 1, 18, cure=cure)
    try:
        block = ipaddress.IPv4Network(cidr, strict=False)
    except ValueError:
        raise BadInput(f"{show(cidr)} is no block of addresses", key=key, cure=cure) from None
    if str(block) != cidr:
        # Bits behind the prefix, or a mask in another form.
        raise BadInput(f"{show(cidr)} is not how a block is written", key=key, cure=f"write {block}")
    if not 16 <= block.prefixlen <= 28:
        raise BadInput(f"{show(cidr)} is no size of a VPC", key=key, cure="write /16 to /28")
    if not any(block.subnet_of(ipaddress.IPv4Network(each)) for each in _ADDRESSES):
        cure = f"use a part of {', '.join(_ADDRESSES)}"
        raise BadInput(f"{show(cidr)} is not private", key=key, cure=cure)
    if block.overlaps(ipaddress.IPv4Network(DOCKER)):
        problem = f"{show(cidr)} overlaps Docker's own network on notebooks and Batch's machines, {DOCKER}"
        raise BadInput(problem, key=key, cure="write another block")
    if subnet_length(block.prefixlen, environment.zone_count) > 28:
        cure = f"use a larger one, or fewer zones than {environment.zone_count}"
        raise BadInput(f"{show(cidr)} has no room for the subnets", key=key, cure=cure)


def subnet_length(length: int, zones: int) -> int:
    """The prefix length of each of a VPC's subnets, two a zone: 24, or longer where the VPC's asks it."""
    return max(24, length + (2 * zones - 1).bit_length())


def _check_options(environment: Any, base: str) -> None:
    _check_arns(environment, base)
    check = formed(_BUCKET, "bucket", "write its name, 3 to 63 lower-case letters, digits, dots and hyphens")
    check_list(environment.read_buckets, f"{base}.read_buckets", READ_BUCKETS, check)
    cure = "use 1 to 123 letters, digits and + = , . @ _ -"  # of IAM's 128, that "-data" has room
    check_form(environment.policy_name, f"{base}.policy_name", r"[\w+=,.@-]{0,123}", "name of a policy", cure)
    cure = "write one such as /teams/ml/, a slash at both ends"
    check_form(environment.policy_path, f"{base}.policy_path", r"/(?:[\w+=,.@-]+/)*", "IAM path", cure)
    check_text(environment.policy_path, f"{base}.policy_path", 1, 512)
    check = formed(_TRAINS_ON, "instance type", "write one such as ml.g5.xlarge or ml.g5.*")
    types = f"{base}.allowed_instance_types"
    check_list(environment.allowed_instance_types, types, INSTANCE_TYPES, check)
    cure = "write an address such as ml@example.com"
    check_text(environment.alarm_email, f"{base}.alarm_email", 0, EMAIL_LENGTH)
    check_form(environment.alarm_email, f"{base}.alarm_email", f"(?:{_EMAIL})?", "e-mail address", cure)
    check_integer(environment.budget_usd, f"{base}.budget_usd", 0, unit="USD a month")
    if environment.budget_usd and not environment.alarm_email:
        raise BadInput("a budget has nobody to alert", key=f"{base}.budget_usd", cure="write alarm_email too")


def _check_arns(environment: Any, base: str) -> None:
    key, boundary = environment.kms_key, environment.permissions_boundary
    cure = "write the key's ARN, arn:aws:kms:region:account:key/id (no alias)"
    check_form(key, f"{base}.kms_key", f"(?:{_KEY})?", "KMS key", cure)
    if key and environment.region not in ("", key.split(":")[3]):
        cure = f"write one of {environment.region}"
        raise BadInput(f"is a key of {key.split(':')[3]}", key=f"{base}.kms_key", cure=cure)
    cure = "write its ARN, arn:aws:iam::account:policy/name"
    check_form(boundary, f"{base}.permissions_boundary", f"(?:{_POLICY})?", "managed policy", cure)
    if boundary and environment.account and boundary.split(":")[4] not in ("aws", environment.account):
        problem, cure = "is a policy of another account", f"write one of {environment.account}"
        raise BadInput(problem, key=f"{base}.permissions_boundary", cure=cure)


def _check_tags(tags: Any, key: str) -> None:
    check_table(tags, key, TAGS, "tags")
    seen: set[str] = set()
    for name, value in tags.items():
        check_text(name, key, 1, 128, cure="give the tag a name")
        place = entry(key, name)
        # CloudFormation takes no empty value of a stack's tag.
        check_text(value, place, 1, 256, cure="give it a value")
        folded = name.lower()
        if folded.startswith(("aws:", "trainyard:")):
            raise BadInput(f"{show(name)} is reserved", key=place, cure="begin it otherwise")
        for text in (name, value):
            if not re.fullmatch(_TAG, text):
                cure = "use letters, digits, spaces and . : / = + - @ _"
                raise BadInput(f"{show(text)} is no text of a tag", key=place, cure=cure)
        if folded in seen:
            # IAM's tags have no case.
            raise BadInput(f"{show(name)} stands twice, but for its case", key=place, cure="leave one out")
        seen.add(folded)
    if len(tags_text(tags)) > PARAMETER_LENGTH:
        problem = f"are together longer than the {PARAMETER_LENGTH:,} characters of a parameter"
        raise BadInput(problem, key=key, cure="leave some out, or write shorter ones")


def tags_text(tags: Mapping[str, str]) -> str:
    """The tags as their parameter has them."""
    return json.dumps(dict(sorted(tags.items())), ensure_ascii=False, separators=(",", ":"))


def _check_notebook(environment: Any, key: str) -> None:
    notebook = environment.notebook
    names = ("enabled", "instance_type", "idle_minutes", "volume_size_gb", "zone")
    check_section(notebook, key, "Notebook", names)
    if notebook.enabled is not None:
        check_boolean(notebook.enabled, f"{key}.enabled")
    if notebook.enabled and (environment.network == "lean" or not environment.nats):
        cure = 'leave it out, or use network = "private" with a NAT gateway'
        problem = "without NAT it could reach neither its examples nor PyPI"
        raise BadInput(problem, key=f"{key}.enabled", cure=cure)
    cure = "write one such as ml.t3.medium"
    check_form(notebook.instance_type, f"{key}.instance_type", _NOTEBOOK, "notebook instance type", cure)
    check_integer(notebook.idle_minutes, f"{key}.idle_minutes", 10, 10_080, unit="minutes")
    check_integer(notebook.volume_size_gb, f"{key}.volume_size_gb", 5, VOLUME_SIZE, unit="GB")
    check_integer(notebook.zone, f"{key}.zone", 1, len(environment.subnets) or environment.zone_count)


def _check_batch(batch: Any, key: str) -> None:
    maxima = ("max_vcpus", "on_demand_max_vcpus")
    names = ("families", *maxima, "gpu_families", "gpu_max_vcpus", "gpu_spot", "volume_size_gb", "image")
    check_section(batch, key, "BatchCompute", names)
    for name in maxima:
        value = getattr(batch, name)
        check_integer(value, f"{key}.{name}", 0, unit="vCPUs")
        if 0 < value < 4:
            cure = "write 4 or more, or 0 to do without"
            raise BadInput(f"{value} is too few for a job of 4 vCPUs", key=f"{key}.{name}", cure=cure)
    if not batch.max_vcpus and not batch.on_demand_max_vcpus:
        raise BadInput(
            "leaves Batch no machines", key=f"{key}.max_vcpus", cure="write a maximum of 4 or more"
        )
    check_families(batch.families, f"{key}.families")
    if not batch.families:
        raise BadInput("is empty", key=f"{key}.families", cure="name one such as m6i")
    check_gpu_families(batch.gpu_families, f"{key}.gpu_families")
    check_integer(batch.gpu_max_vcpus, f"{key}.gpu_max_vcpus", 4, unit="vCPUs")
    check_boolean(batch.gpu_spot, f"{key}.gpu_spot")
    # 30 GB is the size of the snapshot of Amazon's ECS-optimized image.
    check_integer(batch.volume_size_gb, f"{key}.volume_size_gb", 30, VOLUME_SIZE, unit="GB")
    cure = "write registry/repository@sha256:… with its digest"
    check_form(batch.image, f"{key}.image", f"(?:{_PINNED})?", "image that stays the same", cure)


def _check_retention(retention: Any, key: str) -> None:
    names = ("log_days", "noncurrent_days", "model_archive_days", "model_days")
    check_section(retention, key, "Retention", names)
    check_integer(retention.log_days, f"{key}.log_days", 1, DAYS, unit="days")
    if retention.log_days not in LOG_DAYS:
        near = min(LOG_DAYS, key=lambda days: abs(days - retention.log_days))
        problem = f"{retention.log_days} is no retention of CloudWatch Logs"
        raise BadInput(problem, key=f"{key}.log_days", cure=f"try {near}")
    check_integer(retention.noncurrent_days, f"{key}.noncurrent_days", 1, DAYS, unit="days")
    archive = f"{key}.model_archive_days"
    check_integer(retention.model_archive_days, archive, 1, DAYS - ARCHIVED_DAYS, unit="days")
    least = retention.model_archive_days + ARCHIVED_DAYS
    unit = f"days ({ARCHIVED_DAYS} after model_archive_days)"
    check_integer(retention.model_days, f"{key}.model_days", least, DAYS, unit=unit)
