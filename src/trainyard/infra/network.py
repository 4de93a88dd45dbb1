"""The network that jobs run in: a VPC of one's own, `private` or `lean`, or one that is there already."""

from __future__ import annotations

import ipaddress

from aws_cdk import CfnParameter, CfnTag, Fn, Stack
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from ..core.environments.environment import LEAN, Environment
from ..core.environments.limits import subnet_length
from .endpoints import add_gateway_endpoint, add_interface_endpoints
from .key import log_group
from .roles import Roles
from .statements import allow

_ANYWHERE = "0.0.0.0/0"
_WRITE_LOGS = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]


class Network(Construct):
    """`vpc_id`; `job_subnets`, ids of those of training jobs and the notebook; `machine_subnets`, of those of
    Batch's machines; `job_subnet_list`, the first as one text; `ways_out`, what has to be there
    before anything can reach AWS and the internet from them.

    `private`: everything in private subnets behind NAT. `lean`: training in subnets that reach nothing but
    S3, Batch's machines in public ones without ingress. Each costs what `deploy` says.
    """

    def __init__(self, stack: Stack, environment: Environment, roles: Roles) -> None:
        super().__init__(stack, "Network")
        self._environment = environment
        if environment.vpc:
            self._take_existing(stack)
            return
        vpc = self._vpc()
        self.vpc_id = vpc.ref
        lean = environment.network == LEAN
        public, private = self._subnets("Public", is_public=lean), self._subnets("Private", is_public=False)
        tables = self._route(public, private)
        self.job_subnets = [subnet.ref for subnet in private]
        self.job_subnet_list = Fn.join(",", self.job_subnets)
        self.machine_subnets = [subnet.ref for subnet in public] if lean else self.job_subnets
        add_gateway_endpoint(self, environment, vpc.ref, [table.ref for table in tables])
        if not lean:
            add_interface_endpoints(self, environment, vpc, self.job_subnets)
        if environment.flow_logs:
            add_flow_logs(self, environment, roles, vpc.ref)

    def _take_existing(self, stack: Stack) -> None:
        # Parameters and no look-up, so that a synthesis needs no account.
        self.ways_out: list[ec2.CfnRoute] = []
        vpc = CfnParameter(stack, "VpcId", type="AWS::EC2::VPC::Id", default=self._environment.vpc)
        kind, ids = "List<AWS::EC2::Subnet::Id>", ",".join(self._environment.subnets)
        subnets = CfnParameter(stack, "SubnetIds", type=kind, default=ids)
        self.vpc_id = vpc.value_as_string
        self.job_subnets = self.machine_subnets = subnets.value_as_list
        self.job_subnet_list = Fn.join(",", self.job_subnets)

    def _vpc(self) -> ec2.CfnVPC:
        return ec2.CfnVPC(
            self,
            "Vpc",
            cidr_block=self._environment.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=[self._name()],
        )

    def _subnets(self, name: str, *, is_public: bool) -> list[ec2.CfnSubnet]:
        """One a zone; with `is_public`, machines in them get a public address while they run."""
        zones, block = self._environment.zone_count, ipaddress.IPv4Network(self._environment.cidr)
        blocks = list(block.subnets(new_prefix=subnet_length(block.prefixlen, zones)))[: 2 * zones]
        # In turn, so that a further zone moves no subnet: a block in use can't be given to another one.
        mine = blocks[0::2] if name == "Public" else blocks[1::2]
        return [
            ec2.CfnSubnet(
                self,
                f"{name}Subnet{zone + 1}",
                vpc_id=self.vpc_id,
                availability_zone=self._zone(zone, by_id=False),
                availability_zone_id=self._zone(zone, by_id=True),
                cidr_block=str(mine[zone]),
                map_public_ip_on_launch=is_public,
                tags=[self._name(f"{name.lower()}-{zone + 1}")],
            )
            for zone in range(zones)
        ]

    def _zone(self, index: int, *, by_id: bool) -> str | None:
        ids = self._environment.zone_ids
        zone = ids[index] if ids else Fn.select(index, Fn.get_azs())
        return zone if by_id == ("-az" in zone) else None

    def _route(self, public: list[ec2.CfnSubnet], private: list[ec2.CfnSubnet]) -> list[ec2.CfnRouteTable]:
        """Make the routes; the tables that need a way to S3."""
        out = self._route_table("Public", public)
        gateway = ec2.CfnInternetGateway(self, "InternetGateway")
        attachment = ec2.CfnVPCGatewayAttachment(
            self, "GatewayAttachment", vpc_id=self.vpc_id, internet_gateway_id=gateway.ref
        )
        route = ec2.CfnRoute(
            self,
            "PublicRoute",
            route_table_id=out.ref,
            destination_cidr_block=_ANYWHERE,
            gateway_id=gateway.ref,
        )
        route.add_resource_dependency(attachment)
        # One for each private subnet, however many NAT gateways: a subnet can't change its table.
        tables = [self._route_table(f"Private{zone + 1}", [each]) for zone, each in enumerate(private)]
        if self._environment.network == LEAN:
            self.ways_out = [route]
            return [out, *tables]
        nats = [self._nat(index, public[index], route) for index in range(self._environment.nats)]
        self.ways_out = [
            ec2.CfnRoute(
                self,
                f"PrivateRoute{zone + 1}",
                route_table_id=table.ref,
                destination_cidr_block=_ANYWHERE,
                nat_gateway_id=nats[zone % len(nats)].ref,
            )
            for zone, table in enumerate(tables if nats else [])
        ]
        return tables

    def _nat(self, index: int, subnet: ec2.CfnSubnet, way_out: ec2.CfnRoute) -> ec2.CfnNatGateway:
        address = ec2.CfnEIP(self, f"NatAddress{index + 1}", domain="vpc")
        nat = ec2.CfnNatGateway(
            self,
            f"Nat{index + 1}",
            allocation_id=address.attr_allocation_id,
            subnet_id=subnet.ref,
        )
        nat.add_resource_dependency(way_out)
        return nat

    def _route_table(self, name: str, subnets: list[ec2.CfnSubnet]) -> ec2.CfnRouteTable:
        table = ec2.CfnRouteTable(self, f"{name}Routes", vpc_id=self.vpc_id)
        for index, subnet in enumerate(subnets):
            ec2.CfnSubnetRouteTableAssociation(
                self, f"{name}Association{index + 1}", route_table_id=table.ref, subnet_id=subnet.ref
            )
        return table

    def _name(self, part: str = "") -> CfnTag:
        whole = self._environment.stack_name
        return CfnTag(key="Name", value=f"{whole}-{part}" if part else whole)


def add_flow_logs(scope: Construct, environment: Environment, roles: Roles, vpc_id: str) -> None:
    """All traffic of the VPC, written to a log group of its own."""
    group = log_group(scope, "FlowLogGroup", environment)
    role = roles.make(
        scope,
        "FlowLogRole",
        "vpc-flow-logs.amazonaws.com",
        [allow(_WRITE_LOGS, group.attr_arn)],
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
