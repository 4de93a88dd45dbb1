"""The arguments of the worker on SageMaker, as the request's ContainerArguments carry them."""

from __future__ import annotations

import math
from typing import NamedTuple, Sequence

from ...errors import InputError
from ...reasons import RehearsedInterruption


class StartOptions(NamedTuple):
    """What the worker is told beside SageMaker's own configuration; `grace` is in seconds.

    `histories` is the folder, on S3, of what the hosts write down of their attempts. With a `region` or an
    `endpoint` S3 is asked there, whatever the script's variables say. `code`, `wheels` and `channels`, by
    name, are the hashes (64 hexadecimal digits) that were recorded of what SageMaker brings.
    """

    script: str
    histories: str
    region: str = ""
    endpoint: str = ""
    launch: int = 1
    grace: float = 120.0
    retries: int = 0
    interruptions: tuple[RehearsedInterruption, ...] = ()
    spot: bool = False
    isolated: bool = False
    code: str = ""
    wheels: str = ""
    channels: tuple[tuple[str, str], ...] = ()


_WITH_VALUES = (
    "--script",
    "--histories",
    "--region",
    "--endpoint",
    "--launch",
    "--grace",
    "--retries",
    "--interrupt-at",
    "--code",
    "--wheels",
    "--channel",
)


def parse(arguments: Sequence[str]) -> StartOptions:
    """`--script train.py --histories s3://bucket/folder/ [--region R] [--endpoint URL] [--launch 1]
    [--grace 120] [--retries 0] [--interrupt-at 5s:kill]… [--spot] [--isolated]
    [--code HASH] [--wheels HASH] [--channel NAME:HASH]…`; each value may stand after a `=`, too.

    Raises InputError for anything else.
    """
    found: dict[str, list[str]] = {name: [] for name in _WITH_VALUES}
    flags = {"--spot": False, "--isolated": False}
    rest = iter(arguments)
    for word in rest:
        name, equals, own = word.partition("=")
        if word in flags:
            flags[word] = True
            continue
        value = (own if equals else next(rest, None)) if name in found else None
        if value is None:
            raise InputError(f"worker train: {word!r} is no option, or lacks its value")
        found[name].append(value)
    if not found["--script"]:
        raise InputError("worker train: --script is missing; name the script to run")
    if not found["--histories"]:
        raise InputError("worker train: --histories is missing; name a folder on S3 for the attempts")
    return StartOptions(
        script=found["--script"][-1],
        histories=found["--histories"][-1],
        region="".join(found["--region"][-1:]),
        endpoint="".join(found["--endpoint"][-1:]),
        launch=int(_number("--launch", found["--launch"], 1)),
        grace=_number("--grace", found["--grace"], 120),
        retries=int(_number("--retries", found["--retries"], 0)),
        interruptions=tuple(map(_interruption, found["--interrupt-at"])),
        spot=flags["--spot"],
        isolated=flags["--isolated"],
        code="".join(found["--code"][-1:]),
        wheels="".join(found["--wheels"][-1:]),
        channels=tuple(_channel(each) for each in found["--channel"]),
    )


def _channel(text: str) -> tuple[str, str]:
    name, _, recorded = text.rpartition(":")
    return name, recorded


def _interruption(text: str) -> RehearsedInterruption:
    """The interruption that a text such as `5s:kill` asks for."""
    seconds, colon, manner = text.partition(":")
    if manner != ("kill" if colon else ""):
        raise InputError(f"worker train: --interrupt-at {text!r} is no time; write 5s or 5s:kill")
    number = seconds[:-1] if seconds.endswith("s") else seconds
    return RehearsedInterruption(_number("--interrupt-at", [number], 0), bool(colon))


def _number(name: str, values: Sequence[str], default: float) -> float:
    if not values:
        return default
    try:
        number = float(values[-1])
    except ValueError:
        number = -1
    if not (math.isfinite(number) and number >= 0):
        raise InputError(f"worker train: {name} {values[-1]!r} is no number")
    return number
