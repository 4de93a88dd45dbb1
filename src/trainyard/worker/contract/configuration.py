"""What a training job is to one of its hosts, and SageMaker's configuration files made of it.

The shapes are those of `/opt/ml/input/config` in a real container: the SageMaker developer guide's
"How Amazon SageMaker Provides Training Information", with the instance groups that came later.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Mapping, NamedTuple, Sequence

# What SageMaker calls the group of a cluster whose instances are all of one type.
INSTANCE_GROUP = "homogeneousCluster"

_NOTHING: Mapping[str, str] = MappingProxyType({})


class TrainingSpec(NamedTuple):
    """One host of a training job. Pure data; `spec._replace(current_host="algo-2")` is its neighbour."""

    job_name: str
    entry_script: str  # relative to the code folder
    hosts: tuple[str, ...] = ("algo-1",)
    current_host: str = "algo-1"
    hyperparameters: Mapping[str, str] = _NOTHING  # the strings on the wire: see encode_hyperparameter
    channels: tuple[str, ...] = ()  # names
    user_environment: Mapping[str, str] = _NOTHING  # [train.environment]
    instance_type: str = "local"
    network_interface: str = "eth0"  # "lo" for hosts on one machine
    master_addr: str = ""  # "": the first host's name
    master_port: int = 7777  # SageMaker's own choice for torchrun
    num_cpus: int | None = None  # None: counted
    num_gpus: int | None = None  # None: count_gpus of this process and user_environment
    job_arn: str = ""  # "": none, as for a job that runs in no account
    channel_settings: Mapping[str, Mapping[str, Any]] = MappingProxyType({})  # as SageMaker told them
    topology: Sequence[Any] = ()  # of an UltraServer, as SageMaker told it


def sorted_hosts(spec: TrainingSpec) -> list[str]:
    """All hosts in the order the script sees them: sorted as text, as SageMaker promises.

    Raises ValueError when the current host is not one of them or one is named twice.
    """
    hosts = sorted(spec.hosts)
    if spec.current_host not in hosts:
        raise ValueError(f"current_host {spec.current_host!r}: not one of the hosts {', '.join(hosts)}")
    if len(set(hosts)) < len(hosts):
        raise ValueError(f"hosts {', '.join(hosts)}: one is named twice; give each a name of its own")
    return hosts


def instance_groups(spec: TrainingSpec) -> list[dict[str, Any]]:
    """The instance groups of resourceconfig.json: one, with every host."""
    return [
        {
            "instance_group_name": INSTANCE_GROUP,
            "instance_type": spec.instance_type,
            "hosts": sorted_hosts(spec),
        }
    ]


def resource_config(spec: TrainingSpec) -> dict[str, Any]:
    """The content of resourceconfig.json."""
    topology = {"topology": list(spec.topology)} if spec.topology else {}
    return {
        **topology,
        "current_host": spec.current_host,
        "current_instance_type": spec.instance_type,
        "current_group_name": INSTANCE_GROUP,
        "hosts": sorted_hosts(spec),
        "instance_groups": instance_groups(spec),
        "network_interface_name": spec.network_interface,
    }


def input_data_config(spec: TrainingSpec) -> dict[str, dict[str, Any]]:
    """The content of inputdataconfig.json: a channel is in File mode, whole on every host, unless SageMaker
    told other settings of it."""
    file_mode = {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    return {name: dict(spec.channel_settings.get(name, file_mode)) for name in spec.channels}
