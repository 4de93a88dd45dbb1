"""What to deploy: an `Environment`, from `[environments.<name>]` of the job file. Pure data.

An environment checks itself when it is made: one that exists can be synthesised, and its template obeys every
limit of AWS that can be known without AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import NOTHING, Record, make_tuples
from .facts import ENVIRONMENT_TAG
from .limits import check_environment
from .regions import WITHOUT_NOTEBOOK

DEFAULT = "dev"
"""The environment where none is named; it needs no table."""
PRIVATE, LEAN, EXISTING = "private", "lean", "existing"

INTERFACE_ENDPOINTS = ("sagemaker.api", "sagemaker.runtime", "ecr.api", "ecr.dkr")
FAMILIES = ("default_x86_64",)


class Notebook(Record):
    """The SageMaker notebook instance: `idle_minutes` without a busy kernel or terminal stop it.

    `enabled` None is true where the notebook could reach the internet, not in `lean`, nor without NAT, and
    where the region has notebooks. `zone` counts the environment's zones, or subnets, from 1.
    """

    enabled: bool | None = None
    instance_type: str = "ml.t3.medium"
    idle_minutes: int = 60
    volume_size_gb: int = 20
    zone: int = 1


class BatchCompute(Record):
    """The machines of AWS Batch, by instance family; `default_x86_64` and `default_arm64` are families that
    Batch chooses for a region. vCPUs are maxima, 0 leaves the environment out.

    `max_vcpus` are on spot, `on_demand_max_vcpus` on demand and second in the queue, where Batch may exceed
    them by one machine; `gpu_max_vcpus` in a queue of their own, on spot unless `gpu_spot` is false.
    `volume_size_gb` is the disk of each machine. `image` is the job definition's, by digest; empty is a
    public one of Python's.
    """

    families: tuple[str, ...] = FAMILIES
    max_vcpus: int = 256
    on_demand_max_vcpus: int = 32
    gpu_families: tuple[str, ...] = ()
    gpu_max_vcpus: int = 64
    gpu_spot: bool = True
    volume_size_gb: int = 100
    image: str = ""

    def __post_init__(self) -> None:
        make_tuples(self)


class Retention(Record):
    """Days until what is old goes. Live objects never go.

    `log_days` are for logs, `noncurrent_days` for what data sets, code and predictions were before;
    noncurrent versions of models are archived after `model_archive_days` and deleted after `model_days`.
    """

    log_days: int = 30
    noncurrent_days: int = 90
    model_archive_days: int = 180
    model_days: int = 365


class Environment(Record):
    """A training platform in an AWS account.

    `region` and `account` empty are those of the credentials; `account` set is a guard. `network` is
    `private` or `lean`; with `vpc` and `subnets` jobs run in a network that is there already. `zones` or
    `zone_ids`, ids or names, `nats` and `endpoints` shape a network of one's own. `read_buckets` are further
    buckets that jobs may read. `kms_key` and `permissions_boundary` are ARNs. The managed policies of those
    who submit jobs are called `policy_name` and `policy_name`-data, or by CloudFormation where that is empty;
    `allowed_instance_types`, which may hold `*`, are those that they may train on, all where it is empty.
    `budget_usd` is a month's, 0 for none; it needs `alarm_email`. Lists become tuples.

    Raises `BadInput` naming the key and the cure.
    """

    name: str = DEFAULT
    region: str = ""
    account: str = ""
    prefix: str = "trainyard"
    network: str = PRIVATE
    vpc: str = ""
    subnets: tuple[str, ...] = ()
    cidr: str = "10.220.0.0/16"
    zones: int = 2
    zone_ids: tuple[str, ...] = ()
    nats: int = 1
    endpoints: tuple[str, ...] = INTERFACE_ENDPOINTS
    flow_logs: bool = False
    encrypt_traffic: bool = False
    kms_key: str = ""
    permissions_boundary: str = ""
    policy_name: str = ""
    policy_path: str = "/"
    allowed_instance_types: tuple[str, ...] = ()
    read_buckets: tuple[str, ...] = ()
    alarm_email: str = ""
    budget_usd: int = 0
    tags: Mapping[str, str] = NOTHING
    notebook: Notebook = Notebook()
    batch: BatchCompute = BatchCompute()
    retention: Retention = Retention()

    def __post_init__(self) -> None:
        make_tuples(self)
        check_environment(self)

    @property
    def stack_name(self) -> str:
        """The stack of what can be thrown away."""
        return f"{self.prefix}-{self.name}"

    @property
    def data_stack_name(self) -> str:
        """The stack of what holds data."""
        return f"{self.stack_name}-data"

    @property
    def profile(self) -> str:
        """`private`, `lean`, or `existing` where the VPC is there already."""
        return EXISTING if self.vpc else self.network

    @property
    def zone_count(self) -> int:
        """In how many zones a network of one's own is."""
        return len(self.zone_ids) or self.zones

    @property
    def has_notebook(self) -> bool:
        """Whether there is a notebook instance."""
        if self.notebook.enabled is None:
            return self.network == PRIVATE and self.nats > 0 and self.region not in WITHOUT_NOTEBOOK
        return self.notebook.enabled


def stack_tags(environment: Environment) -> dict[str, str]:
    """The tags of both stacks, which CloudFormation puts on all that they hold."""
    return {**environment.tags, ENVIRONMENT_TAG: environment.stack_name}


def environment_to_json(environment: Environment) -> dict[str, Any]:
    """A JSON object of all that an environment says, the same for equal environments."""
    return {**environment.as_json(), "tags": dict(sorted(environment.tags.items()))}
