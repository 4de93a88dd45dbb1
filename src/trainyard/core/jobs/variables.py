"""The variables of a job, `[train.environment]` and `[infer.environment]`: their limits, and values that
stand for others, which are secrets: `secretsmanager:NAME` on AWS, `env:NAME` on this machine.

Sources are those of `limits`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...worker.protocol import OF_SHELL, SECRET
from ..checks import check_form, check_table, check_text, entry, show
from ..errors import BadInput

ENVIRONMENT, ENVIRONMENT_KEY, ENVIRONMENT_VALUE = 100, 512, 512
"""TrainingEnvironmentMap, TrainingEnvironmentKey, TrainingEnvironmentValue."""
VARIABLE = r"[a-zA-Z_][a-zA-Z0-9_]*"
"""TrainingEnvironmentKey."""
SHARD_ENVIRONMENT = 8_192 - 2_048
"""Characters in all: SubmitJob's overrides hold 8192; 2048 are kept for trainyard's command and variables."""

_SECRET_ENDS = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "APIKEY")
_SECRET_WORDS = frozenset(
    {"AUTH", "COOKIE", "CREDENTIAL", "CREDENTIALS", "DSN", "KEY", "PASS", "PAT", "PWD"}
    | {f"{word}{plural}" for word in _SECRET_ENDS for plural in ("", "S")}
)

_OWNED = {
    "train": (("SM_", "TRAINYARD_", "TRAINING_JOB_"), ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE")),
    "infer": (("TRAINYARD_", "AWS_BATCH"), ()),
}


def check_environment(variables: Any, section: str) -> None:
    """Raise `BadInput` for the first variable of a job's section that AWS would refuse or that is taken."""
    key = f"{section}.environment"
    check_table(variables, key, ENVIRONMENT, "variables")
    for name, value in variables.items():
        _check_name(name, entry(key, name), section)
        check_text(value, entry(key, name), 0, ENVIRONMENT_VALUE)
        if value.startswith(OF_SHELL) and not _is_of_shell(value):
            problem = f"{show(value)} names no variable of a shell"
            raise BadInput(problem, key=entry(key, name), cure=f"write {OF_SHELL}NAME")
    if section == "infer":
        _check_together(variables)


def check_argument(value: str, key: str) -> None:
    """Refuse the name of a secret where the value becomes an argument: it would not be looked up there, and
    arguments can be read by others."""
    if value.startswith(SECRET) or _is_of_shell(value):
        problem = f"{show(value)}: hyperparameters are arguments, which anybody sees in `ps` or the account"
        raise BadInput(problem, key=key, cure="name it under [train.environment]")


def shell_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a job whose values are the submitter's, and what each is called in his shell."""
    return {name: value[len(OF_SHELL) :] for name, value in environment.items() if value.startswith(OF_SHELL)}


def shell_values(environment: Mapping[str, str], section: str, shell: Mapping[str, str]) -> dict[str, str]:
    """The values of these variables in the `shell`. Raises `BadInput` for the first that is not set there."""
    found = {}
    for name, own in shell_variables(environment).items():
        if own not in shell:
            key = f"{section}.environment.{name}"
            raise BadInput(f"{own} is not set in this shell", key=key, cure=f"export {own}, and do it again")
        found[name] = shell[own]
    return found


def shown(environment: Mapping[str, str]) -> list[str]:
    """`NAME=value` of each variable, and the name alone of what looks like a secret."""
    return [
        name if _looks_secret(name, value) else f"{name}={value}"
        for name, value in sorted(environment.items())
    ]


def _looks_secret(name: str, value: str) -> bool:
    if value.startswith((SECRET, OF_SHELL)):
        return False  # where the secret is, and not the secret
    word = name.upper()
    is_named_so = word.endswith(_SECRET_ENDS) or not _SECRET_WORDS.isdisjoint(word.split("_"))
    return is_named_so or re.search(r"://[^/\s]*@", value) is not None


def _is_of_shell(value: str) -> bool:
    return value.startswith(OF_SHELL) and re.fullmatch(VARIABLE, value[len(OF_SHELL) :]) is not None


def _check_name(name: str, where: str, section: str) -> None:
    prefixes, names = _OWNED[section]
    check_text(name, where, 1, ENVIRONMENT_KEY, cure="name it")
    check_form(name, where, VARIABLE, "variable's name", "use letters, digits and _")
    if name in names or name.startswith(prefixes):
        raise BadInput(
            "is set by SageMaker, Batch or trainyard itself", key=where, cure="leave it out or rename it"
        )


def _check_together(variables: Mapping[str, str]) -> None:
    if not variables:
        return
    # json is a cost that a job without variables needn't bear.
    from json import dumps

    length = len(dumps([{"name": name, "value": value} for name, value in variables.items()]))
    if length > SHARD_ENVIRONMENT:
        raise BadInput(
            f"is {length} characters long in all, as Batch counts (JSON)",
            key="infer.environment",
            cure=f"use at most {SHARD_ENVIRONMENT}, or put it in a file of source_dir",
        )
