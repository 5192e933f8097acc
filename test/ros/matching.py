"""Whether two ends of a topic know each other, which discovery makes known to one side first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rclpy.subscription import Subscription

# Humble does not say it: there a moment has to do.
CAN_TELL = hasattr(Subscription, 'get_publisher_count')


def hears(node: Any, topic: str) -> bool:
    """Whether a subscription of the node to this (resolved) topic knows a publisher."""
    return not CAN_TELL or any(
        s.get_publisher_count() for s in node.subscriptions if s.topic_name == topic
    )


def is_heard(node: Any, topic: str) -> bool:
    """Whether a publisher of the node on this (resolved) topic knows a subscription."""
    return any(p.get_subscription_count() for p in node.publishers if p.topic_name == topic)


def linked(talker: Any, listener: Any, topics: Iterable[str]) -> bool:
    """Whether all that the one node publishes on these topics reaches the other one."""
    return all(is_heard(talker, topic) and hears(listener, topic) for topic in topics)
