"""EC2 in CloudFormation: moto's VPC has no DNS host names, its subnets no public addresses at launch and no
routes.

Properties that moto leaves out are set as their API calls would ("AWS::EC2::VPC", "AWS::EC2::Subnet"). The
association of a subnet with a route table is kept where nobody sees it; rules of a security group lose their
descriptions, and need ports.
"""

from __future__ import annotations

from typing import Any

from .cloudformation import Made, Placement, Properties, after, before, made


@after("AWS::EC2::VPC")
def set_dns(vpc: Any, properties: Properties, place: Placement) -> None:
    """Whether a VPC resolves names, and gives them ("AWS::EC2::VPC")."""
    backend = place.backend("ec2")
    for key, attribute in (
        ("EnableDnsSupport", "enable_dns_support"),
        ("EnableDnsHostnames", "enable_dns_hostnames"),
    ):
        if key in properties:
            backend.modify_vpc_attribute(vpc.id, attribute, properties[key])


@after("AWS::EC2::Subnet")
def set_public_addresses(subnet: Any, properties: Properties, place: Placement) -> None:
    """Whether machines get a public address in a subnet ("AWS::EC2::Subnet")."""
    if "MapPublicIpOnLaunch" in properties:
        backend = place.backend("ec2")
        backend.modify_subnet_attribute(
            subnet.id, "map_public_ip_on_launch", str(properties["MapPublicIpOnLaunch"]).lower()
        )


@before("AWS::EC2::SecurityGroup")
def describe_rules(properties: Properties, place: Placement) -> None:
    """moto reads one address range of a rule, and its description only where the range is an object."""
    for rule in properties.get("SecurityGroupIngress", []):
        if isinstance(rule.get("CidrIp"), str):
            rule["CidrIp"] = [{"CidrIp": rule["CidrIp"], "Description": rule.get("Description", "")}]
        rule.setdefault("FromPort", None)
        rule.setdefault("ToPort", None)


@after("AWS::EC2::SecurityGroupIngress")
def name_rule(ingress: Any, properties: Properties, place: Placement) -> None:
    """A rule that stands alone is known by its id."""
    rules = ingress.security_group.ingress_rules
    ingress.physical_resource_id = rules[-1].id


@made("AWS::EC2::SubnetRouteTableAssociation")
def associate(properties: Properties, place: Placement) -> Made:
    """A subnet's route table, as AssociateRouteTable makes it and DescribeRouteTables shows it."""
    backend = place.backend("ec2")
    made_id = backend.associate_route_table(properties["RouteTableId"], subnet_id=properties["SubnetId"])
    return Made(made_id, unmake=lambda: backend.disassociate_route_table(made_id))
