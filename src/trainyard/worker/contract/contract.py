"""SageMaker's training contract: what a script finds in its container, and what it leaves there.

Used by whatever starts the script: the local supervisor in the child it forks, the cloud worker in
the container. It says nothing of processes; it makes folders, files, variables and arguments.
"""

from __future__ import annotations

import json
import os
import stat
from typing import Callable

from ..reasons import shortened
from .checkpoints import lost_in_s3, newest_checkpoint, remove_former
from .configuration import TrainingSpec, input_data_config, resource_config
from .entry import command
from .hyperparameters import arguments, decode_hyperparameter, encode_hyperparameter
from .lastwords import forget_words, last_word, lay
from .layout import Layout, link
from .models import ModelConflict, ModelRefused, merge_models, open_up
from .variables import count_gpus, environment

__all__ = [
    "Layout",
    "ModelConflict",
    "ModelRefused",
    "TrainingSpec",
    "arguments",
    "command",
    "count_gpus",
    "decode_hyperparameter",
    "encode_hyperparameter",
    "environment",
    "failure",
    "forget_words",
    "last_word",
    "link",
    "lost_in_s3",
    "merge_models",
    "newest_checkpoint",
    "open_up",
    "prepare",
    "remove_former",
]


_MOST = 1 << 16


def prepare(spec: TrainingSpec, layout: Layout) -> None:
    """Makes the folders and configuration files of one host.

    `layout` is the physical one. What is there already stays, so a shared checkpoint folder keeps
    its checkpoints. A channel that lives below the root gets an empty folder, the place to mount it;
    one that lives elsewhere is not touched.

    Raises ValueError when the spec contradicts itself, OSError when a file cannot be written.
    """
    files = {
        "hyperparameters.json": dict(spec.hyperparameters),
        "resourceconfig.json": resource_config(spec),
        "inputdataconfig.json": input_data_config(spec),
    }
    mounts = [layout.channel(name) for name in spec.channels if name not in layout.channels]
    for folder in (
        layout.config,
        layout.input_data,
        layout.model,
        layout.output_data,
        layout.intermediate,
        layout.code,
        layout.checkpoints,
        *mounts,
    ):
        os.makedirs(folder, exist_ok=True)
    for name, content in files.items():
        with open(os.path.join(layout.config, name), "w", encoding="utf-8") as file:
            json.dump(content, file)
    lay(layout)


def failure(layout: Layout, redacted: Callable[[str], str] = str) -> str:
    """What the script wrote to `output/failure`, for the run's reason; "" when there is nothing.

    Without secrets, as `redacted` gives it, in one line of the 1024 characters that SageMaker keeps; bytes
    that are not UTF-8 are replaced.
    """
    try:
        # Opening a pipe that a script left there would wait for its other end.
        if not stat.S_ISREG(os.stat(layout.failure).st_mode):
            return ""
        with open(layout.failure, "rb") as file:
            text = file.read(_MOST).decode("utf-8", errors="replace")
    except OSError:
        return ""
    return shortened(redacted(text))
