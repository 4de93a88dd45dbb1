"""Hyperparameters on their way to the script, as SageMaker's script mode carries them.

On the wire (CreateTrainingJob, hyperparameters.json) every value is a string. The SageMaker Python
SDK encodes values as JSON, the SageMaker training toolkit decodes them in the container.
"""

from __future__ import annotations

import json
import os
from typing import Any, Mapping

# The toolkit's params.SAGEMAKER_HYPERPARAMETERS; those that begin with `sagemaker_` but are not
# listed are framework parameters (SM_FRAMEWORK_PARAMS).
_PREFIX = "sagemaker_"
_SETTINGS = frozenset(
    (
        "sagemaker_program",
        "sagemaker_submit_directory",
        "sagemaker_enable_cloudwatch_metrics",
        "sagemaker_region",
        "sagemaker_container_log_level",
        "sagemaker_job_name",
        "default_user_module_name",
        "_tuning_objective_metric",
        "sagemaker_s3_output",
    )
)


_TYPED = " "
"""What stands behind a `Typed` on the wire: JSON does not mind it, and nobody else writes it."""


class Typed(str):
    """A number or a boolean as somebody typed it: its text is the script's argument, while SM_HPS has what
    it reads as."""


def encode_hyperparameter(value: Any) -> str:
    """The string SageMaker carries for `value`: its JSON text, as the SageMaker Python SDK writes it.

    `decode_hyperparameter` gives the same value of the same type back; so a text that looks like a
    number stays a text, but for a `Typed` one.
    """
    return value + _TYPED if isinstance(value, Typed) else json.dumps(value)


def decode_hyperparameter(text: str) -> Any:
    """The value the toolkit makes of a string on the wire: what its JSON says, else the string itself."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return text


def user_values(hyperparameters: Mapping[str, str]) -> dict[str, Any]:
    """The script's own hyperparameters, decoded: without SageMaker's settings (`sagemaker_…`)."""
    return {
        key: decode_hyperparameter(text)
        for key, text in hyperparameters.items()
        if not key.startswith(_PREFIX) and key not in _SETTINGS
    }


def framework_values(hyperparameters: Mapping[str, str]) -> dict[str, Any]:
    """The `sagemaker_…` hyperparameters meant for a framework, decoded (SM_FRAMEWORK_PARAMS)."""
    return {
        key: decode_hyperparameter(text)
        for key, text in hyperparameters.items()
        if key.startswith(_PREFIX) and key not in _SETTINGS
    }


def arguments(hyperparameters: Mapping[str, str]) -> list[str]:
    """The script's command line, `--key value` for every hyperparameter, as the toolkit makes it.

    `hyperparameters` are the strings on the wire. Sorted by key; a key of one letter becomes `-k`;
    decoded values are written as Python writes them (`True`, `1e-05`), null as an empty argument, an
    object as `a=1,b=2`; SageMaker's own settings are left out. A value that argparse would take for an
    option, since it begins with a dash and is no plain negative number, is joined to its key.

    Raises ValueError for one that no process can be given (a NUL character, half a surrogate pair).
    """
    values = user_values(hyperparameters)
    line: list[str] = []
    for key in sorted(values):
        pair = (_argument_name(key), _argument_text(values[key], hyperparameters[key]))
        if not all(map(is_passable, pair)):
            raise ValueError(
                f"hyperparameter {key!r}: has a character that cannot be passed to a program; remove it"
            )
        line.extend([_joined(*pair)] if _looks_like_option(pair[1]) else pair)
    return line


def is_passable(text: str) -> bool:
    """Whether a process can be given `text` as an argument or a variable."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _argument_name(key: str) -> str:
    if len(key) > 1:
        return "--" + key
    return "-" + key if key else ""


def _looks_like_option(text: str) -> bool:
    whole, _, rest = text[1:].partition(".")
    is_number = (whole + rest).isdecimal() and not text.endswith(".")
    return len(text) > 1 and text[0] == "-" and not is_number


def _joined(name: str, text: str) -> str:
    return f"{name}={text}" if name.startswith("--") else name + text


def _argument_text(value: Any, wire: str) -> str:
    if wire.endswith(_TYPED) and isinstance(value, (bool, int, float)):
        return wire[: -len(_TYPED)]
    if value is None:
        return ""
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in sorted(value.items()))
    return str(value)
