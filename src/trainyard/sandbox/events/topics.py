"""SNS: a message to all subscribers of a topic, none of whom can hold up the others."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.request import Request, urlopen

from moto.moto_api._internal import mock_random

from ..api.control import Call, control
from ..world.world import World

TIMEOUT = 15.0
"""Seconds that a subscriber over HTTP has to answer ("Amazon SNS message delivery", SNS developer guide)."""
_log = logging.getLogger(__name__)


def publish(world: World, topic_arn: str, message: str) -> bool:
    """Deliver a message without attributes; False where there is no such topic. Called without the lock.

    Mail, SMS and mobile push go nowhere; what was published can be read with the call `notifications`.
    """
    message_id = str(mock_random.uuid4())
    with world.lock:
        backend = world.backend("sns")
        topic = backend.topics.get(topic_arn)
        if topic is None:
            return False
        topic.sent_notifications.append((message_id, message, None, None, None))
        for each in list(backend.subscriptions.values()):
            if each.topic_arn == topic_arn:
                _deliver(each, message, message_id)
    return True


@control("notifications")
def notifications(world: World, _: Call) -> Mapping[str, Any]:
    """All messages that were published, by topic, and who gets them."""
    with world.lock:
        backend = world.backend("sns")
        topics = [
            {
                "topic": topic.arn,
                "messages": [
                    {"id": sent[0], "message": sent[1], "subject": sent[2]}
                    for sent in topic.sent_notifications
                ],
                "subscribers": [
                    {"protocol": each.protocol, "endpoint": each.endpoint}
                    for each in backend.subscriptions.values()
                    if each.topic_arn == topic.arn
                ],
            }
            for topic in backend.topics.values()
        ]
    return {"topics": topics}


def _deliver(subscription: Any, message: str, message_id: str) -> None:
    if subscription.protocol in ("http", "https"):
        threading.Thread(
            target=_post, args=(subscription, message, message_id), name="notification", daemon=True
        ).start()
    elif subscription.protocol in ("sqs", "lambda"):
        try:
            subscription.publish(message, message_id)
        except Exception:  # whatever moto's other services raise
            _log.warning("a notification to %s was lost", subscription.endpoint, exc_info=True)


def _post(subscription: Any, message: str, message_id: str) -> None:
    if (matcher := subscription._filter_policy_matcher) and not matcher.matches(None, message):
        return
    content = subscription.get_post_data(message, message_id, None)
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": message_id,
        "x-amz-sns-topic-arn": subscription.topic_arn,
        "x-amz-sns-subscription-arn": subscription.arn,
    }
    try:
        request = Request(subscription.endpoint, json.dumps(content).encode(), headers)
        urlopen(request, timeout=TIMEOUT).close()
    except (OSError, HTTPException, ValueError) as error:
        _log.warning("a notification to %s was lost: %s", subscription.endpoint, error)
