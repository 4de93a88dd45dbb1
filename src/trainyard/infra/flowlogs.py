"""Flow logs of the VPC, an option: who talked to whom, for a month."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from ..environment import Environment
from .loggroup import log_group
from .roles import Roles
from .statements import allow

_WRITE = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]


def add_flow_logs(scope: Construct, environment: Environment, roles: Roles, vpc_id: str) -> None:
    """All traffic of the VPC, written to a log group of its own."""
    group = log_group(scope, "FlowLogGroup", environment)
    role = roles.make(
        scope,
        "FlowLogRole",
        "vpc-flow-logs.amazonaws.com",
        [allow(_WRITE, group.attr_arn)],
    )
    ec2.CfnFlowLog(
        scope,
        "FlowLog",
        resource_id=vpc_id,
        resource_type="VPC",
        traffic_type="ALL",
        log_group_name=group.ref,
        deliver_logs_permission_arn=role.attr_arn,
    )
