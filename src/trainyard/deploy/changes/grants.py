"""Who may do what by a template: its policies taken apart into the smallest sentences. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any, NamedTuple

from .intrinsics import as_list, canonical, is_intrinsic, render

ALLOW, DENY = "Allow", "Deny"
NEGATED = "all but "
"""How the text of a `NotAction`, `NotResource` or `NotPrincipal` begins."""

_ROLE, _ENDPOINT = "AWS::IAM::Role", "AWS::EC2::VPCEndpoint"
_OPEN_ENDPOINT = {"Statement": {"Effect": ALLOW, "Principal": "*", "Action": "*", "Resource": "*"}}
"""What an endpoint without a policy lets pass ("Control access to VPC endpoints", PrivateLink guide)."""


class Grant(NamedTuple):
    """One action of `holder` on one resource.

    `through` is the resource whose policy says so, "" where it is the holder's own. `condition` is canonical
    JSON, "" for none.
    """

    holder: str
    through: str
    effect: str
    action: str
    resource: str
    condition: str

    def covers(self, other: Grant) -> bool:
        """Whether this one includes all that the other says. May err towards false, never towards true."""
        return (
            self[:3] == other[:3]
            and self.condition in ("", other.condition)
            and _includes(self.action.lower(), other.action.lower())
            and _includes(self.resource, other.resource)
        )

    @property
    def unconditioned(self) -> Grant:
        """The same without its condition."""
        return self._replace(condition="")


def grants(template: Mapping[str, Any]) -> set[Grant]:
    """Everything that the policies of a template allow and deny, but for who assumes roles."""
    return {
        grant
        for name, resource in template.get("Resources", {}).items()
        for holders, through, document in _policies(name, resource)
        for statement in _statements(document)
        for grant in _of_statement(holders, through, statement)
    }


def trusts(template: Mapping[str, Any]) -> set[Grant]:
    """Who may assume the template's roles; `resource` is the role."""
    return {
        grant._replace(resource=f"${{{name}}}", through="")
        for name, role in _of_type(template, _ROLE)
        for statement in _statements(role.get("AssumeRolePolicyDocument", {}))
        for grant in _of_statement((), name, statement)
    }


def attachments(template: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Roles (or users, groups) and the managed policies that they have."""
    by_roles = {
        (name, bare(each))
        for name, role in _of_type(template, _ROLE)
        for each in as_list(role.get("ManagedPolicyArns"))
    }
    policies = _of_type(template, "AWS::IAM::ManagedPolicy")
    return by_roles | {(holder, name) for name, policy in policies for holder in _attached(policy)}


def boundaries(template: Mapping[str, Any]) -> dict[str, str]:
    """The permissions boundary of each role, "" for none."""
    return {name: render(role.get("PermissionsBoundary", "")) for name, role in _of_type(template, _ROLE)}


def endpoints(template: Mapping[str, Any]) -> set[str]:
    """The VPC endpoints, by logical id."""
    return {name for name, _ in _of_type(template, _ENDPOINT)}


def bare(value: Any) -> str:
    """A value as text, a lone `${Name}` as `Name`."""
    text = render(value)
    lone = re.fullmatch(r"\$\{([A-Za-z0-9]+)(?:\.Arn)?\}", text)
    return lone[1] if lone else text


def _of_type(template: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The resources of a type: their logical ids and properties."""
    for name, resource in template.get("Resources", {}).items():
        if resource.get("Type") == kind:
            yield name, resource.get("Properties", {})


def _attached(properties: Mapping[str, Any]) -> list[str]:
    return [bare(each) for key in ("Roles", "Users", "Groups") for each in as_list(properties.get(key))]


def _policies(
    name: str, resource: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, ...], str, Mapping[str, Any]]]:
    """The holders of each policy document, the resource whose policy it is, and the document."""
    kind, properties = resource.get("Type"), resource.get("Properties", {})
    document = properties.get("PolicyDocument", {})
    if kind == _ROLE:
        for each in as_list(properties.get("Policies")):
            yield (name,), "", each.get("PolicyDocument", {})
    elif kind == "AWS::IAM::RolePolicy":
        yield (bare(properties.get("RoleName", name)),), "", document
    elif kind == "AWS::IAM::Policy":
        yield tuple(_attached(properties)) or (name,), "", document
    elif kind == "AWS::IAM::ManagedPolicy":
        yield (name,), "", document
    elif kind in ("AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy"):
        yield (), name, document
    elif kind == _ENDPOINT:
        yield (), name, document or _OPEN_ENDPOINT
    elif kind == "AWS::KMS::Key":
        yield (), name, properties.get("KeyPolicy", {})
    elif kind == "AWS::ECR::Repository":
        yield (), name, properties.get("RepositoryPolicyText", {})


def _statements(document: Any) -> Iterator[Mapping[str, Any]]:
    """The statements of a document, those of both branches of an `Fn::If`."""
    for each in as_list(document.get("Statement")):
        if is_intrinsic(each):
            yield from _statements(
                {"Statement": [it for it in each.get("Fn::If", []) if isinstance(it, Mapping)]}
            )
        else:
            yield each


def _of_statement(holders: tuple[str, ...], through: str, statement: Mapping[str, Any]) -> Iterator[Grant]:
    condition = canonical(_plain(statement["Condition"])) if statement.get("Condition") else ""
    for holder, action, resource in product(
        holders or _principals(statement), _texts(statement, "Action"), _texts(statement, "Resource")
    ):
        yield Grant(holder, through, statement.get("Effect", ALLOW), action, resource, condition)


def _texts(statement: Mapping[str, Any], key: str) -> list[str]:
    if f"Not{key}" in statement:
        return [NEGATED + " and ".join(sorted(render(each) for each in as_list(statement[f"Not{key}"])))]
    # Policies on a repository and trust policies name no resource: it is their own.
    return [render(each) for each in as_list(statement.get(key, "*" if key == "Resource" else None))]


def _principals(statement: Mapping[str, Any]) -> tuple[str, ...]:
    if "NotPrincipal" in statement:
        return (NEGATED + " and ".join(sorted(_named(statement["NotPrincipal"]))),)
    return tuple(_named(statement.get("Principal", "*")))


def _named(principal: Any) -> list[str]:
    if not isinstance(principal, Mapping):
        return ["anyone" if principal == "*" else render(principal)]
    return [
        "anyone" if each == "*" and kind == "AWS" else bare(each)
        for kind, names in principal.items()
        for each in as_list(names)
    ]


def _plain(condition: Any) -> Any:
    """A condition with intrinsic functions as text, one value and a list of one alike, values in order."""
    return {
        operator: {key: sorted(render(each) for each in as_list(values)) for key, values in tests.items()}
        for operator, tests in condition.items()
    }


def _includes(pattern: str, other: str) -> bool:
    """Whether a pattern of IAM's includes another: every text that matches `other` matches it too."""
    if pattern == other:
        return True
    if pattern == "*" or NEGATED in (pattern[: len(NEGATED)], other[: len(NEGATED)]):
        return pattern == "*"
    return _expression(pattern).fullmatch(other) is not None


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    # A `?` stands for one character, which a `*` of the other pattern is not.
    parts = {"*": ".*", "?": "[^*]"}
    return re.compile("".join(parts.get(each) or re.escape(each) for each in pattern), re.DOTALL)


_WORDS = {
    "StringEquals": "is",
    "StringNotEquals": "is not",
    "StringLike": "is like",
    "StringNotLike": "is not like",
    "ArnEquals": "is",
    "ArnNotEquals": "is not",
    "ArnLike": "is like",
    "ArnNotLike": "is not like",
    "Bool": "is",
    "Null": "is absent:",
    "IpAddress": "is in",
    "NotIpAddress": "is not in",
    "NumericLessThanEquals": "is at most",
    "DateGreaterThan": "is after",
    "DateLessThan": "is before",
}
_ALTERNATIVES = frozenset({"StringEquals", "StringLike", "ArnEquals", "ArnLike", "IpAddress"})
"""Operators of which one value is enough: each further one lets more through."""

Tests = dict[tuple[str, str], list[str]]
"""The values by operator and key."""


def words_of(condition: str) -> str:
    """`aws:SourceAccount is ${AWS::AccountId} and s3:prefix is like a/* or b/*`."""
    return " and ".join(
        f"{key} {_operator(operator)} {' or '.join(values)}"
        for (operator, key), values in _tests(condition).items()
    )


def is_narrower(condition: str, other: str) -> bool:
    """Whether whatever the condition lets through, the other does. May be false where it is so, never the
    reverse; "" lets everything through."""
    strict, loose = _tests(condition), _tests(other)
    return all(test in strict and _at_most(test[0], strict[test], values) for test, values in loose.items())


def _at_most(operator: str, values: list[str], of: list[str]) -> bool:
    if operator in _ALTERNATIVES:
        return set(values) <= set(of)
    return values == of


def _operator(name: str) -> str:
    base, lenient = name.removesuffix("IfExists"), name.endswith("IfExists")
    words = _WORDS.get(base, base)
    return f"(where there is one) {words}" if lenient else words


def _tests(condition: str) -> Tests:
    parsed = json.loads(condition) if condition else {}
    return {(operator, key): values for operator, tests in parsed.items() for key, values in tests.items()}
