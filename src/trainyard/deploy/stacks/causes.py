"""Why an operation failed: the first real cause among its events, in words, and what to do. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ...aws.account.errors import EXPIRED, denial
from .events import Event, is_cascade


class FailureCause(NamedTuple):
    """The resource that failed first, AWS's reason, and what to do about it ("" where nobody knows)."""

    resource: str
    type: str
    reason: str
    cure: str

    def __str__(self) -> str:
        where = f"{self.resource} ({self.type}): " if self.resource else ""
        return f"{where}{self.reason.rstrip('.')}" + (f"; {self.cure}" if self.cure else "")


def first_cause(events: Sequence[Event]) -> FailureCause | None:
    """The first failure among an operation's events, oldest first, that no other one brought about.

    What was cancelled since another resource failed, and what the rollback could not undo, comes after it.
    """
    failed = [event for event in events if event.failed and event.reason]
    real = [event for event in failed if not event.whole and not is_cascade(event.reason)]
    shown = real or [event for event in events if event.whole and event.reason and _is_bad(event.status)]
    if not shown:
        return None
    event = shown[0]
    resource, kind = ("", "") if event.whole else (event.resource, event.type)
    reason = plain(event.reason)
    return FailureCause(resource, kind, reason, cure_of(event.reason, event.type))


def plain(reason: str) -> str:
    """A reason without what handlers wrap around it: `Resource handler returned message: "…" (…)`."""
    found = re.search(r'Resource handler returned message: "(.*)" \(RequestToken: ', reason, re.DOTALL)
    text = found[1] if found else reason
    text = re.sub(r"\s*\(Service: [^()]*(?:\([^()]*\)[^()]*)*\)(?: \(SDK Attempt Count: \d+\))?", "", text)
    return " ".join(text.split())


def cure_of(reason: str, resource_type: str = "") -> str:
    """What to do about a reason that CloudFormation gives for a resource of that type; "" where unknown."""
    if (found := denial(reason)) is not None:
        return found.cure
    for pattern, cure in _CURES:
        if re.search(pattern, reason, re.IGNORECASE):
            return cure
    if re.search(_LIMIT, reason, re.IGNORECASE):
        quota = _QUOTAS.get(resource_type, "the quota that it names")
        return f"ask for more of {quota} in the console's Service Quotas, or free some, and deploy again"
    return _INVALID_CURE if re.search(_INVALID, reason, re.IGNORECASE) else ""


def _is_bad(status: str) -> bool:
    return status.endswith("_FAILED") or "ROLLBACK" in status


_LIMIT = (
    r"limit ?exceeded|exceed\w* .*(?:limit|quota)|maximum number of|too many|quota|"
    r"limit .*(?:reached|exceeded)"
)
_QUOTAS = {
    "AWS::EC2::VPC": "`VPCs per Region` (L-F678F1CE)",
    "AWS::EC2::InternetGateway": "`Internet gateways per Region` (L-A4707A72)",
    "AWS::EC2::EIP": '`EC2-VPC Elastic IPs` (L-0263D0A3; `network = "lean"` needs none)',
    "AWS::EC2::NatGateway": '`NAT gateways per Availability Zone` (L-FE5A380F; `"lean"` needs none)',
    "AWS::EC2::VPCEndpoint": "`Interface VPC endpoints per VPC` (L-29B6F2EB; `endpoints = []` needs none)",
    "AWS::S3::Bucket": "`General purpose buckets` (L-DC2B2D3D)",
    "AWS::IAM::Role": "`Roles per account` (L-FE177D64)",
    "AWS::IAM::ManagedPolicy": "`Customer managed policies per account` (L-E95E4862)",
    "AWS::SageMaker::NotebookInstance": "the notebook's instance type (SageMaker; `enabled = false` under its"
    " `notebook` needs none)",
    "AWS::Batch::ComputeEnvironment": "`Compute environment limit` of Batch",
    "AWS::CloudWatch::Alarm": "CloudWatch's alarms",
}
"""The quota that a type of resource runs into, with its code in Service Quotas."""

_CURES = (
    (
        r"already exists",
        "something else has that name: delete or rename it, or set another `prefix`, and deploy again",
    ),
    (
        "|".join(sorted(EXPIRED)) + r"|security token .*(?:expired|invalid)",
        "CloudFormation works with the credentials that began it; they expired: get new ones, deploy again",
    ),
    (
        r"service[- ]linked role|AWSServiceRoleFor",
        "let `trainyard deploy` make it (iam:CreateServiceLinkedRole, statement ServiceLinkedRoles of the"
        " policy in docs/deploy.md), and deploy again",
    ),
    (
        r"vcpu (?:capacity|limit)|VcpuLimitExceeded|MaxSpotInstanceCountExceeded",
        "ask for more vCPUs of that family in the console's Service Quotas, or lower `max_vcpus`",
    ),
    (
        r"InsufficientInstanceCapacity|insufficient capacity|not have (?:sufficient|enough).*capacity",
        "AWS has none of these machines free there now: deploy again later, or name another instance type",
    ),
    (
        r"(?:not supported|unsupported|not available|does not support).*(?:zone|\baz\b)|"
        r"(?:zone|\baz\b).*(?:not supported|unsupported|not available|does not support)",
        "that zone lacks it: set `zones` lower, name another instance type, or deploy to another region",
    ),
    (
        r"has dependencies and cannot be deleted|has a dependent object|DependencyViolation|currently in use|"
        r"mapped public address|network interface",
        "something in the VPC still uses it, mostly the network interface of a job or a notebook that is just"
        " ending: see EC2, Network Interfaces, in the console, wait some minutes, and run the command again",
    ),
    (
        r"conflicts? with another|overlaps?|InvalidSubnet\.Conflict|CidrConflict",
        "a VPC's `cidr` can't change while it stands: `trainyard destroy` and then `deploy` make another; the"
        " data stays",
    ),
    (
        r"(?:vpc|subnet)(?: ID)? '?[\w-]+'? does not exist|Invalid(?:Vpc|Subnet)ID\.NotFound",
        "mind `vpc` and `subnets` of the environment: they are ids of this account and region",
    ),
    (
        r"unable to fetch parameters|parameter store",
        "a parameter that a stack publishes under /trainyard was deleted by hand: put it back with its old"
        " value, and deploy again",
    ),
    (
        r"unrecognized resource types",
        "CloudFormation lacks it in this region: leave it out (`budget_usd = 0`, or `enabled = false` under"
        " `notebook`), or deploy to another region",
    ),
    (
        r"rate exceeded|throttl",
        "AWS throttled the account: wait some minutes and deploy again",
    ),
)
"""What to do, by what a reason says; the first that fits counts."""

_INVALID = r"validation|invalid (?:request|parameter|template)|extraneous key"
_INVALID_CURE = "the value comes from the environment, or is a bug of trainyard's: see `trainyard synth`"
