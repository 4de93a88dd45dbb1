"""What deploying needs around the two stacks: the right account, service-linked roles, log retention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..aws.account.errors import DENIED, person
from ..aws.account.session import Session
from ..core.environments.environment import Environment
from ..core.environments.facts import TRAINING_LOG_GROUP, parameter_name
from ..core.environments.families import ARM, X86
from ..core.errors import AccountRefused, BadInput, nearest

SERVICE_LINKED_ROLES = {
    "batch.amazonaws.com": "AWSServiceRoleForBatch",
    "ecs.amazonaws.com": "AWSServiceRoleForECS",
    "autoscaling.amazonaws.com": "AWSServiceRoleForAutoScaling",
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
}
"""The roles that AWS's services act under when Batch starts machines, by service; one each for an account.

They are not in a template: a stack that holds one cannot be made where it is there already. ("Using
service-linked roles", Batch and EC2 user guides.)
"""


class Target(NamedTuple):
    """Where an environment is deployed, and who does it."""

    account: str
    region: str
    partition: str
    person: str


def target_of(session: Session, environment: Environment) -> Target:
    """Where the credentials lead. Raises `BadInput` where that is not the account of the environment."""
    caller = session.caller()
    if environment.account and environment.account != caller.account:
        raise BadInput(
            f"is for account {environment.account}, and these credentials ({person(caller.arn)}) are of"
            f" {caller.account}; nothing was done",
            key=f"environments.{environment.name}.account",
            cure="choose others with AWS_PROFILE, or change the key",
        )
    return Target(caller.account, session.region, caller.partition, person(caller.arn))


def refuse_unoffered(session: Session, environment: Environment) -> None:
    """Raises `BadInput` for the first family or type of Batch's machines that EC2 doesn't offer there."""
    lists = {"families": environment.batch.families, "gpu_families": environment.batch.gpu_families}
    if not any(item not in (X86, ARM) for items in lists.values() for item in items):
        return
    pages = session.pages("ec2", "describe_instance_type_offerings", LocationType="region")
    offered = {each["InstanceType"] for page in pages for each in page["InstanceTypeOfferings"]}
    offered |= {name.partition(".")[0] for name in offered} | {X86, ARM}
    for field, items in lists.items():
        for item in items:
            if item not in offered:
                problem = f"{item!r} is not offered in {session.region}"
                key = f"environments.{environment.name}.batch.{field}"
                raise BadInput(problem, key=key, cure=nearest(item, sorted(offered)))


def ensure_service_linked_roles(session: Session) -> list[str]:
    """Make the service-linked roles that are not there; their names.

    Raises `AccountRefused` where one is missing and may not be made.
    """
    return [role for service, role in SERVICE_LINKED_ROLES.items() if _ensure_role(session, service, role)]


def _ensure_role(session: Session, service: str, role: str) -> bool:
    if _role_exists(session, role):
        return False
    try:
        session.call("iam", "create_service_linked_role", AWSServiceName=service)
    except AccountRefused as error:
        # IAM's words for a role that is there already: made a moment ago, or one that we may not look at.
        if "has been taken" in error.message or error.code.startswith("EntityAlreadyExists"):
            return False
        raise
    return True


def _role_exists(session: Session, role: str) -> bool:
    try:
        session.call("iam", "get_role", RoleName=role)
    except AccountRefused as error:
        if error.code in DENIED or error.code in ("NoSuchEntity", "NoSuchEntityException"):
            return False
        raise
    return True


def close_default_security_group(session: Session, vpc: str) -> bool:
    """Take all rules from the security group that a VPC is made with; whether there were any.

    A template can't: CloudFormation knows only groups that it makes ("Default security groups", VPC user
    guide).
    """
    named = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
    [group] = session.call("ec2", "describe_security_groups", Filters=named)["SecurityGroups"]
    for rules, operation in (
        ("IpPermissions", "revoke_security_group_ingress"),
        ("IpPermissionsEgress", "revoke_security_group_egress"),
    ):
        if group[rules]:
            session.call("ec2", operation, GroupId=group["GroupId"], IpPermissions=group[rules])
    return bool(group["IpPermissions"] or group["IpPermissionsEgress"])


def retain_training_logs(session: Session, days: int) -> bool:
    """Have SageMaker's log group forget after so many days, where it keeps for ever; whether that was so.

    It belongs to the account and not to an environment: where somebody has set a retention, that stays.
    """
    pages = session.pages("logs", "describe_log_groups", logGroupNamePrefix=TRAINING_LOG_GROUP)
    found = [
        each for page in pages for each in page["logGroups"] if each["logGroupName"] == TRAINING_LOG_GROUP
    ]
    if found and found[0].get("retentionInDays"):
        return False
    if not found:
        try:
            session.call("logs", "create_log_group", logGroupName=TRAINING_LOG_GROUP)
        except AccountRefused as error:
            if error.code != "ResourceAlreadyExistsException":
                raise
    session.call("logs", "put_retention_policy", logGroupName=TRAINING_LOG_GROUP, retentionInDays=days)
    return True


_CONSOLES = {
    "aws": "{region}.console.aws.amazon.com",
    "aws-cn": "{region}.console.amazonaws.cn",
    "aws-us-gov": "{region}.console.amazonaws-us-gov.com",
}


def facts_of(session: Session, environment: str) -> Mapping[str, str]:
    """Every fact of an environment by its name in `core.environments.facts`; {} where nothing is deployed."""
    root = parameter_name(environment, "")
    pages = session.pages("ssm", "get_parameters_by_path", Path=root.rstrip("/"))
    return {each["Name"].removeprefix(root): each["Value"] for page in pages for each in page["Parameters"]}


def dashboard_url(target: Target, dashboard: str) -> str:
    """The page of a dashboard."""
    host = _CONSOLES.get(target.partition, _CONSOLES["aws"]).format(region=target.region)
    return f"https://{host}/cloudwatch/home?region={target.region}#dashboards/dashboard/{dashboard}"
