from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from msdesis_ros.core.errors import UsageError
from msdesis_ros.ros import qos

BEST_EFFORT, RELIABLE = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE
VOLATILE, LATCHED = DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL


def test_pictures_come_in_as_sensor_data() -> None:
    profile = qos.input_qos()
    assert profile.reliability == BEST_EFFORT
    assert profile.durability == VOLATILE
    assert profile.history == HistoryPolicy.KEEP_LAST
    assert profile.depth <= 5


def test_reliable_input_is_a_choice_and_an_unknown_one_is_refused() -> None:
    assert qos.input_qos('reliable').reliability == RELIABLE
    with pytest.raises(UsageError, match='best_effort, reliable'):
        qos.input_qos('sure')


def test_results_go_out_reliable_volatile_and_shallow() -> None:
    profile = qos.output_qos()
    assert (profile.reliability, profile.durability) == (RELIABLE, VOLATILE)
    assert 1 <= profile.depth <= 5


def test_the_latched_twin_asks_for_what_was_sent_before() -> None:
    profile = qos.latched_camera_info_qos()
    assert (profile.reliability, profile.durability) == (RELIABLE, LATCHED)


@pytest.mark.parametrize(
    ('offers', 'expected'),
    [
        ([], (RELIABLE, VOLATILE)),
        ([(RELIABLE, VOLATILE)], (RELIABLE, VOLATILE)),
        ([(RELIABLE, VOLATILE), (BEST_EFFORT, VOLATILE)], (BEST_EFFORT, VOLATILE)),
        ([(RELIABLE, LATCHED)], (RELIABLE, LATCHED)),
        ([(RELIABLE, LATCHED), (RELIABLE, VOLATILE)], (RELIABLE, VOLATILE)),
    ],
)
def test_a_recorder_matches_every_publisher(offers: list[Any], expected: Any) -> None:
    profiles = [QoSProfile(depth=1, reliability=r, durability=d) for r, d in offers]
    profile = qos.recorder_qos(profiles, depth=9)
    assert (profile.reliability, profile.durability, profile.depth) == (*expected, 9)


def test_a_user_overrides_the_profile_of_an_output_by_parameter(ros_context: Any) -> None:
    import rclpy

    prefix = 'qos_overrides./depth.publisher.'
    overrides = [
        Parameter(prefix + 'reliability', value='best_effort'),
        Parameter(prefix + 'depth', value=1),
    ]
    node = rclpy.create_node('outputs', context=ros_context, parameter_overrides=overrides)
    publisher = node.create_publisher(
        Header, 'depth', qos.output_qos(), qos_overriding_options=qos.output_qos_overrides()
    )
    assert publisher.qos_profile.reliability == BEST_EFFORT
    assert publisher.qos_profile.depth == 1
    node.destroy_node()


class Logs:
    """Stands in for the logger of a node."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.debugs: list[str] = []
        self.warning, self.debug = self.warnings.append, self.debugs.append


def test_a_publisher_that_cannot_be_heard_is_logged_with_the_cure(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, topic = Logs(), 'left/image_raw'
    monkeypatch.setattr(graph.node, 'get_logger', lambda: logs)
    graph.node.create_subscription(
        Header,
        topic,
        lambda _: None,
        qos.input_qos('reliable'),
        event_callbacks=qos.subscription_events(graph.node, topic),
    )
    graph.node.create_publisher(Header, topic, qos.input_qos('best_effort'))
    assert graph.spin_until(lambda: logs.warnings)
    assert '/left/image_raw' in logs.warnings[0]
    assert 'reliability:=best_effort' in logs.warnings[0]


def test_a_subscriber_that_hears_nothing_is_logged_with_the_cure(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, topic = Logs(), 'points'
    monkeypatch.setattr(graph.node, 'get_logger', lambda: logs)
    graph.node.create_publisher(
        Header,
        topic,
        qos.output_qos(),
        event_callbacks=qos.publisher_events(graph.node, topic),
    )
    graph.node.create_subscription(Header, topic, lambda _: None, qos.latched_camera_info_qos())
    assert graph.spin_until(lambda: logs.warnings)
    assert 'durability transient_local' in logs.warnings[0]
    assert 'qos_overrides./points.publisher.durability:=transient_local' in logs.warnings[0]


def test_the_latched_twin_does_not_complain_of_ordinary_publishers(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, topic = Logs(), 'left/camera_info'
    monkeypatch.setattr(graph.node, 'get_logger', lambda: logs)
    graph.node.create_subscription(
        Header,
        topic,
        lambda _: None,
        qos.latched_camera_info_qos(),
        event_callbacks=qos.subscription_events(graph.node, topic),
    )
    graph.node.create_publisher(Header, topic, qos.output_qos())
    assert graph.spin_until(lambda: logs.debugs)
    assert logs.warnings == []


@pytest.mark.parametrize('sentence', [qos.incompatible_publisher, qos.incompatible_subscriber])
def test_an_unforeseen_policy_still_makes_a_sentence(sentence: Any) -> None:
    assert 'deadline' in sentence('/depth', 'DEADLINE')
