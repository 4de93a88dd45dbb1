"""Roles: credentials for the jobs that have them, and what those credentials may do.

A request that is signed with the credentials of a role, of a job's or of `AssumeRole`, is held to the role's
policies, inline and managed, to its permissions boundary and to the session's own policy. The administrator
of the sandbox may do everything; a request with no credentials that are known here may do nothing.
"""

from __future__ import annotations

import datetime
import functools
import json
import secrets
import string
from collections.abc import Sequence
from typing import Any, NamedTuple

from moto.s3.models import FakeDeleteMarker

from ...core.errors import BadInput
from ..api.control import Call, control
from ..api.dispatch import ApiRequest, admission, guard, operation
from ..api.protocols import AwsError
from ..world.world import World
from . import actions, policies, s3actions
from .actions import AccessRequest
from .policies import Context, Decision, Document

PATH = "/_trainyard/credentials/"
"""Where the credentials of a role lie, below the endpoint; a token follows."""
VALID = datetime.timedelta(hours=6)
"""How long they are valid: as those of ECS's agent."""
_RENEWED = datetime.timedelta(minutes=30)
_SESSION = "sandbox"
ADMINISTRATOR = "administrator"
"""The IAM user of whoever started the sandbox."""
_EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


class Principal(NamedTuple):
    """Who signed a request: its ARN, the policies that limit it together, and what conditions know of it."""

    arn: str
    limits: list[list[Document]]
    context: Context


class IamRoles:
    """A part of the world: tokens and sessions of jobs' roles. Use it under the world's lock."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tokens: dict[str, str] = {}
        self._sessions: dict[str, Any] = {}

    def end(self) -> None:
        """Nothing runs here."""

    def credentials_for(self, role_arn: str) -> str:
        """The path below the endpoint where a job of this role gets its credentials."""
        token = next((token for token, role in self._tokens.items() if role == role_arn), None)
        if token is None:
            token = secrets.token_urlsafe(32)
            self._tokens[token] = role_arn
        return PATH + token

    def credentials(self, token: str) -> dict[str, str] | None:
        """What ECS's agent answers ("Task IAM role", ECS developer guide); None for a token that is not
        known.
        """
        role = self._tokens.get(token)
        if role is None:
            return None
        session = self._sessions.get(role)
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        if session is None or session.expiration - now < _RENEWED:
            session = self._sessions[role] = self._assume(role)
        return {
            "RoleArn": role,
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "Token": session.session_token,
            "Expiration": session.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def allowed(self, role_arn: str, action: str, resource: str) -> bool:
        """Whether the role's policies allow it; a role that is not known may do nothing."""
        decision = self.judge(self._limits(role_arn), action, resource, {})
        return decision is Decision.ALLOWED

    def admit(self, request: ApiRequest) -> None:
        """Raise the service's own AwsError where a request is not signed with credentials that are known."""
        if not self.is_administrator(request):
            self._holder(request)

    def is_administrator(self, request: ApiRequest) -> bool:
        """Whether whoever started the sandbox has signed it."""
        administrator = self._world.administrator[0]
        return not administrator or request.access_key == administrator

    def refuse(self, request: ApiRequest) -> None:
        """Raise the service's own AwsError where whoever signed a request may not do what it asks.

        Who may connect to the port may be anybody on this machine: the key is what tells them apart.
        """
        if self.is_administrator(request):
            if request.service != "s3":
                return
            arn = f"arn:aws:iam::{self._world.account}:user/{ADMINISTRATOR}"
            principal = Principal(arn, [[_EVERYTHING]], {})
        else:
            principal = self._principal(request)
        accesses = actions.access_requests(self._world, request)
        for access in [*accesses, *self._of_missing(request, accesses)]:
            context = {**access.context, **principal.context}
            decision = self.judge(principal.limits, access.action, access.resource, context)
            if decision is not Decision.ALLOWED:
                raise denial(request.service, principal.arn, access, decision)
            if request.service == "s3" and self._is_denied_by_bucket(access, context):
                why = "with an explicit deny in a resource-based policy"
                raise denial(request.service, principal.arn, access, Decision.DENIED, why)

    def _is_denied_by_bucket(self, access: AccessRequest, context: Context) -> bool:
        """Whether the bucket's policy denies it to everybody, administrators too."""
        name = (access.resource or "").removeprefix("arn:aws:s3:::").partition("/")[0]
        bucket = self._world.backend("s3").buckets.get(name)
        if bucket is None or not bucket.policy:
            return False
        denials = [_denied_to_all(bucket.policy)]
        return policies.evaluate(denials, access.action, access.resource, context) is Decision.DENIED

    def judge(
        self, limits: Sequence[Sequence[Document]], action: str, resource: str | None, context: Context
    ) -> Decision:
        """What all of these allow together: a role's policies, its boundary, its session's policy."""
        verdicts = [policies.evaluate(documents, action, resource, context) for documents in limits]
        if Decision.DENIED in verdicts:
            return Decision.DENIED
        return Decision.NOT_ALLOWED if Decision.NOT_ALLOWED in verdicts or not verdicts else Decision.ALLOWED

    def documents(self, arn: str) -> list[Document]:
        """The policies of a role or a user, inline and managed. Raises KeyError for one that is not known."""
        iam = self._world.backend("iam")
        known = {each.arn: each for each in (*iam.roles.values(), *iam.users.values())}
        return _documents(known[arn])

    def _limits(self, role_arn: str, session_policy: str | None = None) -> list[list[Document]]:
        iam = self._world.backend("iam")
        role = next((each for each in iam.roles.values() if each.arn == role_arn), None)
        if role is None:
            return []
        limits = [_documents(role)]
        if role.permissions_boundary_arn:
            boundary = iam.managed_policies.get(role.permissions_boundary_arn)
            limits.append([_parsed(_current(boundary))] if boundary else [])
        if session_policy:
            limits.append([_parsed(session_policy)])
        return limits

    def _assume(self, role_arn: str) -> Any:
        return self._world.backend("sts").assume_role(
            region_name=self._world.region,
            role_session_name=_SESSION,
            role_arn=role_arn,
            policy="",
            duration=int(VALID.total_seconds()),
            external_id="",
        )

    def _holder(self, request: ApiRequest) -> tuple[Any, Any]:
        """The session, or else the user, whose credentials a request has."""
        if not request.access_key:
            raise AwsError("AccessDenied", "Access Denied: the request is not signed", 403)
        session = self._world.backend("sts").get_assumed_role_from_access_key(request.access_key)
        if session is not None:
            if session.expiration < datetime.datetime.now(datetime.UTC).replace(tzinfo=None):
                raise AwsError(*_EXPIRED.get(request.service, _EXPIRED[""]))
            return session, None
        user = self._world.backend("iam").get_user_from_access_key_id(request.access_key)
        if user is None:
            raise AwsError(*_UNKNOWN.get(request.service, _UNKNOWN[""]))
        return None, user

    def _principal(self, request: ApiRequest) -> Principal:
        known = {"aws:principalaccount": self._world.account, "aws:requestedregion": self._world.region}
        session, user = self._holder(request)
        if session is not None:
            known |= {"aws:principalarn": session.role_arn, "aws:userid": session.user_id}
            return Principal(session.arn, self._limits(session.role_arn, session.policy), known)
        known |= {"aws:principalarn": user.arn, "aws:userid": user.id, "aws:username": user.name}
        return Principal(user.arn, [_documents(user)], known)

    def _of_missing(self, request: ApiRequest, accesses: Sequence[AccessRequest]) -> list[AccessRequest]:
        """Whether an object is there is told only to those who may list its bucket ("GetObject", S3).

        A condition on the prefix does not hold then, since such a request has none.
        """
        if not accesses or accesses[0].action != "s3:GetObject":
            return []
        name, key = s3actions.place(request.environ)
        bucket = self._world.backend("s3").buckets.get(name)
        found = bucket.keys.get(key) if bucket else None
        if bucket is None or not (found is None or isinstance(found, FakeDeleteMarker)):
            return []
        missing = {f"s3:{word}": None for word in ("prefix", "delimiter", "max-keys")}
        return [AccessRequest("s3:ListBucket", f"arn:aws:s3:::{name}", missing)]


def denial(
    service: str, principal: str, access: AccessRequest, decision: Decision, why: str = ""
) -> AwsError:
    """The error of a request that is denied, as its service words it.

    "Troubleshoot access denied error messages", IAM user guide.
    """
    quote = '"' if service == "s3" else ""
    on = f" on resource: {quote}{access.resource}{quote}" if access.resource else ""
    why = why or (
        "with an explicit deny in an identity-based policy"
        if decision is Decision.DENIED
        else f"because no identity-based policy allows the {access.action} action"
    )
    message = f"User: {principal} is not authorized to perform: {access.action}{on} {why}"
    if service == "ec2":
        return AwsError(
            "UnauthorizedOperation", f"You are not authorized to perform this operation. {message}", 403
        )
    code = "AccessDenied" if service in _PLAIN else "AccessDeniedException"
    return AwsError(code, message, 400 if service in _OF_JSON else 403)


_PLAIN = frozenset(
    {"s3", "", "sts", "iam", "sns", "cloudformation", "cloudwatch", "autoscaling", "sqs", "rds"}
)
"""Services whose error is AccessDenied: those of XML."""
_OF_JSON = frozenset({"logs", "ssm", "secretsmanager", "ecr", "sagemaker", "events", "kms", "dynamodb"})
"""Services that refuse with status 400: those of JSON 1.0 and 1.1."""
_UNKNOWN = {
    "": ("UnrecognizedClientException", "The security token included in the request is invalid.", 403),
    "s3": (
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
        403,
    ),
    **dict.fromkeys(
        ("sts", "iam", "sns", "cloudformation", "cloudwatch"),
        ("InvalidClientTokenId", "The security token included in the request is invalid.", 403),
    ),
    "ec2": ("AuthFailure", "AWS was not able to validate the provided access credentials", 401),
}
_EXPIRED = {
    "": ("ExpiredTokenException", "The security token included in the request is expired", 403),
    "s3": ("ExpiredToken", "The provided token has expired.", 400),
    **dict.fromkeys(
        ("sts", "iam", "sns", "cloudformation", "cloudwatch"),
        ("ExpiredToken", "The security token included in the request is expired", 403),
    ),
}


@admission
def admit(world: World, request: ApiRequest) -> None:
    """Strangers are refused before a byte of their bodies is read."""
    world.part(IamRoles).admit(request)


@guard
def refuse_other_uploads(world: World, request: ApiRequest) -> None:
    """A part, or the end, of an upload is for the object that the upload was begun for: permissions are held
    against the key of the path, and moto goes by the upload's id alone."""
    if request.service != "s3":
        return
    name, key = s3actions.place(request.environ)
    upload = s3actions.query(request.environ).get("uploadId")
    bucket = world.backend("s3").buckets.get(name) if upload else None
    known = bucket.multiparts.get(upload) if bucket else None
    if known is not None and known.key_name != key:
        raise AwsError("NoSuchUpload", "The specified upload does not exist.", 404)


@guard
def hold_to_policies(world: World, request: ApiRequest) -> None:
    """Every request is held to what its credentials may do."""
    world.part(IamRoles).refuse(request)


@control("credentials", is_open=True)
def credentials(world: World, call: Call) -> dict[str, str]:
    """What a job gets at the address that it was started with; the token in it is what it is known by."""
    with world.lock:
        found = world.part(IamRoles).credentials(call.rest)
    if found is None:
        raise BadInput("no role has these credentials")
    return found


@operation("iam", "SimulatePrincipalPolicy")
def simulate(world: World, request: ApiRequest) -> dict[str, Any]:
    """The answer that a request of this principal would get, by the same evaluation."""
    parameters = request.parameters
    roles = world.part(IamRoles)
    try:
        documents = roles.documents(parameters["PolicySourceArn"])
    except KeyError:
        message = f"The principal {parameters['PolicySourceArn']} cannot be found."
        raise AwsError("NoSuchEntity", message, 404) from None
    documents += [_parsed(text) for text in parameters.get("PolicyInputList", ())]
    context = {
        entry["ContextKeyName"].lower(): next(iter(entry.get("ContextKeyValues", ())), None)
        for entry in parameters.get("ContextEntries", ())
    }
    return {
        "EvaluationResults": [
            _simulated(documents, action, resource, context)
            for action in parameters["ActionNames"]
            for resource in parameters.get("ResourceArns") or ["*"]
        ],
        "IsTruncated": False,
    }


def _simulated(documents: list[Document], action: str, resource: str, context: Context) -> dict[str, Any]:
    decision = policies.evaluate(documents, action, resource, context, strict=True)
    missing = {key for key in policies.condition_keys(documents) if key.lower() not in context}
    return {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": decision.value,
        "MatchedStatements": [],
        "MissingContextValues": sorted(missing),
    }


def _documents(holder: Any) -> list[Document]:
    """The policies of one of moto's roles or users, inline and managed."""
    managed = [_current(policy) for policy in holder.managed_policies.values()]
    return [_parsed(each) for each in (*holder.policies.values(), *managed)]


def _current(policy: Any) -> str:
    """The default version of a managed policy."""
    versions = {version.version_id: version.document for version in policy.versions}
    return str(versions[policy.default_version_id])


@functools.lru_cache(maxsize=32)
def _denied_to_all(policy: bytes) -> Document:
    return policies.denied_to_all(json.loads(policy))


def _parsed(document: Any) -> Document:
    parsed: Document = json.loads(document) if isinstance(document, str | bytes) else document
    return parsed


def set_up(world: World) -> None:
    """Have the world's roles kept, and an administrator for whoever started the sandbox."""
    with world.lock:
        world.roles = world.part(IamRoles)
        iam = world.backend("iam")
        iam.create_user(region_name=world.region, user_name=ADMINISTRATOR)
        iam.put_user_policy(ADMINISTRATOR, ADMINISTRATOR, json.dumps(_EVERYTHING))
        key = iam.create_access_key(ADMINISTRATOR)
        del iam.access_keys[key.access_key_id]
        key.access_key_id, key.secret_access_key = world.administrator
        iam.access_keys[key.access_key_id] = key


def new_keys() -> tuple[str, str]:
    """Credentials that nobody guesses: the identifier too, since it alone is what requests are known by."""
    letters = string.ascii_uppercase + "234567"
    return "AKIA" + "".join(secrets.choice(letters) for _ in range(16)), secrets.token_urlsafe(30)
