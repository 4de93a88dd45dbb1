"""The regions that an environment can be in: the accounts that AWS's Deep Learning Containers come from
there, and what CloudFormation lacks there.

Sources: AWS's table of regions of these containers, of 2026-08-21; for GovCloud the SageMaker Python SDK
2.257 (`image_uri_config/pytorch.json`); CloudFormation's schemas by region, as cfn-lint 1.58 has them.
"""

from __future__ import annotations

from typing import Any

from ..checks import show
from ..errors import BadInput

_USUAL = "763104351884"
_USUAL_REGIONS = (
    "ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1 eu-central-1 "
    "eu-north-1 eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2"
)
_OTHERS = {
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-east-2": "975050140332",
    "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452",
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ap-southeast-6": "633930458069",
    "ap-southeast-7": "590183813437",
    "ca-west-1": "204538143572",
    "eu-central-2": "380420809688",
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "mx-central-1": "637423239942",
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
}

DEEP_LEARNING_CONTAINERS = {**dict.fromkeys(_USUAL_REGIONS.split(), _USUAL), **_OTHERS}
"""Region -> account. A region that is not here has none, and an environment can't be deployed there."""
WITHOUT_NOTEBOOK = ("me-central-1", "us-gov-east-1")
"""Where CloudFormation knows no notebook instance."""
WITHOUT_BUDGET = (
    *("af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-3", "ap-south-2", "ap-southeast-3"),
    *("ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-west-1", "eu-central-2"),
    *("eu-north-1", "eu-south-1", "eu-south-2", "il-central-1", "me-central-1"),
    *("mx-central-1", "us-gov-east-1", "us-gov-west-1"),
)
"""Where CloudFormation knows no budget."""


def check_region(environment: Any, base: str) -> None:
    """Refuse a region that an environment can't be in, and what it asks for that its region lacks."""
    region, key = environment.region, f"{base}.region"
    if region.startswith("cn-"):
        problem = "China is not supported: its endpoints are other ones, and AWS's images are elsewhere"
        raise BadInput(f"{show(region)}: {problem}", key=key, cure="deploy to another region")
    if region and region not in DEEP_LEARNING_CONTAINERS:
        problem = f"AWS publishes no Deep Learning Containers in {show(region)}"
        raise BadInput(problem, key=key, cure="deploy to another region")
    if environment.notebook.enabled and region in WITHOUT_NOTEBOOK:
        problem = f"CloudFormation has no notebook instances in {region}"
        raise BadInput(problem, key=f"{base}.notebook.enabled", cure="leave it out")
    if environment.budget_usd and region in WITHOUT_BUDGET:
        problem = f"CloudFormation has no budgets in {region}"
        cure = "leave it out: it is the account's, and an environment in another region can have it"
        raise BadInput(problem, key=f"{base}.budget_usd", cure=cure)
