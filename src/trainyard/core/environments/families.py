"""Which EC2 instance families and types AWS Batch can run the platform's jobs on, as far as names tell.

Sources: EC2's DescribeInstanceTypes, and botocore's documentation of Batch's ComputeResource.instanceTypes
(bundles, one architecture in a compute environment) and Ec2Configuration.imageType (what Amazon Linux 2023
runs on). Which of them a region has, EC2 says when an environment is deployed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..checks import check_list, formed, show
from ..errors import BadInput

MOST = 8
"""Trainyard's own."""
X86, ARM = "default_x86_64", "default_arm64"
"""Batch's own choice of families, which it renews, and which every region has."""
OLDER = ("ap-southeast-3", "ap-southeast-4", "eu-south-2")
"""Regions without all sizes of m6i and r6i; they have those of m5 and r5, which newer regions lack (EC2's
price list, as cfn-lint 1.58 has it)."""
_SIZES = ("xlarge", "2xlarge", "4xlarge", "8xlarge")
WITHOUT_GPU_IMAGE = ("g2", "g3", "g3s", "g4ad", "p2", "p3", "p3dn")
"""Families with GPUs that ECS_AL2023_NVIDIA doesn't drive: too old, or AMD's."""

# Kinds of machines ("Amazon EC2 instance type naming conventions") but `mac`, which Batch has none of, and a
# generation; the oldest, such as t1 and m2, run no Amazon Linux 2023.
_KIND = r"(?:[cmr][3-9]|t[2-9]|[di]2|[cmrtdi][1-9][0-9]|g[2-9]|[fhpxz][1-9]|d[3-9]|i[3-9]|a1|"
_KIND += r"dl[1-9]|gr[1-9]|hpc[1-9]|im[1-9]|inf[1-9]|is[1-9]|trn[1-9]|vt[1-9]|u-[1-9]|u7)"
_FORM = rf"{_KIND}[a-z0-9]*(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)?"
_ARM = r"[a-z]+[0-9]+g[a-z]*|p6e-gb[0-9]+"
_GPU = r"(?:g|gr|p)[0-9].*"
# Less than 4 vCPUs, or no more than 8 GiB, of which a part is the system's.
_TOO_SMALL = r".*\.(?:nano|micro|small|medium|large)|(?:c(?!5n)[0-9].*|g5g|inf1)\.xlarge"


def check_families(families: Any, key: str) -> None:
    """Refuse what is no tuple of families and types that a job of 4 vCPUs and 8,192 MiB fits on."""
    cure = f"write one such as m6i or m6i.xlarge, or {X86} alone"
    check_list(families, key, MOST, formed(f"{_FORM}|{X86}|{ARM}", "instance family or type", cure))
    if len(families) > 1 and (bundles := [item for item in families if item in (X86, ARM)]):
        problem = f"{show(bundles[0])} is a choice of Batch's own"
        raise BadInput(problem, key=key, cure="write it alone, or families alone")
    for item in families:
        if re.fullmatch(_TOO_SMALL, item):
            cure = "name a larger one, or the family and let Batch choose"
            raise BadInput(
                f"{show(item)} is too small for a job of 4 vCPUs and 8,192 MiB", key=key, cure=cure
            )
        if _family(item) == "a1":
            raise BadInput(f"{show(item)} can't run Amazon Linux 2023", key=key, cure="name one such as m7g")
    if len({_is_arm(item) for item in families}) > 1:
        cure = "name families of one architecture"
        raise BadInput("mixes Arm and x86 machines, which Batch refuses", key=key, cure=cure)


def check_gpu_families(families: Any, key: str) -> None:
    """As `check_families`, and refuse what has no GPU that Amazon's image for them drives."""
    check_families(families, key)
    cure = "name some such as g5 or g6"
    for item in families:
        if not re.fullmatch(_GPU, item):
            raise BadInput(f"{show(item)} has no NVIDIA GPU", key=key, cure=cure)
        if _is_arm(item) or _family(item) in WITHOUT_GPU_IMAGE:
            problem = f"{show(item)} has no GPU image of Amazon Linux 2023"
            raise BadInput(problem, key=key, cure=cure)


def at_full_price(families: Sequence[str], *, older: bool) -> tuple[str, ...]:
    """The instance types of machines on demand: for a choice of Batch's own, sizes of up to 32 vCPUs, so that
    no maximum is exceeded by more; `older` in the regions that `OLDER` names. Others stay as they are.
    """
    if tuple(families) == (ARM,):
        generation = ("m6g", "r6g")
    elif tuple(families) == (X86,):
        generation = ("m5", "r5") if older else ("m6i", "r6i")
    else:
        return tuple(families)
    return tuple(f"{family}.{size}" for family in generation for size in _SIZES)


def _is_arm(item: str) -> bool:
    return re.fullmatch(_ARM, _family(item)) is not None


def _family(item: str) -> str:
    return item.partition(".")[0]
