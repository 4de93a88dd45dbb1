"""Every limit of AWS that can be known without AWS, checked when a job is made.

Sources: botocore's service models (`sagemaker/2017-07-24` CreateTrainingJob, `batch/2016-08-10` SubmitJob
and RegisterJobDefinition), which give lengths, patterns and ranges, and their documentation strings for what
the models leave open. A limit that is trainyard's own says why. Where AWS names no upper bound, its 32-bit
integer is one.
"""

from __future__ import annotations

import re
from typing import Any

from ..checks import (
    INTEGER_MAX,
    check_boolean,
    check_form,
    check_integer,
    check_section,
    check_table,
    check_text,
    entry,
    show,
    wrong_type,
)
from ..errors import BadInput
from .sources import LINE_BREAKS, LOCAL_PATH_LENGTH, check_source, is_remote
from .variables import check_argument, check_environment

NAME = r"[a-zA-Z0-9](?:-*[a-zA-Z0-9])*"
"""A name SageMaker takes: letters, digits and inner hyphens (TrainingJobName)."""
NAME_LENGTH = 63 - len("-") - 7 - len("-999")
"""51: SageMaker's 63, less `-` and a run's 7 characters, less `-<n>` for up to 999 resumes of the run."""

IMAGE_LENGTH = 255
"""AlgorithmImage; ContainerProperties.image "can be 255 characters long"."""

RETRIES = 30
"""A training run's: MaximumRetryAttempts."""
SHARD_RETRIES = 9
"""A shard's: RetryStrategy.attempts is 1 to 10, the first try among them."""
GRACE = 120
"""Seconds that SageMaker leaves between SIGTERM and SIGKILL (StopTrainingJob)."""

INPUT_MODES = ("File", "FastFile")
"""TrainingInputMode; what a channel in `Pipe` mode is to a script, no folder here can be."""
CHANNELS = 18
"""InputDataConfig has 20; two are trainyard's, for the source and for itself."""
CHANNEL_NAME = r"[A-Za-z0-9.\-_]{1,64}"
"""ChannelName."""
CHANNEL_RESERVED = "trainyard"
"""The beginning of the names of trainyard's own channels."""
S3_URI_LENGTH = 1_024
"""S3Uri."""

HYPERPARAMETERS, HYPERPARAMETER_KEY, HYPERPARAMETER_VALUE = 100, 256, 2_500
"""HyperParameters, HyperParameterKey, HyperParameterValue (the prose says 256, the model 2500)."""
METRICS, METRIC_NAME, METRIC_REGEX = 40, 255, 500
"""MetricDefinitionList, MetricName, MetricRegex."""

INSTANCE_TYPE = r"ml\.[a-z0-9]+(?:-[a-z0-9]+)*\.[a-z0-9]+"
"""The form of a TrainingInstanceType; which ones there are is in `instance_types`."""
VOLUME_SIZE = 16_384
"""GB: SageMaker's storage volume is EBS gp2 (ResourceConfig.VolumeSizeInGB), whose largest is 16 TiB."""
MAX_RUNTIME = 28 * 86_400
"""Seconds: "the maximum value is 28 days" (StoppingCondition.MaxRuntimeInSeconds)."""

SHARDS = 10_000
"""ArrayProperties.size is 2 to 10,000; a single shard is sent as a plain job."""
TIMEOUT = 60
"""Seconds: JobTimeout.attemptDurationSeconds, "the minimum value is 60"."""
SHARD_MEMORY = 4
"""MiB: "you must specify at least 4 MiB of memory for a job" (ResourceRequirement)."""

_DATASET = rf"{NAME}@(?:[0-9]+|latest)"
_S3 = r"s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9](?:/[^\n\r\u0085\u2028\u2029]*)?"
_IMAGE_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_IMAGE_TAG = r"(?::\w[\w.\-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
_IMAGE = rf"(?:[a-zA-Z0-9.\-]+(?::[0-9]+)?/)?{_IMAGE_PART}(?:/{_IMAGE_PART})*{_IMAGE_TAG}"
_SETTINGS = ("default_user_module_name", "_tuning_objective_metric")


def check_training(job: Any) -> None:
    """Raise `BadInput` for the first field of a `TrainingJob` that SageMaker would refuse."""
    check_name(job.name, "train.name")
    check_source(job)
    _check_image(job.image, "train.image")
    check_integer(job.retries, "train.retries", 0, RETRIES)
    check_integer(job.grace, "train.grace", 0, GRACE, unit="seconds")
    _check_input_mode(job.input_mode)
    _check_channels(job.channels)
    _check_hyperparameters(job.hyperparameters)
    check_environment(job.environment, "train")
    _check_metrics(job.metrics)
    _check_resources(job.resources)
    _check_spot(job.spot)


def check_inference(job: Any) -> None:
    """Raise `BadInput` for the first field of an `InferenceJob` that Batch would refuse."""
    check_name(job.name, "infer.name")
    check_source(job)
    _check_image(job.image, "infer.image")
    check_integer(job.shards, "infer.shards", 1, SHARDS)
    check_integer(job.batch_size, "infer.batch_size", 1, unit="rows")
    check_integer(job.retries, "infer.retries", 0, SHARD_RETRIES)
    check_integer(job.timeout, "infer.timeout", TIMEOUT, unit="seconds")
    check_boolean(job.header, "infer.header")
    _check_delimiter(job.delimiter)
    check_integer(job.model_size_gb, "infer.model_size_gb", 1, VOLUME_SIZE, unit="GiB")
    check_environment(job.environment, "infer")
    check_section(job.resources, "infer.resources", "ShardResources", ("vcpus", "memory_mib", "gpus"))
    check_integer(job.resources.vcpus, "infer.resources.vcpus", 1)
    check_integer(job.resources.memory_mib, "infer.resources.memory_mib", SHARD_MEMORY, unit="MiB")
    check_integer(job.resources.gpus, "infer.resources.gpus", 0)


def warnings(job: Any) -> list[str]:
    """What is allowed and likely not meant, one line each; [] for a job without any."""
    if job.kind != "training":
        return []
    from .instance_types import warning

    return [line for line in (warning(job.resources.instance_type), *_hyperparameter_warnings(job)) if line]


def is_dataset_reference(text: str) -> bool:
    """Whether `text` names a catalogued data set, `name@3` or `name@latest`, and no path."""
    return re.fullmatch(_DATASET, text) is not None


def legal_name(text: str, default: str = "model", length: int = NAME_LENGTH) -> str:
    """The nearest legal name to `text`: `my_model` gives `my-model`; `default` where nothing is left."""
    name = re.sub(r"[^a-zA-Z0-9]+", "-", text).strip("-")[:length].rstrip("-")
    return name or default


def check_name(name: Any, key: str) -> None:
    """Refuse a name that SageMaker would not take as the beginning of a training job's."""
    check_text(name, key, 1, INTEGER_MAX, cure="give it a name of letters, digits and hyphens")
    if len(name) > NAME_LENGTH:
        problem = (
            f"{show(name)} is {len(name)} characters long, and AWS leaves {NAME_LENGTH} for a job's name"
        )
    elif re.fullmatch(NAME, name) is None:
        problem = f"{show(name)} is no name for AWS: letters, digits and hyphens between them"
    else:
        return
    raise BadInput(problem, key=key, cure=f"try {legal_name(name)!r}")


def _check_image(image: Any, key: str) -> None:
    check_text(image, key, 0, IMAGE_LENGTH)
    cure = "write registry/repository:tag, or '' for the default one"
    check_form(image, key, f"(?:{_IMAGE})?", "image", cure)


def _check_input_mode(mode: Any) -> None:
    key = "train.input_mode"
    if not isinstance(mode, str):
        raise wrong_type(mode, key, "a string")
    if mode not in INPUT_MODES:
        raise BadInput(f"{show(mode)} is no input mode", key=key, cure='write "File" or "FastFile"')


def _check_channels(channels: Any) -> None:
    key = "train.channels"
    check_table(channels, key, CHANNELS, "channels")
    seen: dict[str, str] = {}
    for name, source in channels.items():
        _check_channel_name(name, entry(key, name))
        twin = seen.setdefault(name.upper(), name)
        if twin != name:
            raise BadInput(
                f"is SM_CHANNEL_{name.upper()} to the script, and so is {twin!r}",
                key=entry(key, name),
                cure="rename one",
            )
        _check_channel_source(source, entry(key, name))


def _check_channel_name(name: str, key: str) -> None:
    cure = "use 1 to 64 letters, digits, dots, hyphens and underscores"
    check_form(name, key, rf"(?!\.\.?\Z){CHANNEL_NAME}", "channel name", cure)
    if name.lower().startswith(CHANNEL_RESERVED):
        raise BadInput(
            f"names that begin with {CHANNEL_RESERVED!r} are trainyard's own", key=key, cure="rename it"
        )


def _check_channel_source(source: Any, key: str) -> None:
    check_text(source, key, 1, LOCAL_PATH_LENGTH, cure="write a path, name@version or s3://bucket/prefix")
    if not is_remote(source):
        return
    if re.fullmatch(_S3, source) is None or len(source) > S3_URI_LENGTH:
        raise BadInput(
            f"{show(source)} is no place for a channel",
            key=key,
            cure="write a path, name@version or s3://bucket/prefix",
        )


def _check_hyperparameters(values: Any) -> None:
    key = "train.hyperparameters"
    check_table(values, key, HYPERPARAMETERS, "hyperparameters")
    for name, value in values.items():
        check_text(name, entry(key, name), 1, HYPERPARAMETER_KEY, cure="name it")
        # It becomes --name on the script's command line.
        if not name.isprintable() or re.search(r"^-|[\s=]", name):
            raise BadInput(
                f"{show(name)} can't be an argument of a script",
                key=entry(key, name),
                cure="use letters, digits and _",
            )
        _check_hyperparameter(value, entry(key, name))


def _check_hyperparameter(value: Any, key: str) -> None:
    _check_json(value, key)
    length = _encoded_length(value)
    if length > HYPERPARAMETER_VALUE:
        raise BadInput(
            f"is {length} characters long as SageMaker's SDK encodes it (JSON)",
            key=key,
            cure=f"use at most {HYPERPARAMETER_VALUE}, or put it in a channel",
        )


def _check_json(value: Any, key: str) -> None:
    if isinstance(value, dict):
        check_table(value, key, HYPERPARAMETER_VALUE, "keys")
        for name, item in value.items():
            check_text(name, key, 0, HYPERPARAMETER_VALUE)
            _check_json(item, entry(key, name))
    elif isinstance(value, list):
        for item in value:
            _check_json(item, key)
    elif isinstance(value, str):
        check_text(value, key, 0, HYPERPARAMETER_VALUE)
        check_argument(value, key)
    elif not isinstance(value, (int, float)):
        raise wrong_type(value, key, "a string, a number, a boolean, or an array or a table of such")
    elif value != value or value in (float("inf"), float("-inf")):
        raise BadInput(
            f"{value} is not finite, and JSON knows no such number", key=key, cure=f"write '{value}'"
        )


def _encoded_length(value: Any) -> int:
    # JSON writes a character in 12 at most, so that few values need to be encoded to know.
    if isinstance(value, str) and 12 * len(value) + 2 <= HYPERPARAMETER_VALUE:
        return len(value)
    from json import dumps

    try:
        return len(dumps(value))
    except ValueError:
        # Python writes no integer of more than 4300 digits; log10(2) is near 0.3.
        return int(int(value).bit_length() * 0.30103)


def _check_delimiter(delimiter: Any) -> None:
    key, cure = "infer.delimiter", 'write one character, such as ";" or "\\t"'
    if not isinstance(delimiter, str):
        raise wrong_type(delimiter, key, "a string")
    # One byte, so that files are counted by bytes; and none that a field is written with.
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter.isalnum() or delimiter in '"\0\r\n ':
        raise BadInput(f"{show(delimiter)} is no delimiter", key=key, cure=cure)


def _check_metrics(metrics: Any) -> None:
    key = "train.metrics"
    check_table(metrics, key, METRICS, "metrics")
    for name, regex in metrics.items():
        where = entry(key, name)
        check_text(name, where, 1, METRIC_NAME, cure="name it")
        check_text(regex, where, 1, METRIC_REGEX, cure="write a regular expression with one group")
        for text in (name, regex):
            if any(char in text for char in LINE_BREAKS):
                raise BadInput(f"{show(text)} has a line break", key=where, cure="keep it in one line")
        _check_regex(regex, where)


def _check_regex(regex: str, key: str) -> None:
    from warnings import catch_warnings, simplefilter

    try:
        with catch_warnings():
            simplefilter("ignore")
            groups = re.compile(regex).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise BadInput(f"{show(regex)} is no regular expression: {error}", key=key) from None
    if groups != 1:
        raise BadInput(
            f"{show(regex)} has {groups or 'no'} groups",
            key=key,
            cure="put one (…) around the number; (?:…) groups without counting",
        )


def _check_resources(resources: Any) -> None:
    key = "train.resources"
    names = ("instance_type", "instance_count", "volume_size_gb", "memory_mib")
    check_section(resources, key, "Resources", names)
    kind, where, cure = resources.instance_type, f"{key}.instance_type", "write one such as ml.m5.xlarge"
    check_text(kind, where, 1, 63, cure=cure)
    check_form(kind, where, INSTANCE_TYPE, "instance type of SageMaker", cure)
    check_integer(resources.instance_count, f"{key}.instance_count", 1)
    check_integer(resources.volume_size_gb, f"{key}.volume_size_gb", 1, VOLUME_SIZE, unit="GB")
    check_integer(resources.memory_mib, f"{key}.memory_mib", 0, unit="MiB")


def _check_spot(spot: Any) -> None:
    key = "train.spot"
    check_section(spot, key, "Spot", ("enabled", "max_runtime", "max_wait"))
    check_boolean(spot.enabled, f"{key}.enabled")
    check_integer(spot.max_runtime, f"{key}.max_runtime", 1, MAX_RUNTIME, unit="seconds")
    check_integer(spot.max_wait, f"{key}.max_wait", 1, unit="seconds")
    # SageMaker takes MaxWaitTimeInSeconds for managed spot alone.
    if spot.enabled and spot.max_wait < spot.max_runtime:
        raise BadInput(
            f"{spot.max_wait} is less than max_runtime, {spot.max_runtime}",
            key=f"{key}.max_wait",
            cure="it counts the waiting and the running: raise it, or lower max_runtime",
        )


def _hyperparameter_warnings(job: Any) -> list[str]:
    found = []
    seen: dict[str, str] = {}
    for name in job.hyperparameters:
        twin = seen.setdefault(name.upper(), name)
        if twin != name:
            found.append(
                f"train.hyperparameters.{name}: is SM_HP_{name.upper()}, and so is {twin!r}; rename one"
            )
        if name.startswith("sagemaker_") or name in _SETTINGS:
            found.append(
                f"train.hyperparameters.{name}: is SageMaker's own and kept from the script; rename it"
            )
    return found
