"""Which EC2 instance families and types AWS Batch can run the platform's jobs on, as far as names tell.

Sources: EC2's DescribeInstanceTypes, and botocore's documentation of Batch's ComputeResource.instanceTypes
(one architecture in a compute environment) and Ec2Configuration.imageType (what Amazon Linux 2023 runs on).
"""

from __future__ import annotations

import re
from typing import Any

from ..checks import check_list, formed, show
from ..errors import BadInput

MOST = 8
"""Trainyard's own: what the template's 51,200 bytes can take."""
WITHOUT_GPU_IMAGE = ("g2", "g3", "g3s", "g4ad", "p2", "p3", "p3dn")
"""Families with GPUs that ECS_AL2023_NVIDIA doesn't drive: too old, or AMD's."""

# A digit, so that "optimal", which lets Batch choose other families each year, is none.
_FORM = r"(?=[^.]*[0-9])[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)?"
_ARM = r"[a-z]+[0-9]+g[a-z]*|p6e-gb[0-9]+"
_GPU = r"(?:g|gr|p)[0-9].*"
# Less than 4 vCPUs, or no more than 8 GiB, of which a part is the system's.
_TOO_SMALL = r".*\.(?:nano|micro|small|medium|large)|(?:c(?!5n)[0-9].*|g5g|inf1)\.xlarge"


def check_families(families: Any, key: str) -> None:
    """Refuse what is no tuple of families and types that a job of 4 vCPUs and 8,192 MiB fits on."""
    cure = "write one such as m6i or m6i.xlarge"
    check_list(families, key, MOST, formed(_FORM, "instance family or type", cure))
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


def _is_arm(item: str) -> bool:
    return re.fullmatch(_ARM, _family(item)) is not None


def _family(item: str) -> str:
    return item.partition(".")[0]
