"""One host of a training job: its folders, its configuration files, and how it is started.

Source: "How Amazon SageMaker Provides Training Information" in the developer guide.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...machine import namespace
from ...machine.jobfiles import ROOT, JobFile
from ...machine.namespace import Mount
from ...worker.contract.configuration import INSTANCE_GROUP
from ..s3.channels import download, items_of
from ..s3.transfers import Transfers, place_of
from ..tasks import containers
from ..tasks.spec import TaskSpec, uncontained
from ..world.world import World
from .checks import LOCAL_CHECKPOINTS


class NothingToRun(Exception):
    """Why the sandbox can't run a job's program at all."""


class Machine(NamedTuple):
    """A machine of the job's cluster."""

    host: str
    instance_type: str
    group: str


class HostTask:
    """The folders of a host in one attempt. `work` is empty and its own; nothing is made by naming it."""

    def __init__(self, work: str, machine: Machine, request: Mapping[str, Any]) -> None:
        self.work, self.machine, self.name = work, machine, machine.host
        self.root = os.path.join(work, "ml")
        self.log = os.path.join(work, "log")
        self.model = os.path.join(self.root, "model")
        self.output_data = os.path.join(self.root, "output", "data")
        self._failure = JobFile(self.root, os.path.join("output", "failure"))
        config = request.get("CheckpointConfig") or {}
        seen = os.path.relpath(config.get("LocalPath", LOCAL_CHECKPOINTS), ROOT)
        self.checkpoints = os.path.join(self.root, seen)

    def channel(self, name: str) -> str:
        """The folder of a channel."""
        return os.path.join(self.root, "input", "data", name)

    def prepare(self, request: Mapping[str, Any], machines: Sequence[Machine]) -> None:
        """Make the folders, and the files below `input/config`."""
        for folder in (self.model, self.output_data, os.path.join(self.work, "home")):
            os.makedirs(folder)
        if request.get("CheckpointConfig"):
            os.makedirs(self.checkpoints, exist_ok=True)
        config = os.path.join(self.root, "input", "config")
        os.makedirs(config)
        os.makedirs(os.path.join(self.root, "input", "data"))
        _write(os.path.join(config, "hyperparameters.json"), request.get("HyperParameters", {}))
        _write(os.path.join(config, "resourceconfig.json"), _resources(self.machine, machines))
        _write(os.path.join(config, "inputdataconfig.json"), _inputs(request, self.machine))

    def download(
        self,
        transfers: Transfers,
        region: str,
        request: Mapping[str, Any],
        machines: Sequence[Machine],
        check: Callable[[], None],
    ) -> None:
        """Bring the channels here; `check` is called between the objects and may raise. Raises
        TransferRefused and OSError."""
        for channel in channels_of(request, self.machine):
            source = channel["DataSource"]["S3DataSource"]
            # Shards are dealt to the machines that get the channel.
            among = [each for each in machines if channel in channels_of(request, each)]
            missing = _missing_text(request["RoleArn"], source["S3Uri"], region)
            number = among.index(self.machine)
            items = items_of(transfers, source, number, len(among), missing=missing)
            for _ in download(transfers, items, self.channel(channel["ChannelName"])):
                check()

    def read_failure(self) -> str:
        """The first 1,024 characters of what the script has left as its reason to fail."""
        try:
            with self._failure.open() as file:
                return file.read(4096).decode("utf-8", "replace")[:1024].strip()
        except OSError:
            return ""

    def left(self, folder: str) -> JobFile:
        """One of its folders, to be collected from."""
        return JobFile(self.root, os.path.relpath(folder, self.root))


def machines_of(cluster: Mapping[str, Any]) -> list[Machine]:
    """The machines of a ResourceConfig."""
    groups = cluster.get("InstanceGroups") or [{**cluster, "InstanceGroupName": INSTANCE_GROUP}]
    each = [group for group in groups for _ in range(group["InstanceCount"])]
    return [
        Machine(f"algo-{number}", group["InstanceType"], group["InstanceGroupName"])
        for number, group in enumerate(each, start=1)
    ]


def mode_of(channel: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    """The input mode of a channel."""
    return str(channel.get("InputMode") or request["AlgorithmSpecification"]["TrainingInputMode"])


def channels_of(request: Mapping[str, Any], machine: Machine) -> list[Mapping[str, Any]]:
    """The channels that a machine gets."""
    return [
        channel
        for channel in request.get("InputDataConfig", [])
        if machine.group
        in (channel["DataSource"]["S3DataSource"].get("InstanceGroupNames") or [machine.group])
    ]


def task_of(
    world: World, host: HostTask, request: Mapping[str, Any], machines: Sequence[Machine], credentials: str
) -> TaskSpec:
    """How the host is started. `credentials` is the path of the role's below the endpoint, "" for none.
    Raises NothingToRun."""
    algorithm = request["AlgorithmSpecification"]
    entrypoint = list(algorithm.get("ContainerEntrypoint", []))
    arguments = list(algorithm.get("ContainerArguments", []))
    read_only = [
        host.channel(channel["ChannelName"])
        for channel in channels_of(request, host.machine)
        if mode_of(channel, request) == "FastFile"
    ]
    mounts = [Mount(host.root, ROOT, False)]
    mounts += [Mount(path, ROOT + path[len(host.root) :], True) for path in read_only]
    name = f"training/{request['TrainingJobName']}/{host.name}"
    spec = TaskSpec(
        name=name,
        command=[*entrypoint, *arguments],
        environment=_variables(world, request, credentials),
        log=host.log,
        folder=os.path.join(host.work, "scratch"),
        mounts=mounts,
        hosts=[machine.host for machine in machines],
        working_folder=ROOT,
    )
    image = algorithm["TrainingImage"]
    if engine := containers.engine_with(world.engines, image):
        command = arguments if entrypoint else (arguments or ["train"])
        return containers.contained(spec, engine, image, world.mark, entrypoint, command)
    if not entrypoint:
        problem = "the job names no ContainerEntrypoint, and its image"
        raise NothingToRun(f"the sandbox has nothing to run: {problem} {image} is not on this machine")
    if refusal := namespace.refusal():
        raise NothingToRun(
            f"the image {image} is not on this machine, and without it jobs can't run: {refusal}"
        )
    return uncontained(spec, os.path.join(host.work, "home"), world.folder, PYTHONUNBUFFERED="1")


def _missing_text(role_arn: str, url: str, region: str) -> str:
    """What SageMaker says of a prefix that no key begins with."""
    bucket = place_of(url).bucket
    return (
        f'No S3 objects found under S3 URL "{url}" given in input data source. Please ensure that the '
        f"bucket exists in the selected region ({region}), that objects exist under that S3 prefix, and that "
        f'the role "{role_arn}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )


def _variables(world: World, request: Mapping[str, Any], credentials: str) -> dict[str, str]:
    name = request["TrainingJobName"]
    found = {
        "TRAINING_JOB_NAME": name,
        "TRAINING_JOB_ARN": world.arn("sagemaker", f"training-job/{name}"),
        "AWS_REGION": world.region,
        "AWS_DEFAULT_REGION": world.region,
        "AWS_ENDPOINT_URL": world.endpoint,
    }
    # A container without a network has no way to ask for them.
    if credentials and not request.get("EnableNetworkIsolation"):
        found["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = world.endpoint + credentials
    return {**found, **request.get("Environment", {})}


def _resources(current: Machine, machines: Sequence[Machine]) -> dict[str, Any]:
    groups: dict[str, dict[str, Any]] = {}
    for machine in machines:
        group = groups.setdefault(
            machine.group,
            {"instance_group_name": machine.group, "instance_type": machine.instance_type, "hosts": []},
        )
        group["hosts"].append(machine.host)
    return {
        "current_host": current.host,
        "current_instance_type": current.instance_type,
        "current_group_name": current.group,
        "hosts": sorted(machine.host for machine in machines),
        "instance_groups": list(groups.values()),
        # All hosts are on this machine's loopback.
        "network_interface_name": "lo",
    }


def _inputs(request: Mapping[str, Any], machine: Machine) -> dict[str, dict[str, str]]:
    found = {}
    for channel in channels_of(request, machine):
        source = channel["DataSource"]["S3DataSource"]
        entry = {"ContentType": channel["ContentType"]} if channel.get("ContentType") else {}
        entry["TrainingInputMode"] = mode_of(channel, request)
        entry["S3DistributionType"] = source.get("S3DataDistributionType", "FullyReplicated")
        entry["RecordWrapperType"] = channel.get("RecordWrapperType", "None")
        found[channel["ChannelName"]] = entry
    return found


def _write(path: str, content: object) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(content, stream)
