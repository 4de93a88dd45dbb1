"""EventBridge: events of services and of users reach the targets of the rules that match them.

The rules are moto's, and so is the matching. moto sends to no topic and looks at no rule's state.
"""

from __future__ import annotations

import copy
import datetime
import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from moto.events.models import Rule

from ..world.cloudwatch import put_metrics
from ..world.world import World
from . import topics, transforms

NAMESPACE, DIMENSION = "AWS/Events", "RuleName"
_log = logging.getLogger(__name__)
_moto_send = Rule.send_to_targets


class EventBridge:
    """Where `World.emit` leads."""

    def __init__(self, world: World) -> None:
        self._world = world

    def put(self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]) -> None:
        """Deliver an event of a service; called without the lock."""
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": self._world.account,
            "time": _iso(datetime.datetime.now(datetime.UTC)),
            "region": self._world.region,
            "resources": list(resources),
            "detail": detail,
        }
        with self._world.lock:
            bus = self._world.backend("events").event_buses["default"]
            rules = [rule for rule in bus.rules.values() if _matches(rule, event)]
        for rule in rules:
            self.deliver(rule, json.loads(json.dumps(event, default=str)))

    def take(self, rule: Rule, event: Mapping[str, Any]) -> None:
        """Deliver a user's event, which moto offers to each rule. Called under the lock; returns at once."""
        plain = {name: value for name, value in event.items() if name != "ingestion-time"}
        plain["time"] = _iso(plain.get("time"))
        if _matches(rule, plain):
            self._world.post(lambda: self.deliver(rule, plain))

    def deliver(self, rule: Rule, event: Mapping[str, Any]) -> None:
        """Send an event to all targets of a rule; called without the lock."""
        about = {"arn": rule.arn, "name": rule.name}
        self._count(rule, "MatchedEvents", "TriggeredRules")
        for target in list(rule.targets):
            try:
                is_sent = self._send(rule, target, event, about)
            except Exception:  # a target can fail in as many ways as there are services
                _log.exception("rule %s: %s failed", rule.name, target["Arn"])
                is_sent = False
            self._count(rule, "Invocations", *([] if is_sent else ["FailedInvocations"]))

    def _send(
        self, rule: Rule, target: Mapping[str, Any], event: Mapping[str, Any], about: Mapping[str, str]
    ) -> bool:
        service = str(target["Arn"]).split(":")[2]
        if service == "sns":
            text = transforms.message(target, event, about)
            return topics.publish(self._world, target["Arn"], text)
        with self._world.lock:
            if service == "sqs":
                return self._queue(target, transforms.message(target, event, about))
            alone = copy.copy(rule)
            alone.targets = [dict(target)]
            now = datetime.datetime.now(datetime.UTC).timestamp()
            _moto_send(alone, {**event, "time": now, "ingestion-time": now})  # type: ignore[typeddict-item]
        return True

    def _queue(self, target: Mapping[str, Any], text: str) -> bool:
        name = str(target["Arn"]).rpartition(":")[2]
        group = (target.get("SqsParameters") or {}).get("MessageGroupId")
        self._world.backend("sqs").send_message(queue_name=name, message_body=text, group_id=group)
        return True

    def _count(self, rule: Rule, *metrics: str) -> None:
        put_metrics(
            self._world, NAMESPACE, [(name, 1.0, "Count", {DIMENSION: rule.name}) for name in metrics]
        )


def set_up(world: World) -> None:
    """Have this world's events delivered."""
    bridge = EventBridge(world)
    world.put_event = bridge.put

    def send(rule: Rule, event: Any, transform_input: bool = True) -> None:
        if rule.region_name == world.region and transform_input:
            bridge.take(rule, event)
        else:
            _moto_send(rule, event, transform_input)

    Rule.send_to_targets = send  # type: ignore[assignment,method-assign]


def _matches(rule: Rule, event: Mapping[str, Any]) -> bool:
    if rule.state != "ENABLED" or not rule.event_pattern.dump():
        return False
    pattern = rule.event_pattern
    if not _may_match(pattern.get_pattern(), event):
        return False
    return bool(pattern.matches_event(json.loads(json.dumps(event, default=str))))


def _may_match(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether plain texts of the pattern are there: most events are told apart by these, in no time."""
    for name, wanted in pattern.items():
        found = event.get(name)
        if (
            isinstance(wanted, list)
            and isinstance(found, str)
            and all(isinstance(each, str) for each in wanted)
        ):
            if found not in wanted:
                return False
        elif isinstance(wanted, dict) and isinstance(found, dict) and not _may_match(wanted, found):
            return False
    return True


def _iso(time: Any) -> str:
    if isinstance(time, (int, float)):
        time = datetime.datetime.fromtimestamp(time, datetime.UTC)
    if not isinstance(time, datetime.datetime):
        return str(time or _iso(datetime.datetime.now(datetime.UTC)))
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
