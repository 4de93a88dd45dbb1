"""Which instance types SageMaker trains on: the enum TrainingInstanceType of botocore 1.44, folded by family.

New ones appear every few months, so a type that isn't here is a warning and no error.
"""

from __future__ import annotations

import re

from ..errors import nearest

FAMILIES = {
    "c4": "xlarge 2xlarge 4xlarge 8xlarge",
    "c5": "xlarge 2xlarge 4xlarge 9xlarge 18xlarge",
    "c5n": "xlarge 2xlarge 4xlarge 9xlarge 18xlarge",
    "c6i": "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge",
    "c7i": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge",
    "c7i-flex": "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
    "c8i": "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge 96xlarge",
    "c8i-flex": "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
    "g4dn": "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
    "g5": "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge",
    "g6": "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge",
    "g6e": "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge",
    "g7": "2xlarge 4xlarge 8xlarge 12xlarge 24xlarge 48xlarge",
    "g7e": "2xlarge 4xlarge 8xlarge 12xlarge 24xlarge 48xlarge",
    "m4": "xlarge 2xlarge 4xlarge 10xlarge 16xlarge",
    "m5": "large xlarge 2xlarge 4xlarge 12xlarge 24xlarge",
    "m6i": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge",
    "m7i": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge",
    "m7i-flex": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
    "m8i": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge 96xlarge",
    "m8i-flex": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
    "p2": "xlarge 8xlarge 16xlarge",
    "p3": "2xlarge 8xlarge 16xlarge",
    "p3dn": "24xlarge",
    "p4d": "24xlarge",
    "p4de": "24xlarge",
    "p5": "4xlarge 48xlarge",
    "p5e": "48xlarge",
    "p5en": "48xlarge",
    "p6-b200": "48xlarge",
    "p6-b300": "48xlarge",
    "p6e-gb200": "36xlarge",
    "r5": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge",
    "r5d": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge",
    "r6i": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge",
    "r7i": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge",
    "r8i": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge 96xlarge",
    "r8i-flex": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
    "t3": "medium large xlarge 2xlarge",
    "trn1": "2xlarge 32xlarge",
    "trn1n": "32xlarge",
    "trn2": "48xlarge",
}

WITH_LOCAL_DISK = ("g5", "g6", "g7", "p5", "p6", "trn")
"""How the families begin whose machines have disks of their own though no `d` says so (EC2, "Instance store
volumes"): SageMaker makes no volume for them, and refuses a key for one (ResourceConfig.VolumeKmsKeyId)."""


def instance_types() -> list[str]:
    """Every type known here, as SageMaker writes it: `ml.m5.xlarge`."""
    return [f"ml.{family}.{size}" for family, sizes in FAMILIES.items() for size in sizes.split()]


def warning(instance_type: str) -> str:
    """One line for a type that isn't known here, with the nearest that is; "" for a known one."""
    family, size = instance_type.removeprefix("ml.").rsplit(".", 1)
    if size in FAMILIES.get(family, "").split():
        return ""
    cure = nearest(instance_type, instance_types())
    return f"train.resources.instance_type: {instance_type!r} is not known to train on SageMaker; {cure}"


def local_disk_patterns() -> list[str]:
    """`has_local_disk` in patterns of IAM's, where `?` is any character and `*` any of them."""
    return [*(f"ml.{start}*" for start in WITH_LOCAL_DISK), "ml.??d*", "ml.???d*"]


def has_local_disk(instance_type: str) -> bool:
    """Whether a machine has disks of its own."""
    family = instance_type.removeprefix("ml.").rsplit(".", 1)[0]
    return (
        family.startswith(WITH_LOCAL_DISK) or re.fullmatch(r"[a-z]+[0-9]+[a-z]*d[a-z]*", family) is not None
    )
