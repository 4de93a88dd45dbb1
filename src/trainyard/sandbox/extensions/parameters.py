"""SSM in CloudFormation: moto's parameter breaks over tags, which are a map there and a list in SSM's API."""

from __future__ import annotations

from .cloudformation import Placement, Properties, before


@before("AWS::SSM::Parameter")
def list_tags(properties: Properties, place: Placement) -> None:
    """Tags as the API has them."""
    properties["Tags"] = [{"Key": key, "Value": value} for key, value in properties["Tags"].items()]
