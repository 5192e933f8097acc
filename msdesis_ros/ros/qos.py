"""Quality of service of every topic, overridable by parameter, and what to do where it differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.utilities import get_rmw_implementation_identifier

from msdesis_ros.core.errors import UsageError

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

RELIABILITIES = {
    'best_effort': ReliabilityPolicy.BEST_EFFORT,
    'reliable': ReliabilityPolicy.RELIABLE,
}
# Camera drivers publish as sensor data; a deeper queue only makes results older.
INPUT_DEPTH = 5
# Seen at 1280x1024 and 10 Hz on a busy machine: with a depth of 2 a recorder lost 1 to 5 %, with 5
# none. It holds up to 105 MB of clouds in the publisher.
OUTPUT_DEPTH = 5
_OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)
# What the sentence about a mismatch calls the values: (the receiver wants, the sender offers).
_WANTED_OFFERED = {
    'RELIABILITY': ('reliable', 'best_effort'),
    'DURABILITY': ('transient_local', 'volatile'),
}


def input_qos(reliability: str = 'best_effort', *, depth: int = INPUT_DEPTH) -> QoSProfile:
    """Pictures in: keep last, volatile; best effort takes them from any publisher.

    reliability: 'best_effort' or 'reliable'; anything else raises UsageError.
    """
    if reliability not in RELIABILITIES:
        raise UsageError(
            f"'{reliability}' is no reliability; choose one of {', '.join(RELIABILITIES)}"
        )
    return QoSProfile(depth=depth, reliability=RELIABILITIES[reliability])


def camera_info_qos() -> QoSProfile:
    """CameraInfo that comes with every picture."""
    return input_qos()


def latched_camera_info_qos() -> QoSProfile:
    """CameraInfo that was sent once, before we came up; a twin of `camera_info_qos`.

    It matches transient-local publishers only; others reach the twin.
    """
    return QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def output_qos(*, depth: int = OUTPUT_DEPTH) -> QoSProfile:
    """Results: reliable, volatile, so that every subscriber matches."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE)


def recorder_qos(offers: Iterable[QoSProfile] = (), *, depth: int) -> QoSProfile:
    """The strongest profile that matches all `offers`, those of a topic's publishers.

    One best-effort publisher makes it best effort, one volatile publisher makes it volatile.
    Without publishers it is reliable and volatile.
    """
    offers = list(offers)
    best_effort = any(offer.reliability == ReliabilityPolicy.BEST_EFFORT for offer in offers)
    latched = offers and all(
        offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers
    )
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def qos_overrides(*, entity_id: str | None = None) -> QoSOverridingOptions:
    """Let a user set `qos_overrides.<topic>.<publisher|subscription>.<policy>` at start.

    Policies: history, depth, reliability, durability. entity_id tells two subscriptions of one
    topic apart.
    """
    return QoSOverridingOptions(_OVERRIDABLE, entity_id=entity_id)


def output_qos_overrides() -> QoSOverridingOptions:
    """`qos_overrides` of a publisher."""
    return qos_overrides()


def input_qos_overrides(*, entity_id: str | None = None) -> QoSOverridingOptions:
    """`qos_overrides` of a subscription."""
    return qos_overrides(entity_id=entity_id)


def subscription_events(node: Node, topic: str) -> SubscriptionEventCallbacks:
    """Log, with the cure, each publisher whose messages cannot reach this subscription."""
    full_name = node.resolve_topic_name(topic)

    def say(event: Any) -> None:
        policy = _policy_name(event.last_policy_kind)
        sentence = incompatible_publisher(full_name, policy)
        # Only the latched twin of camera_info asks for durability, and it need not match. Two
        # lines, because rclpy refuses to log from one line with two severities.
        if policy == 'DURABILITY':
            node.get_logger().debug(sentence)
        else:
            node.get_logger().warning(sentence)

    return SubscriptionEventCallbacks(incompatible_qos=say)


def publisher_events(node: Node, topic: str) -> PublisherEventCallbacks:
    """Log, with the cure, each subscriber that this publisher cannot reach."""
    full_name = node.resolve_topic_name(topic)

    def say(event: Any) -> None:
        policy = _policy_name(event.last_policy_kind)
        node.get_logger().warning(incompatible_subscriber(full_name, policy))

    return PublisherEventCallbacks(incompatible_qos=say)


def message_lost_events(on_lost: Callable[[int], None]) -> SubscriptionEventCallbacks:
    """Call `on_lost(count)` when messages were lost on their way; the middleware may not tell.

    Says nothing about publishers that do not match: for a subscription that adapts to them.
    """

    def lost(event: Any) -> None:
        if event.total_count_change > 0:
            on_lost(event.total_count_change)

    # Fast DDS and Cyclone DDS know the event, others may not.
    known = get_rmw_implementation_identifier().startswith(('rmw_fastrtps', 'rmw_cyclonedds'))
    return SubscriptionEventCallbacks(
        message_lost=lost if known else None, use_default_callbacks=False
    )


def incompatible_publisher(topic: str, policy: str) -> str:
    """The sentence for a publisher that offers less than our subscription asks for."""
    wanted, offered = _WANTED_OFFERED.get(policy, ('more', 'less'))
    cure = f'set qos_overrides.{topic}.subscription.{policy.lower()}:={offered}'
    if policy == 'RELIABILITY':
        cure = f'set the parameter reliability:={offered} (or {cure[4:]})'
    return (
        f'a publisher of {topic} cannot be heard: its {policy.lower()} is {offered}, this node '
        f'asks for {wanted}; {cure} here, or {wanted} there'
    )


def incompatible_subscriber(topic: str, policy: str) -> str:
    """The sentence for a subscriber that asks for more than our publisher offers."""
    wanted, offered = _WANTED_OFFERED.get(policy, ('more', 'less'))
    return (
        f'a subscriber of {topic} hears nothing: it asks for {policy.lower()} {wanted}, this node '
        f'offers {offered}; set {offered} there, or '
        f'qos_overrides.{topic}.publisher.{policy.lower()}:={wanted} here'
    )


def _policy_name(kind: int) -> str:
    try:
        return str(QoSPolicyKind(kind).name)
    except ValueError:  # a policy that this version of rclpy does not know
        return 'POLICY'
