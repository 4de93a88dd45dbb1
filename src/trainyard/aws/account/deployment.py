"""What a deployed environment says of itself: the facts that `trainyard deploy` published, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...core.environments.facts import DATA_PARAMETERS, parameter_name
from ...core.errors import BadInput, NotFound
from ...core.record import NOTHING, Record
from ...version import __version__
from . import parallel

if TYPE_CHECKING:
    from .session import Session

SANDBOX = "sandbox"
"""The environment that is no account's, but emulated on this machine."""
LEAN = "lean"
"""The network profile in which training jobs reach S3 and nothing else."""
PARAMETERS_AT_A_TIME = 10
"""GetParameters, Names."""

REQUIRED = {
    "dataset-bucket": "dataset_bucket",
    "model-bucket": "model_bucket",
    "repository-uri": "repository_uri",
    "version": "version",
    "network-profile": "network_profile",
    "job-name-prefix": "prefix",
    "training-role-arn": "training_role_arn",
    "subnet-ids": "subnet_ids",
    "security-group-ids": "security_group_ids",
    "encrypt-traffic": "encrypt_traffic",
    "job-queue-arn": "job_queue_arn",
    "job-definition-arn": "job_definition_arn",
    "batch-job-role-arn": "batch_job_role_arn",
    "batch-execution-role-arn": "batch_execution_role_arn",
    "batch-log-group": "batch_log_group",
}
OPTIONAL = {
    "kms-key-arn": "kms_key_arn",
    "gpu-job-queue-arn": "gpu_job_queue_arn",
    "notebook-name": "notebook_name",
    "tags": "tags",
}
_LISTS = ("subnet-ids", "security-group-ids")


class Deployment(Record):
    """A deployed environment: what jobs need to know of it.

    `stack` is the name of its stack (`trainyard-dev`) and the value of the tag `trainyard:environment`,
    `prefix` how the names of its jobs begin (`trainyard-dev-`), `version` that of the trainyard which
    deployed it, `tags` what each job is tagged with beside. A key, a GPU queue or a notebook that there is
    not is "".
    """

    name: str
    stack: str
    prefix: str
    region: str
    account: str
    version: str
    network_profile: str
    dataset_bucket: str
    model_bucket: str
    repository_uri: str
    kms_key_arn: str = ""
    training_role_arn: str
    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...]
    encrypt_traffic: bool
    job_queue_arn: str
    gpu_job_queue_arn: str = ""
    job_definition_arn: str
    batch_job_role_arn: str
    batch_execution_role_arn: str
    batch_log_group: str
    notebook_name: str = ""
    tags: Mapping[str, str] = NOTHING

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn`, `aws-us-gov`: the second part of every ARN."""
        return self.training_role_arn.split(":")[1]


def read(session: Session, name: str, *, account: str = "") -> Deployment:
    """The deployment of the environment `name` in the session's account and region, by two requests.

    `account` is the one that it has to be in, where that is known. Raises `NotFound` where it is not deployed
    there, `BadInput` where it is deployed by half, by another version, or in another account.
    """
    facts = _facts(session, name)
    if not facts:
        there = f"account {session.account()}, region {session.region}"
        problem = f"the environment {name!r} is not deployed in {there}"
        raise NotFound(problem, cure=f"{_deploy(name)}, or mind AWS_PROFILE, AWS_REGION and `region`")
    found = deployment_of(name, session.region, facts)
    if account and found.account != account:
        problem = f"the environment {name!r} is of account {account}, and these credentials are of"
        raise BadInput(f"{problem} {found.account}", cure="mind AWS_PROFILE")
    return found


def deployment_of(name: str, region: str, facts: Mapping[str, str]) -> Deployment:
    """The deployment that has published `facts`; raises `BadInput` as `read` does."""
    if "version" in facts:
        _check_version(name, facts["version"])
    missing = [fact for fact in REQUIRED if fact not in facts]
    if missing:
        # Its data stack goes first and stays last.
        lacking = "the platform" if facts.keys() <= DATA_PARAMETERS.keys() else _some(missing)
        problem = f"the environment {name!r} is deployed by half: it lacks {lacking}"
        raise BadInput(problem, cure=_deploy(name))
    values: dict[str, Any] = {
        field: facts[fact] for fact, field in {**REQUIRED, **OPTIONAL}.items() if fact in facts
    }
    for fact in _LISTS:
        values[REQUIRED[fact]] = tuple(each for each in facts[fact].split(",") if each)
    values["encrypt_traffic"] = facts["encrypt-traffic"] == "true"
    values["tags"] = json.loads(facts.get("tags", "{}"))
    return Deployment(
        name=name,
        stack=facts["job-name-prefix"].rstrip("-"),
        region=region,
        account=facts["training-role-arn"].split(":")[4],
        **values,
    )


def _facts(session: Session, name: str) -> dict[str, str]:
    names = [parameter_name(name, fact) for fact in (*REQUIRED, *OPTIONAL)]
    parts = [names[at : at + PARAMETERS_AT_A_TIME] for at in range(0, len(names), PARAMETERS_AT_A_TIME)]
    session.client("ssm")
    answers = parallel.each(lambda part: session.call("ssm", "get_parameters", Names=part), parts)
    found = [parameter for answer in answers for parameter in answer["Parameters"]]
    return {each["Name"].rpartition("/")[2]: each["Value"] for each in found}


def _check_version(name: str, deployed: str) -> None:
    # Between patches nothing changes that two sides have to agree on.
    theirs, ours = _release(deployed), _release(__version__)
    if theirs[:2] == ours[:2]:
        return
    problem = f"the environment {name!r} was deployed by trainyard {deployed}, and this is {__version__}"
    if theirs > ours:
        raise BadInput(problem, cure="update this one: `pip install --upgrade trainyard`")
    raise BadInput(problem, cure=f"update the environment: {_deploy(name)}")


def _release(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.split(".")[:3]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        numbers.append(int(digits or 0))
    return tuple(numbers)


def _deploy(name: str) -> str:
    if name == SANDBOX:
        return "run `trainyard sandbox stop`, then `trainyard sandbox start`"
    return f"run `trainyard deploy {name}`"


def _some(missing: Sequence[str]) -> str:
    shown = ", ".join(missing[:3])
    return shown if len(missing) <= 3 else f"{shown} and {len(missing) - 3} more facts"
