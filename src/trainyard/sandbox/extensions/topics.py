"""SNS in CloudFormation: moto does not know the policy of a topic, and takes tags for attributes of one."""

from __future__ import annotations

import json
from typing import Any

from .cloudformation import Made, Placement, Properties, after, before, made, suffix

_tags: dict[str, Any] = {}


@before("AWS::SNS::Topic")
def take_tags(properties: Properties, place: Placement) -> None:
    """Tags aside, until there is a topic to put them on."""
    _tags[place.name] = properties.pop("Tags")


@after("AWS::SNS::Topic")
def put_tags(topic: Any, properties: Properties, place: Placement) -> None:
    """The tags, by their own API call."""
    tags = {tag["Key"]: tag["Value"] for tag in _tags.pop(place.name)}
    place.backend("sns").tag_resource(topic.arn, tags)


@made("AWS::SNS::TopicPolicy")
def put_policy(properties: Properties, place: Placement) -> Made:
    """Who may publish to topics."""
    backend = place.backend("sns")
    for arn in properties["Topics"]:
        backend.set_topic_attribute(arn, "policy", json.dumps(properties["PolicyDocument"]))
    return Made(f"{place.stack_id.split('/')[1]}-{place.logical_id}-{suffix()}")
