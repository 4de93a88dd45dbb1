"""What SageMaker tells a training container of its job, as the script is to see it.

Source: "How Amazon SageMaker Provides Training Information" in the SageMaker developer guide.
"""

from __future__ import annotations

import json
import os
from typing import Any, Mapping

from ...contract.configuration import TrainingSpec
from ...contract.layout import Layout
from ...protocol import CHECKPOINT_CHANNEL, CODE_CHANNEL, WORKER_CHANNEL

OURS = (WORKER_CHANNEL, CODE_CHANNEL, CHECKPOINT_CHANNEL)
"""Channels that bring what is ours, and that the script does not see."""
ROOT = "TRAINYARD_ML_ROOT"
"""A variable that names another folder in the place of /opt/ml, for tests."""


class ConfigurationError(Exception):
    """SageMaker's configuration is not there or not what it should be; one line."""


def read_job(layout: Layout, script: str, environ: Mapping[str, str]) -> TrainingSpec:
    """The job of this host, from its `/opt/ml/input/config` and the container's variables.

    Raises ConfigurationError.
    """
    resources = _read(layout, "resourceconfig.json")
    channels = _read(layout, "inputdataconfig.json", {})
    hyperparameters = _read(layout, "hyperparameters.json", {})
    host = _text(resources, "current_host")
    return TrainingSpec(
        job_name=environ.get("TRAINING_JOB_NAME", ""),
        entry_script=script,
        hosts=tuple(map(str, resources.get("hosts") or [host])),
        current_host=host,
        hyperparameters={key: _wire(value) for key, value in hyperparameters.items()},
        channels=tuple(name for name in channels if name not in OURS),
        channel_settings={name: settings for name, settings in channels.items() if name not in OURS},
        user_environment={name: text for name, text in environ.items() if name != ROOT},
        instance_type=str(resources.get("current_instance_type") or ""),
        network_interface=str(resources.get("network_interface_name") or "eth0"),
        job_arn=environ.get("TRAINING_JOB_ARN", ""),
        topology=resources.get("topology") or (),
    )


def _wire(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read(layout: Layout, name: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
    path = os.path.join(layout.config, name)
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except FileNotFoundError:
        if default is not None:
            return default
        raise ConfigurationError(f"{path} is not there; is this a SageMaker training job?") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} holds no JSON object")
    return found


def _text(found: dict[str, Any], key: str) -> str:
    value = found.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"resourceconfig.json has no {key}")
    return value
