"""Where the sandbox is that runs on this machine, and how it is asked for something. Client side, and pure
Python: nothing here needs the extra.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core.errors import BadInput
from ..core.files.caches import cache_folder

VARIABLE = "TRAINYARD_SANDBOX"
"""Names another folder for the sandbox, and so another sandbox."""
START = "start one: `trainyard sandbox start`"
CONFIGURATION = "sagemaker.yaml"
"""In its folder: defaults for SageMaker's Python SDK, which would ask a host of its own for the account."""
ADDRESS, _LOCK = "address.json", "lock"
_TOKEN = "X-Trainyard-Token"
_PATIENCE = 60.0


class Address(NamedTuple):
    """What a client of the sandbox needs to know. With the keys one may do everything; `token` is for what is
    asked of the sandbox itself; `lost` are jobs that ended with an earlier sandbox that was killed."""

    endpoint: str
    region: str
    access_key: str
    secret_key: str
    pid: int
    token: str
    lost: tuple[str, ...] = ()


def folder() -> str:
    """The sandbox's folder: `TRAINYARD_SANDBOX`, else `trainyard/sandbox` in the user's cache folder."""
    named = os.environ.get(VARIABLE, "")
    if named:
        return os.path.realpath(os.path.expanduser(named))
    return os.path.realpath(cache_folder("sandbox"))


def find() -> Address:
    """The sandbox that runs. Raises `BadInput` with the cure where none does."""
    where = folder()
    found = running(where)
    if found is not None:
        return found
    if is_held(where):
        raise BadInput(
            "the sandbox is being started", cure="wait until `trainyard sandbox start` has returned"
        )
    problem = "the sandbox was killed" if os.path.exists(os.path.join(where, ADDRESS)) else "no sandbox runs"
    raise BadInput(problem, cure=START)


def running(where: str) -> Address | None:
    """The sandbox that runs in a folder; None where none does, or is not ready yet."""
    if not is_held(where):
        return None
    try:
        with open(os.path.join(where, ADDRESS), encoding="utf-8") as stream:
            content = json.load(stream)
    except FileNotFoundError:
        return None
    except PermissionError:
        raise BadInput("the sandbox belongs to another user", where=where, cure=_another_folder()) from None
    known = {key: content[key] for key in Address._fields if key in content}
    return Address(**{**known, "lost": tuple(content.get("lost", ()))})


def is_held(where: str) -> bool:
    """Whether a sandbox has the folder: it holds a lock in it, which nothing outlives."""
    try:
        file = os.open(os.path.join(where, _LOCK), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        raise BadInput("the sandbox belongs to another user", where=where, cure=_another_folder()) from None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def holder(where: str) -> int | None:
    """The process that has the folder, ready or not."""
    try:
        with open(os.path.join(where, _LOCK), encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def ask(address: Address, what: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Ask something of the sandbox itself, and return what it answers.

    Raises `BadInput` where it refuses, and where it is gone.
    """
    import urllib.error
    import urllib.request  # with few verbs only: it takes longer to import than all the rest

    request = urllib.request.Request(
        f"{address.endpoint}/_trainyard/{what}",
        data=json.dumps(body or {}).encode(),
        headers={_TOKEN: address.token, "Content-Type": "application/json"},
    )
    # A proxy of the user's has no business on loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_PATIENCE) as answer:
            content: dict[str, Any] = json.load(answer)
            return content
    except urllib.error.HTTPError as error:
        with error:
            raise BadInput(_message(error.read(), error.reason)) from None
    except OSError as error:
        raise BadInput(f"the sandbox does not answer: {error}", cure=START) from None


def _message(body: bytes, reason: str) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return reason


def _another_folder() -> str:
    return f"set {VARIABLE} to a folder of your own"
