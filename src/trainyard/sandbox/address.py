"""Where the sandbox is that runs on this machine, and how it is asked for something. Client side, and pure
Python: nothing here needs the extra.

Its folder is one that we made and marked, and nobody else's: whoever could write to it would choose the
endpoint that clients are sent to, the process that `stop` ends, and what it removes.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core.errors import BadInput
from ..core.files import trust
from ..core.files.caches import cache_folder
from ..core.files.oserrors import in_words

VARIABLE = "TRAINYARD_SANDBOX"
"""Names another folder for the sandbox, and so another sandbox."""
KIND = "sandbox"
"""What its folder is marked as, when it is made."""
START = "start one: `trainyard sandbox start`"
CONFIGURATION = "sagemaker.yaml"
"""In its folder: defaults for SageMaker's Python SDK, which would ask a host of its own for the account."""
ADDRESS, LOCK = "address.json", "lock"
_TOKEN = "X-Trainyard-Token"
_TIMEOUT = 60.0


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
    """The sandbox's folder, which need not exist: `TRAINYARD_SANDBOX`, else `trainyard/sandbox` in the user's
    cache folder. Raises `BadInput` for one that is neither marked as a sandbox's nor empty, for another
    user's, and for one that others may write to.
    """
    named = os.environ.get(VARIABLE, "")
    path = os.path.expanduser(named) if named else cache_folder("sandbox")
    try:
        with in_words(path):
            trust.refuse_foreign_link(path)
            if os.path.lexists(path):
                trust.require_ours(path, KIND)
    except BadInput as error:
        raise elsewhere(error) from None
    return os.path.realpath(path)


def elsewhere(error: BadInput) -> BadInput:
    """The same error of the folder, with the variable that names another one."""
    cure = "; ".join(filter(None, [error.cure, f"{VARIABLE} names the sandbox's folder"]))
    return BadInput(error.problem, where=error.where, cure=cure)


def hold(where: str) -> int:
    """The descriptor of the folder's lock, held, after the folder was made where it is not there.

    Raises `BadInput` where a sandbox has the folder, and as `folder` does.
    """
    while True:
        try:
            with in_words(where):
                trust.make_private(where, KIND)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                file = os.open(os.path.join(where, LOCK), flags, 0o600)
        except BadInput as error:
            raise elsewhere(error) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise runs_already(where) from None
        if _is(file, os.path.join(where, LOCK)):
            return file
        os.close(file)  # a sandbox that ended has taken it away meanwhile


def runs_already(where: str) -> BadInput:
    """The error for a second sandbox in a folder."""
    found = running(where)
    place = f" at {found.endpoint} (process {found.pid})" if found else ", or is just being started"
    cure = f"use it, end it with `trainyard sandbox stop`, or set {VARIABLE} to another folder"
    return BadInput(f"a sandbox runs already{place}", cure=cure)


def _is(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False


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
    known = {key: content[key] for key in Address._fields if key in content}
    return Address(**{**known, "lost": tuple(content.get("lost", ()))})


def is_held(where: str) -> bool:
    """Whether a sandbox has the folder: it holds a lock in it, which nothing outlives."""
    try:
        file = os.open(os.path.join(where, LOCK), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
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
        with open(os.path.join(where, LOCK), encoding="ascii") as file:
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
        with opener.open(request, timeout=_TIMEOUT) as answer:
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
