"""What deploying a template over another would do."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.deploy.changes.changes import (
    CREATE,
    DELETE,
    REPLACE,
    UPDATE,
    Change,
    changes,
    describe,
    tag_changes,
)
from trainyard.deploy.changes.replacements import CREATE_ONLY
from trainyard.deploy.changes.values import ABSENT, differences

from .synthesised import furnished, stacks

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=4) | st.floats(allow_nan=False)
KEYS = st.sampled_from(["Ref", "Fn::Sub", "Id", "Key", "Value", "Tags", "PolicyDocument", "A", "B.C"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def one(kind: str, old: dict[str, Any], new: dict[str, Any], **attributes: Any) -> Change:
    """The change of a lone resource's properties."""
    before, after = ({"Type": kind, "Properties": each, **attributes} for each in (old, new))
    (change,) = changes({"Resources": {"It": before}}, {"Resources": {"It": after}})
    return change


def by_name(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Change]:
    return {each.logical_id: each for each in changes({"Resources": old}, {"Resources": new})}


@given(VALUES)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert list(differences(value, copy.deepcopy(value))) == []


@given(VALUES, VALUES)
def test_values_that_differ_have_a_line_that_says_so(old: Any, new: Any) -> None:
    found = list(differences(old, new, "Properties"))
    equal = json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
    assert bool(found) != equal
    assert all(each.path and each.text.isprintable() for each in found)


@given(VALUES)
def test_a_value_that_comes_or_goes_has_one_line(value: Any) -> None:
    assert len(list(differences(ABSENT, value, "X"))) == len(list(differences(value, ABSENT, "X"))) == 1


@pytest.mark.parametrize("part", [0, 1])
def test_our_templates_do_not_differ_from_themselves(part: int) -> None:
    assert changes(furnished()[part], copy.deepcopy(furnished()[part])) == []


@given(st.randoms(use_true_random=False))
def test_the_order_in_which_a_template_is_written_changes_nothing(random: Any) -> None:
    def shuffled(template: dict[str, Any]) -> dict[str, Any]:
        names = list(template["Resources"])
        random.shuffle(names)
        return {**template, "Resources": {name: template["Resources"][name] for name in names}}

    old, new = stacks("private")[1], stacks("lean")[1]
    assert changes(shuffled(old), shuffled(new)) == changes(old, new)


def test_there_and_back_creates_what_the_other_deletes() -> None:
    old, new = stacks("private")[1], stacks("lean")[1]
    there, back = changes(old, new), changes(new, old)
    assert {each.logical_id for each in there if each.action == DELETE} == {
        each.logical_id for each in back if each.action == CREATE
    }


def test_a_first_deployment_creates_every_resource() -> None:
    template = stacks("private")[1]
    found = changes(None, template)
    assert {each.action for each in found} == {CREATE}
    assert {each.logical_id for each in found} == set(template["Resources"])


def test_a_detail_names_the_property_and_both_values() -> None:
    change = one(
        "AWS::S3::Bucket",
        {"VersioningConfiguration": {"Status": "Enabled"}},
        {"VersioningConfiguration": {"Status": "Suspended"}},
    )
    assert change.action == UPDATE
    assert change.details == ('Properties.VersioningConfiguration.Status: "Enabled" -> "Suspended"',)


@pytest.mark.parametrize(
    ("kind", "path"), [(kind, path) for kind in CREATE_ONLY for path in CREATE_ONLY[kind]]
)
def test_a_create_only_property_replaces(kind: str, path: str) -> None:
    old: Any = "one"
    new: Any = "two"
    for key in reversed(path.split(".")):
        old, new = {key: old}, {key: new}
    change = one(kind, old, new)
    assert change.action == REPLACE
    assert change.details[0].endswith("(replaces)")


def test_a_create_only_property_that_comes_with_its_parent_replaces() -> None:
    change = one("AWS::ECR::Repository", {}, {"EncryptionConfiguration": {"EncryptionType": "KMS"}})
    assert (change.action, change.holds_data) == (REPLACE, True)


def test_batch_machines_that_ask_for_it_are_updated_in_place() -> None:
    old, new = ({"ComputeResources": {"InstanceTypes": [each]}} for each in ("m5", "m6i"))
    assert one("AWS::Batch::ComputeEnvironment", old, new).may_replace
    in_place = {"ReplaceComputeEnvironment": False}
    change = one("AWS::Batch::ComputeEnvironment", {**old, **in_place}, {**new, **in_place})
    assert (change.action, change.may_replace) == (UPDATE, False)


def test_a_resource_of_another_type_is_replaced() -> None:
    found = by_name({"It": {"Type": "AWS::SNS::Topic"}}, {"It": {"Type": "AWS::S3::Bucket"}})
    assert found["It"].action == REPLACE


def vpc_and_more(cidr: str) -> dict[str, Any]:
    return {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": cidr}},
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}}},
        "Notebook": {
            "Type": "AWS::SageMaker::NotebookInstance",
            "Properties": {"SubnetId": {"Fn::GetAtt": ["Subnet", "SubnetId"]}},
        },
        "Fact": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": {"Fn::Sub": "in ${Vpc}"}}},
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {}},
    }


def test_what_names_a_replaced_resource_follows_it_however_far() -> None:
    found = by_name(vpc_and_more("10.0.0.0/16"), vpc_and_more("10.1.0.0/16"))
    assert {name: each.action for name, each in found.items()} == {
        "Vpc": REPLACE,
        "Subnet": REPLACE,
        "Notebook": REPLACE,
        "Fact": UPDATE,
    }
    assert found["Notebook"].is_dangerous
    assert found["Fact"].details == ("Properties.Value: follows Vpc, which is replaced",)


def test_what_names_a_new_version_of_a_launch_template_follows_it() -> None:
    def resources(size: int) -> dict[str, Any]:
        version = {"Fn::GetAtt": ["Template", "LatestVersionNumber"]}
        return {
            "Template": {
                "Type": "AWS::EC2::LaunchTemplate",
                "Properties": {"LaunchTemplateData": {"Size": size}},
            },
            "Machines": {
                "Type": "AWS::Batch::ComputeEnvironment",
                "Properties": {
                    "ReplaceComputeEnvironment": False,
                    "ComputeResources": {"LaunchTemplate": {"Version": version}},
                },
            },
        }

    found = by_name(resources(1), resources(2))
    assert found["Template"].action == found["Machines"].action == UPDATE
    assert "follows Template" in found["Machines"].details[0]


def test_a_parameter_that_changes_replaces_what_is_made_of_it() -> None:
    def template(vpc: str) -> dict[str, Any]:
        group = {"Type": "AWS::EC2::SecurityGroup", "Properties": {"VpcId": {"Ref": "VpcId"}}}
        return {"Parameters": {"VpcId": {"Default": vpc}}, "Resources": {"Group": group}}

    found = changes(template("vpc-1"), template("vpc-2"))
    assert [(each.action, each.logical_id) for each in found] == [(REPLACE, "Group"), (UPDATE, "VpcId")]


def test_a_group_that_names_itself_is_no_reason_to_replace_it() -> None:
    resources = {"It": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"VpcId": {"Ref": "It"}}}}
    assert by_name(resources, copy.deepcopy(resources)) == {}


@pytest.mark.parametrize(
    ("policy", "retained"),
    [("Retain", True), ("RetainExceptOnCreate", True), ("Delete", False), (None, False)],
)
def test_what_is_deleted_from_a_stack_may_be_left_standing(policy: str | None, retained: bool) -> None:
    bucket = {"Type": "AWS::S3::Bucket", **({"DeletionPolicy": policy} if policy else {})}
    (change,) = changes({"Resources": {"Bucket": bucket}}, {"Resources": {}})
    assert (change.action, change.retained) == (DELETE, retained)


def test_a_replaced_bucket_is_kept_by_its_update_replace_policy() -> None:
    old, new = {"BucketName": "one"}, {"BucketName": "two"}
    assert one("AWS::S3::Bucket", old, new, UpdateReplacePolicy="Retain").retained
    assert not one("AWS::S3::Bucket", old, new, DeletionPolicy="Retain").retained


def test_what_holds_data_and_goes_comes_first_and_says_so_without_colour() -> None:
    old = {
        "A": {"Type": "AWS::SNS::Topic"},
        "Z": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "a"}},
    }
    new = {"Z": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "b"}}}
    found = changes({"Resources": old}, {"Resources": new})
    text = describe(found)
    assert text[0] == "! REPLACES Z (AWS::S3::Bucket), holds data"
    assert text[1].startswith("    Properties.BucketName")
    red = describe(found, emphasise=lambda line: f"<{line}>")
    assert [line for line in red if line.startswith("<")] == [f"<{text[0]}>"]


def test_a_log_group_that_stays_is_no_danger() -> None:
    change = one("AWS::Logs::LogGroup", {"RetentionInDays": 30}, {"RetentionInDays": 60})
    assert change.holds_data and not change.is_dangerous


def test_long_values_are_told_apart_where_they_differ() -> None:
    same = "x" * 500
    change = one(
        "AWS::CloudWatch::Dashboard", {"DashboardBody": same + "old"}, {"DashboardBody": same + "new"}
    )
    assert "old" in change.details[0] and "new" in change.details[0]
    assert len(change.details[0]) < 250


def test_rules_with_a_name_are_compared_by_it() -> None:
    def rules(*pairs: tuple[str, int]) -> dict[str, Any]:
        return {"Rules": [{"Id": name, "ExpirationInDays": days} for name, days in pairs]}

    change = one("AWS::S3::Bucket", rules(("a", 1), ("b", 2)), rules(("b", 3), ("a", 1)))
    assert change.details == ("Properties.Rules[b].ExpirationInDays: 2 -> 3",)


def test_outputs_and_the_rest_of_a_template_are_compared_too() -> None:
    old: dict[str, Any] = {"Resources": {}, "Outputs": {"A": {"Value": 1}}, "Description": "x"}
    new: dict[str, Any] = {"Resources": {}, "Outputs": {"A": {"Value": 2}}, "Description": "y"}
    assert [(each.logical_id, each.type) for each in changes(old, new)] == [
        ("Description", "Template"),
        ("A", "Output"),
    ]


def test_a_type_that_is_not_known_says_so() -> None:
    assert "not known" in one("AWS::New::Thing", {"A": 1}, {"A": 2}).details[-1]


def test_tags_of_the_stack_replace_batch_machines() -> None:
    template = {"Resources": {"Machines": {"Type": "AWS::Batch::ComputeEnvironment"}}}
    assert tag_changes({"team": "a"}, {"team": "b"}, template) == [
        'tags.team: "a" -> "b"',
        "Machines: REPLACED, since it takes tags only when it is made",
    ]
    assert tag_changes({"team": "a"}, {"team": "a"}, template) == []
