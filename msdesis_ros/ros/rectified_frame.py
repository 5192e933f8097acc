"""Where the results live: the frame id, and the static transform where rectification turns it."""

from __future__ import annotations

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from msdesis_ros.core.left_rig import LeftView

RECTIFIED_SUFFIX = '_rect_optical'


def result_frame_id(rig: LeftView, *, override: str = '') -> str:
    """The frame of every result: the override, the left optical frame, or its rectified twin."""
    if override:
        return override.lstrip('/')
    left = rig.left.frame_id or 'left_optical'
    return left if rig.keeps_left_frame else left + RECTIFIED_SUFFIX


class StaticFrame:
    """Announces the rectified frame on `/tf_static`, where tf2_msgs is installed."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = None
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            self._message_type = None
            return
        self._message_type = TFMessage
        qos = QoSProfile(
            depth=1,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        self._publisher = node.create_publisher(TFMessage, '/tf_static', qos)

    def announce(self, rig: LeftView, frame_id: str) -> str:
        """Publish left frame -> `frame_id`; returns a sentence where the operator must act.

        A name of the operator's own may have a parent already: nothing is published for it.
        """
        if rig.keeps_left_frame or not rig.left.frame_id or frame_id == rig.left.frame_id:
            return ''
        reason = ''
        if frame_id != result_frame_id(rig):
            reason = 'the name comes from the parameter frame_id'
        elif self._publisher is None or self._message_type is None:
            reason = 'tf2_msgs is not installed'
        if reason or self._publisher is None or self._message_type is None:
            return (
                f'results are in {frame_id}, which rectification turns by '
                f'{rig.rotation_deg:.2f} degrees against {rig.left.frame_id}; {reason}, so '
                'publish that static transform yourself'
            )
        transform = static_transform(rig, frame_id)
        transform.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(self._message_type(transforms=[transform]))
        return ''

    def destroy(self) -> None:
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None


def static_transform(rig: LeftView, frame_id: str):  # type: ignore[no-untyped-def]
    """The geometry_msgs/TransformStamped from the left optical frame to the rectified one.

    R of camera_info takes camera coordinates to rectified ones; a transform message states the
    pose of the child in its parent, which is the inverse rotation.
    """
    from geometry_msgs.msg import TransformStamped

    transform = TransformStamped()
    transform.header.frame_id = rig.left.frame_id
    transform.child_frame_id = frame_id
    vector = cv2.Rodrigues(np.array(rig.left.rectification).T)[0].ravel()
    angle = float(np.linalg.norm(vector))
    axis = vector / angle if angle > 0 else np.zeros(3)
    rotation = transform.transform.rotation
    rotation.x, rotation.y, rotation.z = (float(v) for v in axis * np.sin(angle / 2))
    rotation.w = float(np.cos(angle / 2))
    return transform
