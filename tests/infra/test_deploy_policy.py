"""The least policies of who deploys: enough for what the templates hold, and for what the verbs ask.

What CloudFormation does with a resource under the caller's credentials is in the `handlers` of the resource's
schema (cfn-lint has a copy).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from templates import CONFIGURATIONS, stacks

from trainyard.aws.account.errors import STATEMENTS, statement_of
from trainyard.core.environments.environment import Environment
from trainyard.core.environments.facts import TRAINING_LOG_GROUP
from trainyard.deploy.preparation import SERVICE_LINKED_ROLES

ROOT = Path(__file__).parents[2]
FILES = ("deploy-policy.json", "deploy-policy-services.json")
MANAGED_POLICY = 6_144
"""Characters without white space ("IAM and AWS STS character limits")."""

UNUSED = (
    "autoscaling:DescribeTags",
    "ec2:*PrivateNatGatewayAddress",
    "ec2:*SubnetCidrBlock",
    "ec2:*VpcEncryptionControl*",
    "ec2:*VpnGateway*",
    "ec2:AcceptAddressTransfer",
    "ec2:AssociateAddress",
    "ec2:*NatGatewayAddress",
    "ec2:ModifyVpcTenancy",
    "eks:*",
    "firehose:*",
    "iam:*GroupPolicy",
    "iam:*UserPolicy",
    "logs:*BearerTokenAuthentication",
    "logs:*IndexPolicy",
    "logs:*ResourcePolicy",
    "logs:DeleteDataProtectionPolicy",
    "logs:PutDataProtectionPolicy",
    "logs:PutLogGroupDeletionProtection",
    "s3:*Abac",
    "s3:*Analytics*",
    "s3:*BucketCors",
    "s3:*CORS",
    "s3:*InventoryConfiguration",
    "s3:*Metadata*",
    "s3:*MetricsConfiguration",
    "s3:*Object*",
    "s3:*Replication*",
    "s3:*Website",
    "s3:DeleteBucketEncryption",
    "s3:DeleteBucketLifecycle",
    "s3:PutAccelerateConfiguration",
    "s3:PutBucketNotification",
    "s3:PutIntelligentTieringConfiguration",
    "s3:REST.*",
    "s3tables:*",
    "sns:PutDataProtectionPolicy",
    "vpc-lattice:*",
    "vpce:*",
)
"""What handlers ask for features that no template has."""

WITHOUT_PERMISSION = {"sts:GetCallerIdentity"}
ALONG = {"cloudformation:TagResource", "s3:GetObject", "kms:Decrypt", "kms:GenerateDataKey"}
"""Comes with the tags of CreateChangeSet, and with its TemplateURL, read with its caller's rights."""


@cache
def statements() -> list[dict[str, Any]]:
    contents = [json.loads((ROOT / "docs" / name).read_text(encoding="utf-8")) for name in FILES]
    return [each for content in contents for each in content["Statement"]]


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def is_like(action: str, patterns: Any) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


def allowing(action: str) -> list[dict[str, Any]]:
    return [each for each in statements() if is_like(action, as_list(each["Action"]))]


def types() -> list[str]:
    return sorted({each["Type"] for name in CONFIGURATIONS for each in stacks(name).resources.values()})


def handled(kind: str) -> set[str]:
    """What CloudFormation asks to create, read, update and delete a resource; listing is for imports."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    found = {
        action
        for verb, handler in schema["handlers"].items()
        if verb != "list"
        for action in handler["permissions"]
    }
    assert found
    return found


def asked() -> Iterator[str]:
    """The actions that trainyard itself asks for, read off its calls."""
    package = ROOT / "src/trainyard"
    for path in [*(package / "deploy").rglob("*.py"), package / "aws/account/session.py"]:
        text = path.read_text(encoding="utf-8")
        for service, operation in re.findall(r'(?:call|pages)\(\s*"([a-z0-9]+)",\s*"([a-z_]+)"', text):
            yield f"{service}:{operation.title().replace('_', '')}"
        if path.name == "stacks.py":
            for operation in re.findall(r'_call\(\s*"([a-z_]+)"', text):
                yield f"cloudformation:{operation.title().replace('_', '')}"


@pytest.mark.parametrize("name", FILES)
def test_a_policy_is_one_that_iam_takes(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    content = json.loads(text)
    assert len(re.sub(r"\s", "", text)) <= MANAGED_POLICY
    assert content["Version"] == "2012-10-17"
    sids = [each["Sid"] for each in content["Statement"]]
    assert len(set(sids)) == len(sids) and all(sid.isalnum() for sid in sids)
    assert {each["Effect"] for each in content["Statement"]} == {"Allow"}


@pytest.mark.parametrize("kind", types())
def test_cloudformation_may_make_change_and_delete(kind: str) -> None:
    assert not [each for each in handled(kind) if not is_like(each, UNUSED) and not allowing(each)]


def test_nothing_is_called_unused_that_no_handler_asks_for() -> None:
    asked_for = {each for kind in types() for each in handled(kind)}
    assert not [pattern for pattern in UNUSED if not any(is_like(each, [pattern]) for each in asked_for)]


def test_whatever_a_verb_asks_for_is_allowed() -> None:
    actions = set(asked())
    assert {"cloudformation:CreateChangeSet", "iam:GetRole", "batch:ListJobs"} <= actions
    assert not [each for each in actions - WITHOUT_PERMISSION if not allowing(each)]


def test_nothing_is_allowed_that_nobody_asks_for() -> None:
    wanted = {each for kind in types() for each in handled(kind)} | set(asked()) | ALONG
    allowed = [action for each in statements() for action in as_list(each["Action"])]
    assert not [action for action in allowed if not any(is_like(one, [action]) for one in wanted)]


def test_every_statement_that_an_error_names_is_there_and_allows_it() -> None:
    for service, sid in STATEMENTS.items():
        mine = [
            each
            for each in statements()
            if is_like(f"{service}:", [a.partition(":")[0] + ":" for a in as_list(each["Action"])])
        ]
        assert all(each["Sid"].startswith((sid, "ServiceLinkedRoles")) for each in mine), service
        assert any(each["Sid"] == sid for each in statements())
    assert statement_of("iam:CreateServiceLinkedRole") == "ServiceLinkedRoles"


def test_service_linked_roles_may_be_made_for_those_services_alone() -> None:
    [statement] = allowing("iam:CreateServiceLinkedRole")
    assert set(statement["Condition"]["StringEquals"]["iam:AWSServiceName"]) == set(SERVICE_LINKED_ROLES)


def test_roles_are_passed_to_the_services_that_the_templates_name() -> None:
    [statement] = allowing("iam:PassRole")
    trusted = {
        each["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"]
        for name in CONFIGURATIONS
        for each in stacks(name).resources.values()
        if each["Type"] == "AWS::IAM::Role"
    }
    # Batch's documents do not say whether its jobs' roles are passed to Batch or to ECS.
    assert set(statement["Condition"]["StringEquals"]["iam:PassedToService"]) == {
        *trusted,
        "batch.amazonaws.com",
    }


def test_what_has_a_name_is_narrowed_to_it_and_the_rest_to_cloudformation() -> None:
    # None has a name of ours: a role or group of AWS's, a person's key, a service with its caller's rights.
    others = {"ServiceLinkedRoles", "NetworkNotebook", "NotebookStop", "LogsRead", "KeyTemplate"}
    others |= {"NetworkDefaultGroup"}
    for each in statements():
        writes = [one for one in as_list(each["Action"]) if not re.search(r":(?:Describe|List|Get)", one)]
        named = all(
            Environment().prefix in one or TRAINING_LOG_GROUP in one for one in as_list(each["Resource"])
        )
        through = each.get("Condition") == {
            "ForAnyValue:StringEquals": {"aws:CalledVia": "cloudformation.amazonaws.com"}
        }
        assert not writes or named or through or each["Sid"] in others, each["Sid"]
