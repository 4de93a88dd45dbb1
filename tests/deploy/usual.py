"""The template that a CDK app with the usual defaults comes to, as far as it costs anything (usual.toml)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

FACTS: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_PROPERTIES = {
    "AWS::EC2::NatGateway": {"AllocationId": {"Fn::GetAtt": ["EIP0", "AllocationId"]}},
    "AWS::SageMaker::NotebookInstance": {"InstanceType": "ml.t3.medium"},
}


def template() -> dict[str, Any]:
    """A template with the resources of the table."""
    found = {
        f"{kind.rpartition(':')[2]}{index}": {"Type": kind, "Properties": _PROPERTIES.get(kind, {})}
        for kind, count in FACTS["resources"].items()
        for index in range(count)
    }
    endpoints = FACTS["interface_endpoints"]
    subnets = [{"Ref": f"Subnet{zone}"} for zone in range(endpoints["zones"])]
    for index in range(endpoints["count"]):
        properties = {"VpcEndpointType": "Interface", "SubnetIds": subnets}
        found[f"Endpoint{index}"] = {"Type": "AWS::EC2::VPCEndpoint", "Properties": properties}
    return {"Resources": found}
