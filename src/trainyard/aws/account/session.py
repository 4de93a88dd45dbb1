"""The one module that knows botocore: credentials, regions, clients, calls, its errors turned into ours."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from ...core.errors import BadInput, TrainyardError
from . import errors

_ATTEMPTS = 8
"""Of each call; botocore's own three are too few for an account that CloudFormation throttles as a whole."""
SECONDS_TO_CONNECT, SECONDS_TO_READ = 10, 60
CONNECTIONS = 64
"""That a client keeps open: as many threads may use one at a time without waiting for each other."""


class Caller(NamedTuple):
    """Whom the credentials belong to: the account's number and the ARN of the user or role."""

    account: str
    arn: str

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn`, `aws-us-gov`: the second part of every ARN."""
        return self.arn.split(":")[1] if self.arn.startswith("arn:") else "aws"


class Session:
    """Credentials and a region, found where AWS's own tools find them, and the clients made with them.

    `region` and `profile` empty are those of the surroundings (`AWS_REGION`, `AWS_PROFILE`, `~/.aws`). With
    an `endpoint` every service is asked there, past all proxies; with `credentials`, a key and its secret, no
    configuration of the surroundings' counts. `counted` tells how often each operation was called so far,
    such as `{"s3:PutObject": 3}`; what was tried again counts once. Safe to use from several threads.

    Raises `BadInput` where botocore is missing, the profile is unknown, or no region is set.
    """

    def __init__(
        self,
        region: str = "",
        profile: str | None = None,
        *,
        endpoint: str = "",
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self.counted: Counter[str] = Counter()
        self.endpoint = endpoint
        self._credentials = credentials
        self._own: Any = None
        self._clients: dict[tuple[str, int], Any] = {}
        # Two, since finding credentials may take a call, which is counted.
        self._lock, self._counting = threading.Lock(), threading.Lock()
        self._core = _core_session(profile, alone=credentials is not None)
        self._core.get_component("event_emitter").register("before-call", self._count)
        with translated():
            self.region: str = region or _region_of(self._core)
        # Roles are assumed in it too; botocore itself does not look at AWS_REGION.
        self._core.set_config_variable("region", self.region)
        self.profile: str = "" if credentials else profile or os.environ.get("AWS_PROFILE", "")

    def client(self, service: str, attempts: int = 0) -> Any:
        """botocore's client of a service, made once; it makes so many attempts at a request, 0 for as many as
        are configured. What it raises is for `translated` to turn."""
        client = self._clients.get((service, attempts))
        if client is not None:
            return client
        # botocore's clients are safe to share between threads, its sessions are not.
        with self._lock, translated():
            if (service, attempts) not in self._clients:
                key, secret = self._credentials or (None, None)
                self._clients[service, attempts] = self._core.create_client(
                    service,
                    region_name=self.region,
                    endpoint_url=self.endpoint or None,
                    aws_access_key_id=key,
                    aws_secret_access_key=secret,
                    config=_configuration(self._core, self.endpoint, attempts),
                )
            return self._clients[service, attempts]

    def _count(self, model: Any, **_: Any) -> None:
        self.tally(f"{model.service_model.service_name}:{model.name}")

    def _found(self) -> Any:
        from botocore import credentials, exceptions  # see _core_session

        if self._credentials:
            return credentials.Credentials(*self._credentials)
        found = self._core.get_credentials()
        if found is None:
            raise exceptions.NoCredentialsError
        return found

    def tally(self, operation: str) -> None:
        """Count an operation, such as `s3:PutObject`, that was asked for past the clients."""
        with self._counting:
            self.counted[operation] += 1

    def signer(self) -> Any:
        """botocore's credentials as they are now, renewed where they have to be: an access key, its secret
        and a token, which fit each other. Raises as `call` does."""
        with translated(), self._lock:
            if self._own is None:
                self._own = self._found()
        with translated():
            return self._own.get_frozen_credentials()

    def verification(self) -> bool | str:
        """How TLS is verified: True, or with the certificates in that file."""
        chosen = self._core.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
        return str(chosen) if chosen else True

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one request, such as `call("logs", "create_log_group", logGroupName=…)`.

        Throttling and lost connections are retried. Raises `AccountRefused` with AWS's code, or `BadInput`
        where credentials or the region are not set up.
        """
        return _call(self.client(service), service, operation, parameters)

    def call_once(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """As `call`, and never retried: for what would be done twice where an answer was lost."""
        return _call(self.client(service, attempts=1), service, operation, parameters)

    def pages(self, service: str, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The pages of an answer that may have several, asked for one by one. Raises as `call` does."""
        with translated(_action(service, operation)):
            yield from self.client(service).get_paginator(operation).paginate(**parameters)

    def caller(self) -> Caller:
        """Whom the credentials belong to; it needs no permission."""
        answer = self.call("sts", "get_caller_identity")
        return Caller(answer["Account"], answer["Arn"])

    def account(self) -> str:
        """The number of the credentials' account."""
        return self.caller().account


def _call(client: Any, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    with translated(_action(service, operation)):
        answer: dict[str, Any] = getattr(client, operation)(**parameters)
        return answer


def _action(service: str, operation: str) -> str:
    return f"{service}:{operation.title().replace('_', '')}"


@contextmanager
def translated(operation: str = "") -> Iterator[None]:
    """Whatever botocore raises inside is raised as one line with the cure: `AccountRefused` or `BadInput`.

    A request that botocore itself finds malformed is a bug of ours and passes as it is.
    """
    try:
        yield
    except Exception as error:
        ours = _ours(error, operation)
        if ours is None:
            raise
        raise ours from None


def _ours(error: Exception, operation: str) -> TrainyardError | None:
    from botocore import (
        exceptions,
    )  # in sys.modules already: it was botocore that raised, or nobody of interest

    if isinstance(error, exceptions.ClientError):
        answer = error.response.get("Error", {})
        name = operation or error.operation_name
        return errors.refusal(answer.get("Code") or "", answer.get("Message") or "", name)
    if isinstance(error, (exceptions.BotoCoreError, exceptions.HTTPClientError)):
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return errors.breakdown(kinds, str(error), operation)
    return None


def _core_session(profile: str | None, alone: bool) -> Any:
    try:
        import botocore.session  # half a second's worth: only what talks to AWS pays for it
    except ImportError:
        cure = 'run `pip install "trainyard[aws]"`; `pip install "trainyard[deploy]"` to set up an account'
        raise BadInput("botocore is not installed, which talks to AWS", cure=cure) from None
    with translated():
        return botocore.session.Session(profile=profile, session_vars=_NOBODYS if alone else None)


_NOBODYS = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
"""Variables of botocore's session (each by name in its configuration, name in the environment, default,
conversion) for one that goes by what it is given alone."""


def _region_of(core: Any) -> str:
    region = os.environ.get("AWS_REGION") or core.get_config_variable("region")
    if not region:
        cure = 'write `region = "eu-central-1"` under the environment in the job file, or set AWS_REGION'
        raise BadInput("no AWS region is set", cure=cure)
    return str(region)


def _configuration(core: Any, endpoint: str, attempts: int) -> Any:
    from botocore.config import Config  # see _core_session

    # `adaptive` slows down all calls of a client that is throttled, where `standard` slows each one alone.
    mode = core.get_config_variable("retry_mode")
    retries = {
        # botocore's default, `legacy`, does not retry all that throttles.
        "mode": "adaptive" if mode in (None, "legacy") else mode,
        "total_max_attempts": attempts or core.get_config_variable("max_attempts") or _ATTEMPTS,
    }
    local: dict[str, Any] = {}
    if endpoint:
        # An emulator on loopback: no proxy is on the way, and a bucket has no host name of its own.
        # Over plain HTTP all bodies would be hashed to sign them; here nobody is on the way to change them.
        local = {"proxies": {}, "s3": {"addressing_style": "path", "payload_signing_enabled": False}}
        local |= {"use_fips_endpoint": False, "use_dualstack_endpoint": False}
    return Config(
        retries=retries,
        connect_timeout=SECONDS_TO_CONNECT,
        read_timeout=SECONDS_TO_READ,
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        user_agent_extra="trainyard",
        **local,
    )
