"""IAM's evaluation of policies, by examples."""

from __future__ import annotations

from typing import Any

import pytest

from trainyard.sandbox.iam.policies import Decision, evaluate

BUCKET = "arn:aws:s3:::models"


def statement(effect: str = "Allow", **parts: Any) -> dict[str, Any]:
    return {"Effect": effect, **parts}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def decision(document: dict[str, Any], action: str, resource: str | None, **options: Any) -> str:
    context = options.pop("context", {})
    return str(evaluate([document], action, resource, context, **options).value)


ALLOWED, NOT_ALLOWED, DENIED = (
    each.value for each in (Decision.ALLOWED, Decision.NOT_ALLOWED, Decision.DENIED)
)


@pytest.mark.parametrize(
    ("pattern", "action", "expected"),
    [
        ("s3:GetObject", "s3:GetObject", ALLOWED),
        ("s3:getobject", "s3:GetObject", ALLOWED),
        ("s3:Get*", "s3:GetObject", ALLOWED),
        ("s3:GetObj?ct", "s3:GetObject", ALLOWED),
        ("*", "s3:GetObject", ALLOWED),
        ("s3:Get", "s3:GetObject", NOT_ALLOWED),
        ("s3:GetObject", "s3:GetObjectAcl", NOT_ALLOWED),
        ("s3.GetObject", "s3:GetObject", NOT_ALLOWED),
    ],
)
def test_an_action_fits_a_pattern_of_any_case(pattern: str, action: str, expected: str) -> None:
    assert decision(policy(statement(Action=pattern, Resource="*")), action, BUCKET) == expected


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        (f"{BUCKET}/*", f"{BUCKET}/a/b", ALLOWED),
        (f"{BUCKET}/code/*", f"{BUCKET}/code/x", ALLOWED),
        (f"{BUCKET}/code/*", f"{BUCKET}/code", NOT_ALLOWED),
        (f"{BUCKET}/code/*", f"{BUCKET}/CODE/x", NOT_ALLOWED),
        (f"{BUCKET}/a?c", f"{BUCKET}/abc", ALLOWED),
        (f"{BUCKET}/a${{*}}", f"{BUCKET}/a*", ALLOWED),
        (f"{BUCKET}/a${{*}}", f"{BUCKET}/ab", NOT_ALLOWED),
        (f"{BUCKET}/${{aws:username}}/*", f"{BUCKET}/ann/x", ALLOWED),
        (f"{BUCKET}/${{aws:username}}/*", f"{BUCKET}/bob/x", NOT_ALLOWED),
        (f"{BUCKET}/${{aws:nothing}}/*", f"{BUCKET}//x", NOT_ALLOWED),
    ],
)
def test_a_resource_fits_a_pattern_of_its_own_case(pattern: str, resource: str, expected: str) -> None:
    document = policy(statement(Action="s3:GetObject", Resource=pattern))
    assert decision(document, "s3:GetObject", resource, context={"aws:username": "ann"}) == expected


def test_a_deny_outweighs_every_allow() -> None:
    document = policy(
        statement(Action="*", Resource="*"),
        statement("Deny", Action="s3:DeleteObject", Resource=f"{BUCKET}/models/*"),
    )
    assert decision(document, "s3:DeleteObject", f"{BUCKET}/models/x") == DENIED
    assert decision(document, "s3:DeleteObject", f"{BUCKET}/checkpoints/x") == ALLOWED


def test_all_but_is_understood() -> None:
    document = policy(
        statement(NotAction=["iam:*", "s3:Delete*"], Resource="*"),
        statement("Deny", Action="s3:PutObject", NotResource=f"{BUCKET}/models/*"),
    )
    assert decision(document, "s3:GetObject", BUCKET) == ALLOWED
    assert decision(document, "s3:DeleteObject", BUCKET) == NOT_ALLOWED
    assert decision(document, "iam:PassRole", "arn:aws:iam::1:role/x") == NOT_ALLOWED
    assert decision(document, "s3:PutObject", f"{BUCKET}/models/x") == ALLOWED
    assert decision(document, "s3:PutObject", f"{BUCKET}/code/x") == DENIED


LISTING = policy(
    statement(
        Action="s3:ListBucket",
        Resource=BUCKET,
        Condition={"StringLike": {"s3:prefix": ["code/*", "models/*"]}},
    )
)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("models/x", ALLOWED),
        ("models/", ALLOWED),
        ("model", NOT_ALLOWED),
        ("", NOT_ALLOWED),
        (None, NOT_ALLOWED),
    ],
)
def test_a_listing_is_held_to_its_prefix(prefix: str | None, expected: str) -> None:
    assert decision(LISTING, "s3:ListBucket", BUCKET, context={"s3:prefix": prefix}) == expected


def test_a_condition_that_cannot_be_known_holds_in_an_allow_and_not_in_a_deny() -> None:
    tagged = {"StringEquals": {"aws:ResourceTag/team": "vision"}}
    assert decision(policy(statement(Action="a:B", Resource="*", Condition=tagged)), "a:B", "x") == ALLOWED
    both = policy(
        statement(Action="a:B", Resource="*"),
        statement("Deny", Action="a:B", Resource="*", Condition=tagged),
    )
    assert decision(both, "a:B", "x") == ALLOWED


def test_a_simulation_takes_a_condition_key_that_is_not_given_for_absent() -> None:
    assert decision(LISTING, "s3:ListBucket", BUCKET, strict=True) == NOT_ALLOWED
    context = {"s3:prefix": "code/x"}
    assert decision(LISTING, "s3:ListBucket", BUCKET, strict=True, context=context) == ALLOWED


@pytest.mark.parametrize(
    ("operator", "value", "found", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "A", "a", False),
        ("StringEqualsIgnoreCase", "A", "a", True),
        ("StringNotEquals", "a", "b", True),
        ("StringNotEquals", "a", None, True),
        ("StringNotLike", "a*", "ab", False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("Bool", "true", "True", True),
        ("Bool", "true", None, False),
        ("BoolIfExists", "false", None, True),
        ("Null", "true", None, True),
        ("Null", "false", None, False),
        ("Null", "false", "x", True),
        ("ArnLike", "arn:aws:iam::*:role/x", "arn:aws:iam::1:role/x", True),
        ("NumericLessThan", "10", "9", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericGreaterThanEquals", "10", "10", True),
        ("ForAllValues:StringEquals", "a", None, True),
        ("ForAnyValue:StringEquals", "a", None, False),
    ],
)
def test_operators_of_conditions(operator: str, value: str, found: str | None, expected: bool) -> None:
    document = policy(statement(Action="a:B", Resource="*", Condition={operator: {"Some:Key": value}}))
    told = decision(document, "a:B", "x", context={"some:key": found})
    assert told == (ALLOWED if expected else NOT_ALLOWED)


def test_a_resource_that_is_not_known_fits_what_is_allowed_and_only_a_deny_of_everything() -> None:
    document = policy(
        statement(Action="a:*", Resource="arn:x"), statement("Deny", Action="a:C", Resource="arn:y")
    )
    assert decision(document, "a:B", None) == ALLOWED
    assert decision(document, "a:C", None) == ALLOWED
    assert decision(policy(statement("Deny", Action="a:B", Resource="*")), "a:B", None) == DENIED


def test_statements_and_lists_may_stand_alone() -> None:
    document = {"Statement": statement(Action="a:B", Resource="x")}
    assert decision(document, "a:B", "x") == ALLOWED
    assert decision({}, "a:B", "x") == NOT_ALLOWED
