"""What everything of a run is called on AWS: jobs, objects, log streams. Pure."""

from __future__ import annotations

import re

from ...core.environments.facts import (
    CHECKPOINTS,
    CODE,
    DATASETS,
    ENVIRONMENT_TAG,
    LEDGER,
    MODELS,
    PREDICTIONS,
)
from ...core.jobs.limits import NAME_LENGTH
from ...core.runs.run import Run
from ...worker import protocol
from .deployment import Deployment

JOB_NAME = 63
"""Characters of a TrainingJobName and of a ModelPackageGroupName."""
PLAN, SHARDS, COMMIT = protocol.PLAN, "shards", protocol.COMMIT
STEPS = (PLAN, SHARDS, COMMIT)
"""The Batch jobs of an inference run, in their order."""

WORKER_FILE, WHEELS = "worker.pyz", f"{protocol.WHEELS}/"
WORKER_PATH = f"/opt/ml/input/data/{protocol.WORKER_CHANNEL}/{WORKER_FILE}"

_SUFFIX = len("-") + 7
_LAUNCH = len("-999")


def longest_name(prefix: str) -> int:
    """How many characters AWS leaves for a job's name where the names of all jobs begin with `prefix`."""
    return min(NAME_LENGTH, JOB_NAME - len(prefix) - _SUFFIX - _LAUNCH)


def launch_name(prefix: str, run: Run) -> str:
    """The name of the training job of a launch: `trainyard-dev-digits-k3v9x2q`, `…-2` for the second one.

    AWS never frees a name, so that a launch which is repeated can start nothing new.
    """
    return f"{prefix}{run.id}" if run.launch == 1 else f"{prefix}{run.id}-{run.launch}"


def batch_job_name(prefix: str, run: Run, step: str) -> str:
    """The name of a Batch job of a launch: `trainyard-dev-digits-k3v9x2q-1-shards`."""
    return f"{prefix}{run.id}-{run.launch}-{step}"


def model_group_name(prefix: str, name: str) -> str:
    """The model package group of a model's versions."""
    return f"{prefix}{name}"


def worker_key(digest: str) -> str:
    """Where the worker of that SHA-256 (hex) lies in the model bucket."""
    return f"{CODE}workers/{digest}/{WORKER_FILE}"


def worker_digest(address: str) -> str:
    """The SHA-256 (hex) of the worker that lies at an address."""
    return address.split("/")[-2]


def source_prefix(code: str) -> str:
    """Where the source of that hash lies in the model bucket, and its wheels."""
    return f"{CODE}sources/{code}/"


def manifest_key(run: Run) -> str:
    """Where the manifest of an inference run's launch lies in the model bucket."""
    return f"{CODE}runs/{run.id}-{run.launch}.json"


def checkpoint_prefix(run_id: str) -> str:
    """Where the checkpoints of all launches of a run lie in the model bucket."""
    return f"{CHECKPOINTS}{run_id}/"


def history_prefix(run_id: str) -> str:
    """Where the hosts of a training run write down its attempts, in the model bucket.

    Not below the checkpoints', nor beginning as theirs does: SageMaker would restore it among them.
    """
    return f"{CHECKPOINTS}.attempts/{run_id}/"


def model_key(job_name: str) -> str:
    """Where SageMaker puts what a training job leaves in `/opt/ml/model`."""
    return f"{MODELS}{job_name}/output/model.tar.gz"


def prediction_prefix(run_id: str) -> str:
    """Where an inference run's predictions lie in the model bucket."""
    return f"{PREDICTIONS}{run_id}/"


def state_prefix(run_id: str) -> str:
    """Where an inference run's plan, results and failures lie in the model bucket."""
    return f"{prediction_prefix(run_id)}{protocol.STATE_FOLDER}"


def dataset_prefix(digest: str) -> str:
    """Where files of that SHA-256 (hex) lie in the data set bucket."""
    return f"{DATASETS}{digest}/"


def dataset_hash(prefix: str) -> str:
    """The SHA-256 (hex) in a prefix which `dataset_prefix` gave; "" for any other prefix."""
    found = re.fullmatch(f"{DATASETS}([0-9a-f]{{64}})/", prefix)
    return found[1] if found else ""


def launch_key(run_id: str, launch: int) -> str:
    """Where the ledger keeps what a launch was asked for."""
    return f"{LEDGER}runs/{run_id}/{launch}.json"


def ending_key(run_id: str, launch: int) -> str:
    """Where the ledger keeps how a launch ended."""
    return f"{LEDGER}runs/{run_id}/{launch}-end.json"


RUN = "trainyard:run"


def tags(deployment: Deployment, run: Run | None = None) -> dict[str, str]:
    """The tags of what belongs to an environment, or to a run in it."""
    found = {**deployment.tags, ENVIRONMENT_TAG: deployment.stack}
    if run is not None:
        found[RUN] = run.id
    return found


def tag_list(values: dict[str, str]) -> list[dict[str, str]]:
    """Tags as SageMaker writes them."""
    return [{"Key": key, "Value": value} for key, value in values.items()]
