"""The role's credentials, as ECS, Batch and SageMaker hand them to a container.

Source: the AWS SDKs and Tools Reference Guide, "Container credential provider".
"""

from __future__ import annotations

import calendar
import http.client
import json
import os
import random
import threading
import time
from typing import Any, Mapping, NamedTuple
from urllib.parse import urljoin, urlsplit

from ..errors import ServiceError

EARLY = 300.0
"""Seconds before they expire at which credentials are fetched anew."""
PAUSE = 30.0
"""Seconds between two attempts to renew credentials that are still good."""
ATTEMPTS = 6
TIMEOUT = 5.0
"""Seconds that the address of the credentials may take to answer."""

_CONTAINER = "http://169.254.170.2"
# Where a container's own machine answers; anywhere else a secret may not travel in plain text.
_PLAIN_HOSTS = {"localhost", "127.0.0.1", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"}


class Credentials(NamedTuple):
    """Whose name requests are signed with; `expires` in seconds since the epoch, None: never."""

    access_key: str
    secret_key: str
    token: str = ""
    expires: float | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r}, expires={self.expires})"


class _SharedCredentials:
    """The credentials last fetched, for all threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.found: Credentials | None = None
        self.tried = 0.0


_shared = _SharedCredentials()


def current() -> Credentials:
    """Credentials that are good for minutes to come: the container's role's, else the environment's.

    Raises ServiceError where there are none or their address does not answer.
    """
    address = _address(os.environ)
    if not address:
        return _of_variables(os.environ)
    with _shared.lock:
        now = time.time()
        if _shared.found is None or _is_stale(_shared.found, now):
            _renew(address, now)
        assert _shared.found is not None
        return _shared.found


def forget() -> bool:
    """Have the next call fetch anew, since AWS called those that are held expired; whether it will."""
    with _shared.lock:
        _shared.found = None
    return bool(_address(os.environ))


def _is_stale(found: Credentials, now: float) -> bool:
    return found.expires is not None and now > found.expires - EARLY and now > _shared.tried + PAUSE


def _renew(address: str, now: float) -> None:
    good = _shared.found is not None and (_shared.found.expires or 0.0) > now
    _shared.tried = now
    try:
        # While the old ones are good, one try is enough: there will be another.
        _shared.found = _fetch(address, 1 if good else ATTEMPTS)
    except ServiceError:
        if not good:
            raise


def _address(variables: Mapping[str, str]) -> str:
    relative = variables.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    if relative:
        return urljoin(_CONTAINER, relative)
    return variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")


def _of_variables(variables: Mapping[str, str]) -> Credentials:
    access, secret = variables.get("AWS_ACCESS_KEY_ID"), variables.get("AWS_SECRET_ACCESS_KEY")
    if not access or not secret:
        raise ServiceError(
            "no AWS credentials: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_ACCESS_KEY_ID are not set; "
            "give the job a role"
        )
    return Credentials(access, secret, variables.get("AWS_SESSION_TOKEN", ""))


def _fetch(address: str, attempts: int) -> Credentials:
    for attempt in range(1, attempts + 1):
        try:
            return _parsed(_get(address))
        except (OSError, http.client.HTTPException, ValueError) as error:
            if attempt == attempts:
                what = str(error) or type(error).__name__
                where = urlsplit(address).netloc
                raise ServiceError(
                    f"the role's credentials cannot be had from {where} ({what}); see that the job has a role"
                ) from None
        time.sleep(random.uniform(0.1, min(5.0, 0.4 * 2**attempt)))
    raise AssertionError("unreachable")


def _get(address: str) -> Any:
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=TIMEOUT
        )
    elif host in _PLAIN_HOSTS or host.startswith("127."):
        connection = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT)
    else:
        raise ServiceError(
            f"AWS_CONTAINER_CREDENTIALS_FULL_URI names {host} by http; use https, or a loopback address"
        )
    try:
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request("GET", target, headers=_headers())
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"status {answer.status}")
    return json.loads(content.decode("utf-8"))


def _headers() -> dict[str, str]:
    # The file is read each time: its content changes.
    path = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    if path:
        with open(path, encoding="utf-8") as stream:
            token = stream.read().strip()
    else:
        token = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    return {"Accept": "application/json", **({"Authorization": token} if token else {})}


def _parsed(document: Any) -> Credentials:
    try:
        access, secret = document["AccessKeyId"], document["SecretAccessKey"]
        token, expiration = document.get("Token") or "", document.get("Expiration")
    except (KeyError, TypeError, AttributeError):
        raise ValueError("its answer holds no credentials") from None
    expires = None
    if expiration:
        expires = float(calendar.timegm(time.strptime(expiration[:19], "%Y-%m-%dT%H:%M:%S")))
    return Credentials(access, secret, token, expires)
