"""The one module that knows botocore: credentials, regions, clients, calls, its errors turned into ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..errors import BadInput, TrainyardError
from . import refusals

_ATTEMPTS = 8
"""Of each call; botocore's own three are too few for an account that CloudFormation throttles as a whole."""
_SECONDS_TO_CONNECT, _SECONDS_TO_READ = 10, 60


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

    `region` and `profile` empty are those of the surroundings (`AWS_REGION`, `AWS_PROFILE`, `~/.aws`). Raises
    `BadInput` where botocore is missing, the profile is unknown, or no region is set.
    """

    def __init__(self, region: str = "", profile: str | None = None) -> None:
        self._clients: dict[str, Any] = {}
        self._core = _core_session(profile)
        with translated():
            self.region: str = region or _region_of(self._core)
        self.profile: str = profile or os.environ.get("AWS_PROFILE", "")

    def client(self, service: str) -> Any:
        """botocore's client of a service, made once. What it raises is for `translated` to turn."""
        if service not in self._clients:
            with translated():
                self._clients[service] = self._core.create_client(
                    service, region_name=self.region, config=_configuration(self._core)
                )
        return self._clients[service]

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one request, such as `call("logs", "create_log_group", logGroupName=…)`.

        Throttling and lost connections are retried. Raises `AccountRefused` with AWS's code, or `BadInput`
        where credentials or the region are not set up.
        """
        with translated(f"{service}:{operation.title().replace('_', '')}"):
            answer: dict[str, Any] = getattr(self.client(service), operation)(**parameters)
            return answer

    def pages(self, service: str, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The pages of an answer that may have several, asked for one by one. Raises as `call` does."""
        with translated(f"{service}:{operation.title().replace('_', '')}"):
            yield from self.client(service).get_paginator(operation).paginate(**parameters)

    def caller(self) -> Caller:
        """Whom the credentials belong to; it needs no permission."""
        answer = self.call("sts", "get_caller_identity")
        return Caller(answer["Account"], answer["Arn"])

    def account(self) -> str:
        """The number of the credentials' account."""
        return self.caller().account


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
        return refusals.refusal(answer.get("Code", ""), answer.get("Message", ""), name)
    if isinstance(error, (exceptions.BotoCoreError, exceptions.HTTPClientError)):
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return refusals.breakdown(kinds, str(error), operation)
    return None


def _core_session(profile: str | None) -> Any:
    try:
        import botocore.session  # half a second's worth: only what talks to AWS pays for it
    except ImportError:
        cure = 'run `pip install "trainyard[deploy]"`'
        raise BadInput("boto3 is not installed, which talks to AWS", cure=cure) from None
    with translated():
        return botocore.session.Session(profile=profile)


def _region_of(core: Any) -> str:
    region = os.environ.get("AWS_REGION") or core.get_config_variable("region")
    if not region:
        cure = 'write `region = "eu-central-1"` under the environment in the job file, or set AWS_REGION'
        raise BadInput("no AWS region is set", cure=cure)
    return str(region)


def _configuration(core: Any) -> Any:
    from botocore.config import Config  # see _core_session

    retries: dict[str, Any] = {"mode": core.get_config_variable("retry_mode") or "standard"}
    if retries["mode"] == "legacy":  # botocore's default, which does not retry all that throttles
        retries["mode"] = "standard"
    configured = core.get_config_variable("max_attempts")
    retries["total_max_attempts"] = configured or _ATTEMPTS
    return Config(
        retries=retries,
        connect_timeout=_SECONDS_TO_CONNECT,
        read_timeout=_SECONDS_TO_READ,
        user_agent_extra="trainyard",
    )
