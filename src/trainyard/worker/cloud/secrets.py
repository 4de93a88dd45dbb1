"""Values of the environment that are secrets: `secretsmanager:NAME`, or `secretsmanager:NAME:KEY`.

NAME is a secret's name or ARN. With a KEY the secret is a JSON object, as those of databases are, and the
value that of its key. Resolved with the role's credentials, for the script alone.
Source: the Secrets Manager API reference, GetSecretValue.
"""

from __future__ import annotations

import base64
import json
import os
import random
import time
from typing import Any, Callable, Mapping, NamedTuple

from ..errors import InputError, ServiceError
from ..protocol import SECRET
from ..s3.connections import FAILURES, Connections
from ..s3.credentials import Credentials, current, forget
from ..s3.signing import sign

_ATTEMPTS = 5
_ARN_PARTS = 7
_EXPIRED = ("ExpiredTokenException", "ExpiredToken")
_PASSING = ("ThrottlingException", "InternalServiceError", "RequestLimitExceeded", *_EXPIRED)


class Reference(NamedTuple):
    """A secret as a value of the environment names it; `key` is "" for the whole of it."""

    secret: str
    key: str = ""


class _Refused(Exception):
    """What Secrets Manager answered: the name of the error, and its text."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code
        self.may_pass = status >= 500 or code in _PASSING


def resolve(names: Mapping[str, str], section: str = "train") -> dict[str, str]:
    """The values of these variables, each `secretsmanager:…`, with every secret asked for once.

    `section` is that of the job file whose `environment` they are in, for messages.
    Raises InputError for a secret that is not there or is not what its reference says, ServiceError when
    it may not be read or Secrets Manager does not answer. No message has anything of a secret in it.
    """
    known: dict[str, str] = {}
    found = {}
    for name, value in names.items():
        key = f"{section}.environment.{name}"
        reference = parse(key, value)
        if reference.secret not in known:
            known[reference.secret] = _ask(key, reference.secret)
        found[name] = _pick(key, reference, known[reference.secret])
    return found


def parse(where: str, value: str) -> Reference:
    """The reference in the value of the job's key `where`. Raises InputError for none."""
    parts = value[len(SECRET) :].split(":")
    own = _ARN_PARTS if parts[0] == "arn" else 1
    secret, key = ":".join(parts[:own]), ":".join(parts[own:])
    if not secret or (parts[0] == "arn" and len(parts) < _ARN_PARTS) or (len(parts) > own and not key):
        raise InputError(
            f"{where}: {value!r} names no secret; write secretsmanager:NAME or secretsmanager:NAME:KEY"
        )
    return Reference(secret, key)


def _pick(key: str, reference: Reference, content: str) -> str:
    if not reference.key:
        return content
    where = f"{key}: the secret {reference.secret}"
    try:
        keys = json.loads(content)
    except ValueError:
        keys = None
    if not isinstance(keys, dict):
        raise InputError(f"{where} is no JSON object; leave the key {reference.key!r} out")
    if reference.key not in keys:
        raise InputError(f"{where} has no key {reference.key!r}")
    value = keys[reference.key]
    return value if isinstance(value, str) else json.dumps(value)


def _ask(key: str, secret: str) -> str:
    where = f"{key}: the secret {secret}"
    try:
        answer = _patiently(lambda: _get(secret))
    except _Refused as error:
        if error.code.endswith("ResourceNotFoundException"):
            raise InputError(f"{where} is not there: {error}") from None
        cure = ""
        if "AccessDenied" in error.code:
            role = "training" if key.startswith("train.") else "job's"
            cure = f"; let the {role} role have secretsmanager:GetSecretValue of it"
        raise ServiceError(f"{where} cannot be read: {error}{cure}") from None
    except (*FAILURES, ValueError) as error:
        what = str(error) or type(error).__name__
        raise ServiceError(f"{where} cannot be read: Secrets Manager does not answer ({what})") from None
    if isinstance(answer.get("SecretString"), str):
        return str(answer["SecretString"])
    try:
        return base64.b64decode(answer["SecretBinary"]).decode("utf-8")
    except (KeyError, ValueError):
        raise InputError(f"{where} is no text, and no value of a variable") from None


def _patiently(ask: Callable[[], Any]) -> Any:
    for attempt in range(1, _ATTEMPTS):
        try:
            return ask()
        except _Refused as error:
            if not error.may_pass:
                raise
            if error.code in _EXPIRED:
                forget()
        except FAILURES:
            pass
        time.sleep(random.uniform(0.1, 0.3 * 2**attempt))
    return ask()


def _get(secret: str) -> Any:
    region, credentials = _region(secret), current()
    address = _address(region)
    payload = json.dumps({"SecretId": secret}).encode("utf-8")
    status, content = _post(address, payload, _headers(address, payload, region, credentials))
    try:
        answer = json.loads(content.decode("utf-8"))
    except ValueError:
        answer = {}
    if status != 200:
        code = str(answer.get("__type", f"status {status}")).rpartition("#")[2]
        raise _Refused(status, code, str(answer.get("message") or answer.get("Message") or ""))
    return answer


def _headers(address: str, payload: bytes, region: str, credentials: Credentials) -> dict[str, str]:
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "secretsmanager.GetSecretValue",
    }
    return sign(
        "POST", address, headers, payload, service="secretsmanager", region=region, credentials=credentials
    )


def _post(address: str, payload: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    connections = Connections()
    try:
        with connections.exchange("POST", address, headers, payload) as answer:
            return answer.status, answer.read()
    finally:
        connections.close()


def _region(secret: str) -> str:
    """Where the secret lies: as its ARN says, else where the job runs."""
    if secret.startswith("arn:"):
        return secret.split(":")[3]
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _address(region: str) -> str:
    for name in ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"):
        if os.environ.get(name):
            return os.environ[name].rstrip("/") + "/"
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://secretsmanager.{region}.{suffix}/"
