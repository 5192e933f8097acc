"""The `stereo_recorder` node: topics, as they come off the wire, into one MCAP file."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from msdesis_ros.core.errors import MissingExtraError, MsdesisError, UsageError
from msdesis_ros.data.mcap_files import COMPRESSIONS, McapRecording
from msdesis_ros.ros.declared import Spec, declare_all
from msdesis_ros.ros.message_definition import message_definition, message_type, type_name
from msdesis_ros.ros.process import EXIT_FAILED, run
from msdesis_ros.ros.qos import message_lost_events, recorder_qos

NODE_NAME = 'stereo_recorder'
# The topics of a stereo camera and of `stereo_endoscope` but the pictures that come in.
KNOWN_TOPICS = {
    'left/camera_info': 'sensor_msgs/msg/CameraInfo',
    'right/camera_info': 'sensor_msgs/msg/CameraInfo',
    'disparity': 'stereo_msgs/msg/DisparityImage',
    'depth': 'sensor_msgs/msg/Image',
    'camera_info': 'sensor_msgs/msg/CameraInfo',
    'points': 'sensor_msgs/msg/PointCloud2',
    'instrument_mask': 'sensor_msgs/msg/Image',
    'uncertainty': 'sensor_msgs/msg/Image',
    'left/image_rect': 'sensor_msgs/msg/Image',
    'overlay': 'sensor_msgs/msg/Image',
    'status': 'diagnostic_msgs/msg/DiagnosticArray',
    '/diagnostics': 'diagnostic_msgs/msg/DiagnosticArray',
}
# Those take 8 MB a pair of 1280x1024, so they are recorded only where they are asked for.
INPUT_TOPICS = {
    'none': {},
    'raw': {f'{side}/image_raw': 'sensor_msgs/msg/Image' for side in ('left', 'right')},
    'compressed': {
        f'{side}/image_raw/compressed': 'sensor_msgs/msg/CompressedImage'
        for side in ('left', 'right')
    },
}
_TYPES = {
    topic: kind
    for topics in (KNOWN_TOPICS, *INPUT_TOPICS.values())
    for topic, kind in topics.items()
}
SPECS: dict[str, Spec] = {
    'output': Spec('', 'The MCAP file to write; it has this name when it is complete.'),
    'topics': Spec(
        list(KNOWN_TOPICS),
        'Topics to record, resolved in the namespace of the node; name:package/msg/Type '
        'subscribes before somebody publishes.',
    ),
    'inputs': Spec(
        'none',
        'Record the pictures that come in too, so that the recording can be played and replayed.',
        choices=tuple(INPUT_TOPICS),
    ),
    'compression': Spec('none', 'Compression of the file.', choices=tuple(COMPRESSIONS)),
    'queue_depth': Spec(20, 'Messages a topic may have waiting to be written.', 1, 1000),
}
POLL_S = 0.25
# Finishing the file may have to wait for the disk.
STOP_WITHIN_S = 10.0
# Humble hands no message info to callbacks.
HAS_MESSAGE_INFO = hasattr(getattr(Subscription, 'CallbackType', None), 'WithMessageInfo')


class StereoRecorder(Node):
    """Records until it is destroyed; then the file gets its name.

    Raises MsdesisError (in the constructor) for parameters it cannot use.
    """

    def __init__(self, *, transport_warnings: tuple[str, ...] = (), **node_arguments: Any) -> None:
        super().__init__(NODE_NAME, **node_arguments)
        self.exit_code: int | None = None
        settings = declare_all(self, SPECS)
        if not settings['output']:
            raise UsageError('parameter output is missing: name the MCAP file to write')
        if not settings['topics']:
            raise UsageError('parameter topics is empty: name at least one topic')
        self._depth = settings['queue_depth']
        self._lost = 0
        self._topics: dict[str, Subscription] = {}
        wanted: dict[str, Any] = {}
        for entry in (*settings['topics'], *INPUT_TOPICS[settings['inputs']]):
            name, _, kind = entry.partition(':')
            kind = kind or _TYPES.get(name, '')
            wanted[self.resolve_topic_name(name)] = message_type(kind) if kind else None
        self._recording = McapRecording(settings['output'], compression=settings['compression'])
        for topic, kind in wanted.items():
            if kind is not None:
                self._subscribe(topic, kind, recorder_qos(depth=self._depth))
        self._undiscovered = {topic for topic, kind in wanted.items() if kind is None}
        self._timer = self.create_timer(POLL_S, self._follow_graph)
        self.get_logger().info(f'recording {len(wanted)} topics into {self._recording.path}')

    def destroy_node(self) -> None:
        """Finish the file, then leave the graph."""
        try:
            self._recording.close()
        except MsdesisError as error:
            self.get_logger().fatal(str(error))
            self.exit_code = EXIT_FAILED
        else:
            self._summarise()
        super().destroy_node()

    def _subscribe(self, topic: str, kind: Any, qos: QoSProfile) -> None:
        self._recording.add_topic(
            topic, type_name=type_name(kind), definition=message_definition(kind)
        )
        callback: Callable[..., None] = functools.partial(self._record, topic)
        if not HAS_MESSAGE_INFO:
            callback = functools.partial(self._record, topic, info={})
        self._topics[topic] = self.create_subscription(
            kind,
            topic,
            callback,
            qos,
            raw=True,
            event_callbacks=message_lost_events(self._on_lost),
        )

    def _record(self, topic: str, cdr: bytes, info: dict[str, int]) -> None:
        # Not the time of arrival that `info` has: a message that had to be sent twice arrives
        # after its successor but is handed over before it, and the file keeps that order.
        now_ns = time.time_ns()
        # 0 means that the middleware does not know.
        sent_ns = info.get('source_timestamp', 0) or now_ns
        self._recording.write(topic, cdr, log_time_ns=now_ns, publish_time_ns=sent_ns)

    def _on_lost(self, count: int) -> None:
        self._lost += count
        self.get_logger().warning(
            f'{count} messages were lost before they could be written; record fewer topics, or '
            'without compression'
        )

    def _follow_graph(self) -> None:
        """Subscribe to what has appeared, and match the publishers that there are."""
        if self._undiscovered:
            kinds = dict(self.get_topic_names_and_types())
            for topic in sorted(self._undiscovered & kinds.keys()):
                self._undiscovered.discard(topic)
                try:
                    kind = message_type(kinds[topic][0])
                except MissingExtraError as error:
                    self.get_logger().error(f'{topic} is not recorded: {error}')
                else:
                    self._subscribe(topic, kind, recorder_qos(depth=self._depth))
        for topic, subscription in list(self._topics.items()):
            offers = [info.qos_profile for info in self.get_publishers_info_by_topic(topic)]
            qos = recorder_qos(offers, depth=self._depth)
            if self._must_change(topic, subscription.qos_profile, qos):
                self.destroy_subscription(subscription)
                self._subscribe(topic, subscription.msg_type, qos)

    def _must_change(self, topic: str, now: QoSProfile, better: QoSProfile) -> bool:
        """Whether the publishers cannot reach us, or have latched what we have not got."""
        unheard = (
            now.reliability == ReliabilityPolicy.RELIABLE
            and better.reliability == ReliabilityPolicy.BEST_EFFORT
        )
        latched = (
            now.durability == DurabilityPolicy.VOLATILE
            and better.durability == DurabilityPolicy.TRANSIENT_LOCAL
            and self._recording.counts[topic] == 0
        )
        return unheard or latched

    def _summarise(self) -> None:
        counts = self._recording.counts
        silent = sorted({topic for topic, count in counts.items() if not count})
        silent += sorted(self._undiscovered)
        sentence = f'{sum(counts.values())} messages in {self._recording.path}'
        if self._lost:
            sentence += f'; {self._lost} lost'
        if silent:
            sentence += f'; nothing came on {", ".join(silent)}'
        self.get_logger().info(sentence)


def main(args: list[str] | None = None) -> int:
    """The executable `stereo_recorder`."""
    return run(StereoRecorder, args, stop_within_s=STOP_WITHIN_S)


if __name__ == '__main__':
    sys.exit(main())
