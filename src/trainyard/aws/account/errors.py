"""What AWS answers when it refuses, and what to do about it. Pure: codes and texts in, one line out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ...core.errors import AccountRefused, BadInput, TrainyardError

POLICY = "docs/deploy.md"
"""Where the least policy of the person who deploys is written down."""

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})
THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "BandwidthLimitExceeded",
    }
)
UNKNOWN = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure"}
)
UNSIGNED = frozenset({"SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"})
CLOSED = frozenset({"OptInRequired", "SubscriptionRequiredException", "RegionDisabledException"})

_RENEW = "get new ones (`aws sso login`, or as you got these)"
_AGAIN = "run the same command again: it goes on from there"

STATEMENTS = {
    "cloudformation": "Stacks",
    "sts": "Stacks",
    "iam": "Roles",
    "ec2": "Network",
    "s3": "Buckets",
    "ecr": "Repository",
    "ssm": "Facts",
    "sagemaker": "Notebook",
    "batch": "Batch",
    "ecs": "Batch",
    "logs": "Logs",
    "events": "Monitoring",
    "sns": "Monitoring",
    "cloudwatch": "Monitoring",
    "budgets": "Monitoring",
    "kms": "Key",
}
"""The statement of the least policy that allows an action, by the action's service."""


SUBMITTING = frozenset(
    {
        "batch:DescribeJobDefinitions",
        "batch:DescribeJobs",
        "batch:RegisterJobDefinition",
        "batch:SubmitJob",
        "batch:TagResource",
        "batch:TerminateJob",
        "ecr:DescribeImages",
        "logs:DescribeLogStreams",
        "logs:GetLogEvents",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "sagemaker:AddTags",
        "sagemaker:CreateModelPackage",
        "sagemaker:CreateModelPackageGroup",
        "sagemaker:CreateTrainingJob",
        "sagemaker:DescribeTrainingJob",
        "sagemaker:StopTrainingJob",
    }
)
"""Actions of people who submit jobs; whoever deploys needs none of them."""


class ignoring:  # as `contextlib.suppress` is called
    """Leave the block where AWS refuses with one of these codes, or with `words` in its message."""

    def __init__(self, *codes: str, words: str = "") -> None:
        self._codes, self._words = codes, words

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: object, __: object) -> bool:
        if not isinstance(error, AccountRefused):
            return False
        return error.code in self._codes or bool(self._words and self._words in error.message)


def is_final(code: str) -> bool:
    """Whether AWS has refused for good; not where no answer came (""), or one that says to come again."""
    return bool(code) and code not in THROTTLED | EXPIRED | _BROKEN


_BROKEN = frozenset(
    {"InternalError", "InternalFailure", "InternalServerError", "InternalServerException", "ServerException"}
    | {"ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout", "500", "502", "503", "504"}
)


class Denial(NamedTuple):
    """What AWS says about a missing permission; empty where it doesn't say."""

    who: str
    action: str
    resource: str
    why: str

    def __str__(self) -> str:
        on = f" on {self.resource}" if self.resource and self.resource != "*" else ""
        return f"{self.who or 'these credentials'} may not {self.action or 'do this'}{on}"

    @property
    def cure(self) -> str:
        """What to do about it."""
        if "service control policy" in self.why:
            return "a service control policy forbids it: ask who looks after the organisation"
        if "permissions boundary" in self.why:
            return "the permissions boundary of that role or user forbids it: ask who set it"
        if "explicit deny" in self.why:
            return "a policy forbids it expressly: ask who looks after the account"
        if self.action in SUBMITTING:
            return f"it takes the environment's submitter policy ({POLICY}), then {_AGAIN}"
        return f"add the statements {statement_of(self.action)}* of the policy in {POLICY}, then {_AGAIN}"


def statement_of(action: str) -> str:
    """The Sid of the statement in the least policy that allows an action such as `ec2:CreateVpc`."""
    if action == "iam:CreateServiceLinkedRole":
        return "ServiceLinkedRoles"
    return STATEMENTS.get(action.partition(":")[0], "Stacks")


def denial(message: str) -> Denial | None:
    """What a message of AWS says about a missing permission; None where it is about something else."""
    found = re.search(
        r"(?:User: (?P<who>\S+) is )?(?:not authorized|unauthorized) to perform:? *(?P<action>[\w-]+:\w+)?"
        r"(?: on resource:? *(?P<resource>\S+))?(?P<why>.*)",
        message,
        re.IGNORECASE | re.DOTALL,
    )
    if found is None:
        return None
    resource = (found["resource"] or "").strip('.,;)"')
    return Denial(person(found["who"] or ""), found["action"] or "", resource, found["why"] or "")


def person(arn: str) -> str:
    """A caller as people call it: `role Deployer`, `user ana`; the ARN where it is something else."""
    if found := re.fullmatch(r"arn:[\w-]+:sts::\d+:assumed-role/([^/]+)/.+", arn):
        return f"role {found[1]}"
    if found := re.fullmatch(r"arn:[\w-]+:iam::\d+:(user|role)/(?:.+/)?([^/]+)", arn):
        return f"{found[1]} {found[2]}"
    return arn


def refusal(code: str, message: str, operation: str) -> TrainyardError:
    """AWS's answer that it won't, as our error. `operation` is the action, such as `logs:CreateLogGroup`."""
    return AccountRefused(_problem(code, message, operation), code=code, message=message, operation=operation)


def _problem(code: str, message: str, operation: str) -> str:
    if code in EXPIRED:
        return f"the AWS credentials have expired; {_RENEW} and {_AGAIN}"
    if code in DENIED:
        found = denial(message) or Denial("", operation, "", message)
        return f"{found}; {found.cure}"
    if code in THROTTLED:
        return f"AWS throttles {operation}, after several tries too; wait a minute and {_AGAIN}"
    if code in UNKNOWN:
        cure = f"mind AWS_PROFILE and AWS_ACCESS_KEY_ID, or {_RENEW}"
        return f"AWS does not know these credentials ({code}); {cure}"
    if code in UNSIGNED:
        return (
            f"AWS refuses the signature ({code}); the secret access key is wrong, or this machine's clock is"
        )
    if code in CLOSED:
        problem = f"the account has not switched on this service or region ({code})"
        return f"{problem}; do so in its console: {message}"
    return f"{operation} was refused: {message or code}"


def breakdown(kinds: Sequence[str], message: str, operation: str) -> TrainyardError | None:
    """An error of botocore's own as ours, by the names of its class and its parents; None for a bug."""
    for kind in kinds:
        if kind == "ParamValidationError":
            return None
        if kind in _BAD:
            problem, cure = _BAD[kind]
            return BadInput(problem or message, cure=cure)
        if kind in _LOST:
            return AccountRefused(
                f"AWS cannot be reached ({message}); {_LOST[kind]}, then {_AGAIN}", operation=operation
            )
    return AccountRefused(message, operation=operation)


_LOG_IN = "run `aws sso login`, with --profile where AWS_PROFILE names one"
_SET_UP = "run `aws configure` or `aws sso login`, or set AWS_PROFILE"
_NETWORK = "mind the network and HTTPS_PROXY"
_BAD = {
    "NoCredentialsError": ("no AWS credentials were found", _SET_UP),
    "PartialCredentialsError": ("", "a key needs its secret: " + _SET_UP),
    "CredentialRetrievalError": ("", _SET_UP),
    "UnauthorizedSSOTokenError": ("the SSO session has expired or is not valid", _LOG_IN),
    "SSOTokenLoadError": ("there is no SSO session", _LOG_IN),
    "TokenRetrievalError": ("the SSO session has expired", _LOG_IN),
    "SSOError": ("", _LOG_IN),
    "LoginError": ("", "run `aws login`"),
    "ProfileNotFound": ("", "mind AWS_PROFILE; `aws configure list-profiles` tells what there is"),
    "ConfigParseError": ("", "mend ~/.aws/config"),
    "NoRegionError": ("no AWS region is set", "set AWS_REGION, or `region` of the environment"),
    "InvalidRegionError": ("", "a region is written like eu-central-1"),
}
_LOST = {
    "EndpointConnectionError": f"{_NETWORK}, and that the region exists",
    "ConnectTimeoutError": _NETWORK,
    "ReadTimeoutError": _NETWORK,
    "ConnectionClosedError": _NETWORK,
    "ProxyConnectionError": "mind HTTPS_PROXY",
    "SSLError": "mind the clock, HTTPS_PROXY and AWS_CA_BUNDLE",
    "HTTPClientError": _NETWORK,
}
