"""Which image a job runs in, and what an image's name tells. Pure.

The default of training is AWS's Deep Learning Container for PyTorch (`releases.py`); its accounts are in
`core/environments/regions.py`.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from ...core.environments.regions import DEEP_LEARNING_CONTAINERS
from ...core.errors import Unsupported
from ...core.jobs.job import TrainingJob
from .releases import DEFAULT

DIGEST = r"sha256:[0-9a-f]{64}"

_ECR = re.compile(
    r"(?P<account>[0-9]{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?P<suffix>[a-z0-9.-]+)/"
    rf"(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>{DIGEST}))?"
)
_WITHOUT_CONTAINER = ("trn", "inf", "p6e-", "p2.", "p3.", "p3dn.")
"""Families that the default image does not run on: those of Trainium, Inferentia and Arm, and of NVIDIA's
Kepler and Volta, which CUDA 13 no longer knows (its release notes)."""


class EcrImage(NamedTuple):
    """An image in a private repository of ECR; `tag` and `digest` are "" where the name has none."""

    account: str
    region: str
    suffix: str
    repository: str
    tag: str
    digest: str


def ecr_image(image: str) -> EcrImage | None:
    """The parts of an image's name, None where it isn't in a private repository of ECR."""
    found = _ECR.fullmatch(image)
    return EcrImage(**found.groupdict(default="")) if found else None


def registry_of(image: str) -> str:
    """The host that an image is pulled from, with its port; "" where the name has none, as on Docker Hub."""
    host, slash, _ = image.partition("/")
    return host if slash and ("." in host or ":" in host) else ""


def digest_of(image: str) -> str:
    """`sha256:…` where an image is named by digest, else ""."""
    found = re.search(rf"@({DIGEST})$", image)
    return found[1] if found else ""


def short_digest(image: str) -> str:
    """12 hexadecimal digits that stand for an image: of its digest, else of its name's."""
    digest = digest_of(image).removeprefix("sha256:") or hashlib.sha256(image.encode()).hexdigest()
    return digest[:12]


def domain(region: str) -> str:
    """What the host names of AWS end with in a region."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def training_image(job: TrainingJob, region: str) -> str:
    """The image of a training job: its own, or the Deep Learning Container for its machines.

    Raises `Unsupported` where it names none, and AWS has none for such machines or in that region.
    """
    if job.image:
        return job.image
    family = job.resources.instance_type.removeprefix("ml.")
    if family.startswith(_WITHOUT_CONTAINER):
        problem = f"{job.resources.instance_type} needs an image of its own: the default is not for it"
        raise Unsupported(problem, key="train.image", cure="name an image for such machines")
    account = DEEP_LEARNING_CONTAINERS.get(region)
    if account is None:
        problem = f"AWS has no Deep Learning Container in {region}, which is the default"
        raise Unsupported(problem, key="train.image", cure="name an image: `trainyard image push` makes one")
    tag = DEFAULT.gpu if family.startswith(("g", "p")) else DEFAULT.cpu
    return f"{account}.dkr.ecr.{region}.{domain(region)}/{DEFAULT.repository}:{tag}"
