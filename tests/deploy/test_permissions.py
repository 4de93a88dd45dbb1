"""What a change widens or narrows in permissions."""

from __future__ import annotations

import copy
import json
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.deploy.changes.grants import Grant, grants, is_narrower
from trainyard.deploy.changes.permissions import NARROWED, WIDENED, changes, describe, resource_words

from .synthesised import furnished, stacks

ACTIONS = st.sampled_from(["s3:*", "s3:Get*", "s3:GetObject", "s3:PutObject", "s3:Get?bject", "*"])
RESOURCES = st.sampled_from(
    ["*", "arn:aws:s3:::a/*", "arn:aws:s3:::a/x*", "arn:aws:s3:::a/x", "arn:aws:s3:::b"]
)
CONDITIONS = st.sampled_from([None, {"Bool": {"aws:SecureTransport": "true"}}])


def sublists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=3)


@st.composite
def statements(draw: st.DrawFn) -> dict[str, Any]:
    condition = draw(CONDITIONS)
    return {
        "Effect": draw(st.sampled_from(["Allow", "Deny"])),
        "Action": draw(sublists(ACTIONS)),
        "Resource": draw(sublists(RESOURCES)),
        **({"Condition": condition} if condition else {}),
    }


def role(*found: dict[str, Any], **properties: Any) -> dict[str, Any]:
    policy = {"PolicyName": "p", "PolicyDocument": {"Statement": list(found)}}
    return {"Type": "AWS::IAM::Role", "Properties": {"Policies": [policy], **properties}}


def of(*found: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"Resources": {"TrainingRole": role(*found, **properties)}}


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


CHECKPOINTS = {"Fn::Sub": "arn:${AWS::Partition}:s3:::${ModelBucket}/checkpoints/*"}
TLS = {"Bool": {"aws:SecureTransport": "true"}}


@given(st.lists(statements(), max_size=4))
def test_equal_policies_differ_in_nothing(found: list[dict[str, Any]]) -> None:
    assert changes(of(*found), of(*copy.deepcopy(found))) == []


@given(st.lists(statements(), max_size=4), st.randoms(use_true_random=False))
def test_statements_put_together_otherwise_say_nothing(found: list[dict[str, Any]], random: Any) -> None:
    apart = [
        {**each, "Action": action, "Resource": resource}
        for each in found
        for action in each["Action"]
        for resource in each["Resource"]
    ]
    random.shuffle(apart)
    assert changes(of(*found), of(*apart)) == []


@given(st.lists(statements(), max_size=3), statements())
def test_one_allow_more_never_narrows_and_one_deny_more_never_widens(
    found: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    direction = WIDENED if more["Effect"] == "Allow" else NARROWED
    opposite = NARROWED if direction == WIDENED else WIDENED
    assert all(line.startswith(direction) for line in changes(of(*found), of(*found, more)))
    assert all(line.startswith(opposite) for line in changes(of(*found, more), of(*found)))


@given(st.lists(statements(), max_size=3), st.lists(statements(), max_size=3))
def test_what_is_not_covered_by_what_was_allowed_is_said_to_be_wider(
    old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> None:
    before = {each for each in grants(of(*old)) if each.effect == "Allow"}
    after = {each for each in grants(of(*new)) if each.effect == "Allow"}
    is_wider = any(not any(known.covers(each) for known in before) for each in after)
    assert not is_wider or any(line.startswith(WIDENED) for line in changes(of(*old), of(*new)))


@given(ACTIONS, RESOURCES, ACTIONS, RESOURCES)
def test_a_grant_that_covers_another_lets_all_through_that_it_does(
    action: str, resource: str, other_action: str, other_resource: str
) -> None:
    one = Grant("R", "", "Allow", action, resource, "")
    other = Grant("R", "", "Allow", other_action, other_resource, "")
    if one.covers(other):
        for sample in ("s3:GetObject", "s3:PutObject", "s3:Getxbject", "ec2:Run"):
            assert fnmatchcase(sample, action) or not fnmatchcase(sample, other_action)


def test_a_new_action_is_told_in_a_sentence_with_the_resource_as_it_is_written() -> None:
    read = allow("s3:GetObject", CHECKPOINTS)
    assert changes(of(read), of(read, allow("s3:DeleteObject", CHECKPOINTS))) == [
        "widened: TrainingRole may also s3:DeleteObject on ${ModelBucket}/checkpoints/*"
    ]
    assert changes(of(read, allow("s3:DeleteObject", CHECKPOINTS)), of(read)) == [
        "narrowed: TrainingRole may no longer s3:DeleteObject on ${ModelBucket}/checkpoints/*"
    ]


def test_actions_with_the_same_resources_share_a_sentence() -> None:
    (line,) = changes(
        of(), of(allow(["s3:PutObject", "s3:GetObject"], ["arn:aws:s3:::b/*", "arn:aws:s3:::a/*"]))
    )
    assert line == "widened: TrainingRole may also s3:GetObject and s3:PutObject on a/* and b/*"


def test_what_a_wildcard_allowed_before_is_no_widening() -> None:
    lines = changes(of(allow("s3:*")), of(allow("s3:GetObject", "arn:aws:s3:::a/*")))
    assert lines == ["narrowed: TrainingRole may no longer s3:* on everything"]


def test_a_dropped_condition_widens_and_a_new_one_narrows() -> None:
    free, bound = of(allow("s3:GetObject")), of(allow("s3:GetObject", Condition=TLS))
    assert changes(bound, free) == [
        "widened: TrainingRole may s3:GetObject on everything:"
        " the condition aws:SecureTransport is true was dropped"
    ]
    assert changes(free, bound)[0].startswith(
        "narrowed: TrainingRole may s3:GetObject on everything: now only if"
    )


def test_a_dropped_condition_of_a_deny_narrows() -> None:
    (line,) = changes(of(deny("s3:*", Condition=TLS)), of(deny("s3:*")))
    assert line.startswith("narrowed: TrainingRole must not s3:*")


def test_more_values_of_a_condition_widen_and_fewer_narrow() -> None:
    def prefixes(*values: str) -> dict[str, Any]:
        return of(allow("s3:ListBucket", Condition={"StringLike": {"s3:prefix": list(values)}}))

    assert changes(prefixes("a/*"), prefixes("a/*", "b/*"))[0].startswith(WIDENED)
    assert changes(prefixes("a/*", "b/*"), prefixes("a/*"))[0].startswith(NARROWED)
    assert changes(prefixes("a/*"), prefixes("c/*"))[0].startswith(WIDENED)


def test_more_values_of_a_negative_condition_are_not_taken_for_wider_or_narrower() -> None:
    one, two = (json.dumps({"StringNotEquals": {"k": each}}) for each in (["a"], ["a", "b"]))
    assert not is_narrower(one, two)
    assert not is_narrower(two, one)


def test_a_new_deny_narrows_and_a_dropped_one_widens() -> None:
    assert changes(of(), of(deny("s3:*")))[0].startswith("narrowed: TrainingRole is now denied s3:*")
    assert changes(of(deny("s3:*")), of())[0].startswith("widened: TrainingRole is no longer denied s3:*")


def test_all_but_an_action_is_wider_than_the_same_with_more_left_out() -> None:
    few = of({"Effect": "Allow", "NotAction": ["iam:*", "sts:*"], "Resource": "*"})
    many = of({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})
    assert any(line.startswith(WIDENED) for line in changes(few, many))
    assert "all but iam:*" in changes(few, many)[0]


def test_who_may_assume_a_role_is_told() -> None:
    def trusted(**principal: str) -> dict[str, Any]:
        statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
        return of(AssumeRolePolicyDocument={"Statement": [statement]})

    assert changes(trusted(Service="a.amazonaws.com"), trusted(AWS="*")) == [
        "widened: TrainingRole may also be assumed by anyone",
        "narrowed: TrainingRole may no longer be assumed by a.amazonaws.com",
    ]


def test_managed_policies_and_boundaries_are_told() -> None:
    admin = "arn:aws:iam::aws:policy/AdministratorAccess"
    assert changes(of(), of(ManagedPolicyArns=[admin])) == [
        f"widened: TrainingRole may also do what {admin} allows"
    ]
    assert changes(of(PermissionsBoundary="b"), of())[0].startswith(
        "widened: TrainingRole is no longer bounded"
    )
    assert changes(of(), of(PermissionsBoundary="b"))[0].startswith("narrowed: TrainingRole is now bounded")


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("AWS::IAM::RolePolicy", {"RoleName": {"Ref": "TrainingRole"}}),
        ("AWS::IAM::Policy", {"Roles": [{"Ref": "TrainingRole"}]}),
    ],
)
def test_a_policy_beside_a_role_is_the_role_s(kind: str, more: dict[str, Any]) -> None:
    new = of(allow("s3:GetObject"))
    beside = {"Type": kind, "Properties": {"PolicyDocument": {"Statement": [allow("s3:GetObject")]}, **more}}
    apart = {"Resources": {**of()["Resources"], "Beside": beside}}
    assert changes(new, apart) == []


def test_resource_policies_name_who_and_by_which() -> None:
    def bucket(*found: dict[str, Any]) -> dict[str, Any]:
        properties = {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": {"Statement": list(found)}}
        return {"Resources": {"BucketPolicy": {"Type": "AWS::S3::BucketPolicy", "Properties": properties}}}

    arn = {"Fn::Join": ["", [{"Fn::GetAtt": ["Bucket", "Arn"]}, "/*"]]}
    (line,) = changes(bucket(), bucket({**allow("s3:GetObject", arn), "Principal": "*"}))
    assert line == "widened: anyone (by BucketPolicy) may also s3:GetObject on ${Bucket.Arn}/*"


def test_an_endpoint_without_a_policy_lets_everything_pass() -> None:
    def endpoint(**properties: Any) -> dict[str, Any]:
        return {"Resources": {"S3": {"Type": "AWS::EC2::VPCEndpoint", "Properties": properties}}}

    closed = endpoint(PolicyDocument={"Statement": [{**allow("s3:GetObject"), "Principal": "*"}]})
    assert changes(closed, endpoint()) == ["widened: anyone (by S3) may also * on everything"]


def test_an_endpoint_more_is_no_permission_more() -> None:
    old, new = (stacks(network)[1] for network in ("lean", "private"))
    assert not any("Endpoint" in line for line in changes(old, new))


def test_both_branches_of_a_condition_count() -> None:
    (line,) = changes(of(), of({"Fn::If": ["Some", allow("s3:GetObject"), {"Ref": "AWS::NoValue"}]}))
    assert "s3:GetObject" in line


def test_what_is_widened_comes_first_and_is_emphasised() -> None:
    lines = changes(of(allow("a:Old"), allow("z:Old")), of(allow("m:New")))
    assert [line.partition(":")[0] for line in lines] == [WIDENED, NARROWED]
    assert describe(lines, emphasise=str.upper) == [lines[0].upper(), lines[1]]


def test_a_first_deployment_is_summed_up_by_role_with_what_is_on_everything() -> None:
    lines = changes(
        None, of(allow(["s3:GetObject", "s3:PutObject"], CHECKPOINTS), allow("ecr:GetAuthorizationToken"))
    )
    assert lines == ["TrainingRole gets 3 permissions; on every resource: ecr:GetAuthorizationToken"]


@pytest.mark.parametrize("part", [0, 1])
def test_our_templates_differ_in_nothing_from_themselves(part: int) -> None:
    assert changes(furnished()[part], copy.deepcopy(furnished()[part])) == []


@pytest.mark.parametrize(
    ("arn", "words"),
    [
        ("*", "everything"),
        ("arn:aws:s3:::bucket/models/*", "bucket/models/*"),
        ("arn:${AWS::Partition}:s3:::${ModelBucket}/code/*", "${ModelBucket}/code/*"),
        ("arn:${AWS::Partition}:batch:${AWS::Region}:${AWS::AccountId}:job/*", "batch job/*"),
        (
            "arn:aws:ecr:eu-west-1:763104351884:repository/x",
            "arn:aws:ecr:eu-west-1:763104351884:repository/x",
        ),
        ("${Role.Arn}", "${Role.Arn}"),
    ],
)
def test_resources_read_as_short_as_they_can(arn: str, words: str) -> None:
    assert resource_words(arn) == words
