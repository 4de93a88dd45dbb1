"""What to run: a `TrainingJob` or an `InferenceJob`. Pure data, the same for every yard.

A job checks itself when it is made: one that exists obeys every limit of AWS that can be known without AWS
(`limits.py`), so that a job that runs here is a job that SageMaker or Batch accepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ...worker.contract.hyperparameters import Typed
from ...worker.protocol import MODEL_SIZE_GB
from ..record import NOTHING, Record, make_tuples
from . import limits

Hyperparameter: TypeAlias = str | int | float | bool | list[Any] | dict[str, Any]


class Resources(Record):
    """The machines of a training run.

    `volume_size_gb` is in GB as in SageMaker's `VolumeSizeInGB`; `memory_mib` is a limit in MiB that the
    local engine enforces, 0 for none.
    """

    instance_type: str = "ml.m5.xlarge"
    instance_count: int = 1
    volume_size_gb: int = 30
    memory_mib: int = 0


class Spot(Record):
    """Managed spot training: times in seconds, as in SageMaker's `StoppingCondition`."""

    enabled: bool = True
    max_runtime: int = 86_400
    max_wait: int = 172_800


class ShardResources(Record):
    """What one shard of an inference run asks of AWS Batch: whole vCPUs, MiB of memory, whole GPUs."""

    vcpus: int = 4
    memory_mib: int = 8_192
    gpus: int = 0


class TrainingJob(Record):
    """A script to train a model with: Python, or any program in `source_dir`.

    `name` is the model's name too. `channels` maps a channel's name to a local path or a catalogued data set
    (`name@version`); `input_mode` says how SageMaker brings them: `File` copies, `FastFile` streams from S3.
    `metrics` maps a name to a regular expression with one group, as SageMaker's
    `MetricDefinitions`. `retries` are for failures; interruptions are not failures. `grace` is in seconds,
    between SIGTERM and SIGKILL. Relative paths are relative to the job file, or to the current folder.

    `dependencies` are folders and files that go beside those of `source_dir`, as in SageMaker's SDK. `python`
    is another interpreter than trainyard's own, for jobs on this machine; `isolated` gives a job the packages
    that it requires and no others.

    Raises `BadInput` naming the key and the cure.
    """

    name: str
    entry_script: str
    source_dir: str = "."
    dependencies: tuple[str, ...] = ()
    python: str = ""
    isolated: bool = False
    image: str = ""
    retries: int = 0
    grace: int = 120
    input_mode: str = "File"
    channels: Mapping[str, str] = NOTHING
    hyperparameters: Mapping[str, Hyperparameter] = NOTHING
    environment: Mapping[str, str] = NOTHING
    metrics: Mapping[str, str] = NOTHING
    resources: Resources = Resources()
    spot: Spot = Spot()

    kind, section, script_key = "training", "train", "train.entry_script"

    @property
    def script(self) -> str:
        return self.entry_script

    def __post_init__(self) -> None:
        make_tuples(self)
        limits.check_training(self)


class InferenceJob(Record):
    """A handler to predict with over a data set, in `shards` equal parts.

    `handler` is a Python file with `predict_fn(batch, model)` and, usually, `model_fn(model_dir)`.
    `batch_size` is in rows; `retries` are a shard's; `timeout` is in seconds, for one attempt of a shard.
    `header` and `delimiter` say what CSV files are like, in and out.
    `model_size_gb` is what the archive of a model may unpack to, in GiB.
    `dependencies`, `python` and `isolated` are as in a `TrainingJob`.

    Raises `BadInput` naming the key and the cure.
    """

    name: str
    handler: str
    source_dir: str = "."
    dependencies: tuple[str, ...] = ()
    python: str = ""
    isolated: bool = False
    image: str = ""
    shards: int = 4
    batch_size: int = 256
    retries: int = 2
    timeout: int = 3_600
    header: bool = True
    delimiter: str = ","
    model_size_gb: int = MODEL_SIZE_GB
    environment: Mapping[str, str] = NOTHING
    resources: ShardResources = ShardResources()

    kind, section, script_key = "inference", "infer", "infer.handler"

    @property
    def script(self) -> str:
        return self.handler

    def __post_init__(self) -> None:
        make_tuples(self)
        limits.check_inference(self)

    @property
    def csv(self) -> dict[str, Any]:
        """What the worker is told of CSV files."""
        return {"header": self.header, "delimiter": self.delimiter}


Job: TypeAlias = TrainingJob | InferenceJob


def job_to_json(job: Job) -> dict[str, Any]:
    """A JSON object that `job_from_json` turns into an equal job."""
    document = {"kind": job.kind, **job.as_json()}
    typed = [name for name, value in _hyperparameters(job).items() if isinstance(value, Typed)]
    return document | ({"typed": typed} if typed else {})


def _hyperparameters(job: Job) -> Mapping[str, Hyperparameter]:
    return job.hyperparameters if isinstance(job, TrainingJob) else {}


def job_from_json(data: Mapping[str, Any]) -> Job:
    """The job that `job_to_json` wrote."""
    plain = dict(data)
    typed = plain.pop("typed", ())
    if plain.pop("kind") == TrainingJob.kind:
        given = plain["hyperparameters"]
        plain["hyperparameters"] = {k: Typed(v) if k in typed else v for k, v in given.items()}
        plain["resources"] = Resources(**plain["resources"])
        plain["spot"] = Spot(**plain["spot"])
        return TrainingJob(**plain)
    plain["resources"] = ShardResources(**plain["resources"])
    return InferenceJob(**plain)
