"""The environment variables of a training script.

`SM_*` and `SM_TRAINING_ENV` are those of the SageMaker training toolkit (its `Environment.to_env_vars`),
`SM_MASTER_ADDR` and its neighbours those of the SageMaker Python SDK's ModelTrainer, `TRAINING_JOB_*`
those of SageMaker itself.
"""

from __future__ import annotations

import json
import os
from typing import Any, Mapping

from .. import protocol
from .configuration import (
    INSTANCE_GROUP,
    TrainingSpec,
    input_data_config,
    instance_groups,
    resource_config,
    sorted_hosts,
)
from .hyperparameters import arguments, decode_hyperparameter, framework_values, is_passable, user_values
from .layout import Layout

_INFO = 20
_GPUS = "/proc/driver/nvidia/gpus"


def environment(spec: TrainingSpec, layout: Layout, attempt: int) -> dict[str, str]:
    """Every variable the script gets from the contract, with the user's own among them.

    `layout` is the one the script sees; `attempt` the number of this try, 1 for
    the first. It is not the whole
    environment: PATH, HOME and the like are the caller's. The user's variables win over defaults
    (MASTER_ADDR, MASTER_PORT, PYTHONUNBUFFERED), the contract's win over the user's. A
    hyperparameter whose name or value no variable can hold has no SM_HP_ variable; SM_HPS has it.
    TRAINING_JOB_ARN is absent when the job has no ARN.

    Raises ValueError when the spec contradicts itself or `arguments` would.
    """
    facts = _training_env(spec, layout)
    variables = {
        "PYTHONUNBUFFERED": "1",
        "MASTER_ADDR": spec.master_addr or facts["master_hostname"],
        "MASTER_PORT": str(spec.master_port),
        **spec.user_environment,
    }
    paths = (layout.code, variables.get("PYTHONPATH"), layout.own)
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    variables.update(_job_variables(spec, layout, attempt))
    variables.update(_rank_variables(spec, variables["MASTER_ADDR"], variables["MASTER_PORT"]))
    variables.update(_toolkit_variables(spec, layout, facts))
    return {
        name: text
        for name, text in variables.items()
        if "=" not in name and is_passable(name) and is_passable(text)
    }


def count_gpus(environ: Mapping[str, str]) -> int:
    """How many GPUs a process with these variables sees.

    CUDA_VISIBLE_DEVICES where it is set, read as CUDA reads it (the first invalid entry hides the
    rest, a device named twice hides all); else what the NVIDIA driver lists; 0 where there is none.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        try:
            return len(os.listdir(_GPUS))
        except OSError:
            return 0
    devices: list[str] = []
    for device in map(str.strip, visible.split(",")):
        if not (device.isdecimal() or device.startswith(("GPU-", "MIG-"))):
            break
        devices.append(device)
    return len(devices) if len(set(devices)) == len(devices) else 0


def _training_env(spec: TrainingSpec, layout: Layout) -> dict[str, Any]:
    """SM_TRAINING_ENV: the toolkit's view of everything."""
    environ = {**os.environ, **spec.user_environment}
    hosts = sorted_hosts(spec)
    name = spec.entry_script
    return {
        "additional_framework_parameters": framework_values(spec.hyperparameters),
        "channel_input_dirs": {channel: layout.channel(channel) for channel in spec.channels},
        "current_host": spec.current_host,
        "current_instance_group": INSTANCE_GROUP,
        "current_instance_group_hosts": hosts,
        "current_instance_type": spec.instance_type,
        "distribution_hosts": [],
        "distribution_instance_groups": [],
        "framework_module": None,
        "hosts": hosts,
        "hyperparameters": user_values(spec.hyperparameters),
        "input_config_dir": layout.config,
        "input_data_config": input_data_config(spec),
        "input_dir": layout.input,
        "instance_groups": [INSTANCE_GROUP],
        "instance_groups_dict": {INSTANCE_GROUP: instance_groups(spec)[0]},
        "is_hetero": False,
        "is_master": spec.current_host == hosts[0],
        "is_modelparallel_enabled": None,
        "is_smddpmprun_installed": False,
        "is_smddprun_installed": False,
        "job_name": spec.job_name,
        "log_level": _log_level(spec.hyperparameters),
        "master_hostname": hosts[0],
        "model_dir": layout.model,
        "module_dir": layout.code,
        "module_name": name[:-3] if name.endswith(".py") else name,
        "network_interface_name": spec.network_interface,
        "num_cpus": (os.cpu_count() or 1) if spec.num_cpus is None else spec.num_cpus,
        "num_gpus": count_gpus(environ) if spec.num_gpus is None else spec.num_gpus,
        "num_neurons": 0,
        "output_data_dir": layout.output_data,
        "output_dir": layout.output,
        "output_intermediate_dir": layout.intermediate,
        "resource_config": resource_config(spec),
        "topology": list(spec.topology),
        "user_entry_point": name,
    }


# What of SM_TRAINING_ENV the toolkit also gives as a variable of its own, SM_<NAME>.
_OF_THEIR_OWN = (
    "current_host",
    "current_instance_group",
    "current_instance_group_hosts",
    "current_instance_type",
    "distribution_instance_groups",
    "framework_module",
    "hosts",
    "input_config_dir",
    "input_data_config",
    "input_dir",
    "instance_groups",
    "instance_groups_dict",
    "is_hetero",
    "log_level",
    "model_dir",
    "module_dir",
    "module_name",
    "network_interface_name",
    "num_cpus",
    "num_gpus",
    "num_neurons",
    "output_data_dir",
    "output_dir",
    "output_intermediate_dir",
    "resource_config",
    "user_entry_point",
)


def _toolkit_variables(spec: TrainingSpec, layout: Layout, facts: dict[str, Any]) -> dict[str, str]:
    values = {name: facts[name] for name in _OF_THEIR_OWN}
    values["channels"] = sorted(facts["channel_input_dirs"])
    values["framework_params"] = facts["additional_framework_parameters"]
    values["hps"] = facts["hyperparameters"]
    values["training_env"] = facts
    values["user_args"] = arguments(spec.hyperparameters)
    if spec.topology:
        values["topology"] = facts["topology"]
    for name, path in facts["channel_input_dirs"].items():
        values["channel_" + name] = path
    for name, value in facts["hyperparameters"].items():
        values["hp_" + name] = value
    values["input_data_dir"] = layout.input_data
    values["output_failure"] = layout.failure
    return {"SM_" + name.upper(): _variable_text(value) for name, value in values.items()}


def _job_variables(spec: TrainingSpec, layout: Layout, attempt: int) -> dict[str, str]:
    region = spec.user_environment.get("AWS_REGION") or spec.user_environment.get("AWS_DEFAULT_REGION")
    variables = {
        "TRAINING_JOB_NAME": spec.job_name,
        "CURRENT_HOST": spec.current_host,
        "SAGEMAKER_JOB_NAME": spec.job_name,
        "SAGEMAKER_REGION": region or "",
        "TRAINYARD_CHECKPOINT_DIR": layout.checkpoints,
        protocol.ATTEMPT_VARIABLE: str(attempt),
    }
    if spec.job_arn:
        variables["TRAINING_JOB_ARN"] = spec.job_arn
    return variables


def _rank_variables(spec: TrainingSpec, address: str, port: str) -> dict[str, str]:
    hosts = sorted_hosts(spec)
    rank, size = str(hosts.index(spec.current_host)), str(len(hosts))
    return {
        "RANK": rank,
        "WORLD_SIZE": size,
        "SM_CURRENT_HOST_RANK": rank,
        "SM_HOST_COUNT": size,
        "SM_MASTER": hosts[0],
        "SM_MASTER_ADDR": address,
        "SM_MASTER_PORT": port,
    }


def _log_level(hyperparameters: Mapping[str, str]) -> Any:
    text = hyperparameters.get("sagemaker_container_log_level")
    return _INFO if text is None else decode_hyperparameter(text)


def _variable_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
