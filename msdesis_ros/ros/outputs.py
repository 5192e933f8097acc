"""The output side of the node: lazy publishers, all under one stamp and one frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from msdesis_ros.core.left_rig import ViewGeometry
from msdesis_ros.core.overlay import overlay_picture
from msdesis_ros.core.prediction import Prediction
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.core.surface import TOOL_CYAN, SurfaceBuilder
from msdesis_ros.ros.message_buffers import (
    MessageBuffer,
    cloud_buffer,
    disparity_buffer,
    image_buffer,
)
from msdesis_ros.ros.messages import (
    camera_info_from_geometry,
    diagnostic_array,
    disparity_message,
    make_header,
)
from msdesis_ros.ros.qos import output_qos, output_qos_overrides
from msdesis_ros.runtime.pipeline import PerceptionResult, StageTimer

TOPICS: dict[str, type] = {
    'disparity': DisparityImage,
    'depth': Image,
    'camera_info': CameraInfo,
    'points': PointCloud2,
    'instrument_mask': Image,
    'uncertainty': Image,
    'left/image_rect': Image,
    'overlay': Image,
    'status': DiagnosticArray,
}


# What a topic needs of the model; without it the topic is not advertised. A result of one eye has
# the mask only, and leaves the others out.
NEEDED_HEADS = {
    'disparity': 'disparity',
    'depth': 'disparity',
    'points': 'disparity',
    'instrument_mask': 'instrument_mask',
    'uncertainty': 'uncertainty',
}
ENCODINGS = {'left/image_rect': 'rgb8', 'overlay': 'rgb8', 'instrument_mask': 'mono8'}


class StereoOutputs:
    """Publishes results; only what has a subscriber is computed. One thread publishes.

    `heads` are those of the model: topics that need a head it lacks are not advertised.
    """

    def __init__(self, node: Node, *, heads: frozenset[str]) -> None:
        self._node = node
        self._publishers: dict[str, Any] = {}
        try:
            for topic, kind in TOPICS.items():
                if NEEDED_HEADS.get(topic) is None or NEEDED_HEADS[topic] in heads:
                    self._publishers[topic] = node.create_publisher(
                        kind, topic, output_qos(), qos_overriding_options=output_qos_overrides()
                    )
        except Exception:  # a wrong QoS override: what was made so far is on the graph
            self.destroy()
            raise
        self._buffers: dict[str, MessageBuffer] = {}
        self._surface: tuple[tuple[StereoGeometry, int], SurfaceBuilder] | None = None
        self._makers: dict[str, Callable[[Prediction, Header], Any]] = {
            'disparity': self._disparity,
            'depth': self._depth,
            'camera_info': self._camera_info,
            'points': self._points,
            'instrument_mask': self._instrument_mask,
            'uncertainty': self._uncertainty,
            'left/image_rect': self._image_rect,
            'overlay': self._overlay,
        }
        self.point_stride = 1
        self.disparity_invalid = 'min_minus_one'
        self.tool_colour = TOOL_CYAN

    def destroy(self) -> None:
        """Take the topics off the graph."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers = {}

    def publish(
        self, result: PerceptionResult, *, frame_id: str
    ) -> tuple[list[str], dict[str, float]]:
        """Publish everything wanted of one result except `status`.

        Returns the topics it went out on and the wall time in ms by topic (making + sending).
        """
        prediction = result.prediction
        header = make_header(stamp_ns=prediction.stamp_ns, frame_id=frame_id)
        lacking = _lacking_heads(prediction)
        timer = StageTimer()
        sent = []
        for topic, make in self._makers.items():
            publisher = self._publishers.get(topic)
            if publisher is None or publisher.get_subscription_count() == 0:
                continue
            if NEEDED_HEADS.get(topic) in lacking:
                continue
            with timer.stage(f'publish {topic}'):
                publisher.publish(make(prediction, header))
            sent.append(topic)
        return sent, timer.ms

    def publish_status(self, status: DiagnosticStatus, *, stamp_ns: int, frame_id: str) -> None:
        """Publish the status of one pair under its stamp; nothing once they are destroyed."""
        publisher = self._publishers.get('status')
        if publisher is None:
            return
        header = make_header(stamp_ns=stamp_ns, frame_id=frame_id)
        publisher.publish(diagnostic_array([status], header))

    def warm_up(self, geometry: ViewGeometry) -> None:
        """Make the buffers and touch their pages before the first frame needs them."""
        width, height = geometry.image_size
        if not isinstance(geometry, StereoGeometry):
            for topic in ('left/image_rect', 'instrument_mask'):
                self._buffer(topic, (height, width)).pixels.fill(0)
            return
        depth = np.full((height, width), np.nan, np.float32)
        self._buffer('disparity', (height, width)).pixels.fill(0)
        self._buffer('depth', (height, width)).pixels.fill(0)
        self._pack(depth, np.zeros((height, width, 3), np.uint8), None, geometry)

    def _disparity(self, prediction: Prediction, header: Header) -> DisparityImage:
        assert isinstance(prediction.geometry, StereoGeometry)
        return disparity_message(
            prediction.disparity_px,
            prediction.valid,
            header,
            geometry=prediction.geometry,
            min_disparity_px=prediction.min_disparity_px,
            max_disparity_px=prediction.max_disparity_px,
            delta_px=prediction.disparity_step_px,
            valid_window=prediction.valid_window,
            invalid=self.disparity_invalid,
            buffer=self._buffer('disparity', prediction.valid.shape),
        )

    def _depth(self, prediction: Prediction, header: Header) -> Image:
        assert prediction.depth_m is not None
        return self._filled('depth', prediction.depth_m, header)

    def _instrument_mask(self, prediction: Prediction, header: Header) -> Image:
        assert prediction.instrument_mask is not None
        buffer = self._buffer('instrument_mask', prediction.instrument_mask.shape)
        np.multiply(prediction.instrument_mask, np.uint8(255), out=buffer.pixels)
        return buffer.stamped(header)

    def _overlay(self, prediction: Prediction, header: Header) -> Image:
        picture = overlay_picture(
            prediction.left_rect,
            prediction.disparity_px,
            prediction.valid,
            instrument_mask=prediction.instrument_mask,
            tool_colour=self.tool_colour,
        )
        return self._filled('overlay', picture, header)

    def _uncertainty(self, prediction: Prediction, header: Header) -> Image:
        assert prediction.uncertainty_px is not None
        return self._filled('uncertainty', prediction.uncertainty_px, header)

    def _image_rect(self, prediction: Prediction, header: Header) -> Image:
        return self._filled('left/image_rect', prediction.left_rect, header)

    def _camera_info(self, prediction: Prediction, header: Header) -> CameraInfo:
        assert prediction.geometry is not None
        return camera_info_from_geometry(prediction.geometry, header)

    def _points(self, prediction: Prediction, header: Header) -> PointCloud2:
        assert prediction.depth_m is not None
        assert isinstance(prediction.geometry, StereoGeometry)
        buffer = self._pack(
            prediction.depth_m,
            prediction.left_rect,
            prediction.instrument_mask,
            prediction.geometry,
        )
        return buffer.stamped(header)

    def _pack(
        self,
        depth_m: np.ndarray,
        colour: np.ndarray,
        instrument_mask: np.ndarray | None,
        geometry: StereoGeometry,
    ) -> MessageBuffer:
        key = (geometry, self.point_stride)
        if self._surface is None or self._surface[0] != key:
            self._surface = (key, SurfaceBuilder(geometry, stride=self.point_stride))
        builder = self._surface[1]
        width, height = builder.cloud_size
        buffer = self._buffer('points', (height, width))
        builder.pack(
            depth_m,
            colour,
            instrument_mask=instrument_mask,
            tool_colour=self.tool_colour,
            out=buffer.pixels,
        )
        return buffer

    def _filled(self, topic: str, values: np.ndarray, header: Header) -> Image:
        buffer = self._buffer(topic, values.shape)
        np.copyto(buffer.pixels, values)
        return buffer.stamped(header)

    def _buffer(self, topic: str, shape: tuple[int, ...]) -> MessageBuffer:
        """The reusable message of a topic, made anew when the picture size changes."""
        buffer = self._buffers.get(topic)
        if buffer is None or buffer.pixels.shape[:2] != shape[:2]:
            height, width = shape[:2]
            if topic == 'points':
                buffer = cloud_buffer(height=height, width=width)
            elif topic == 'disparity':
                buffer = disparity_buffer(height=height, width=width)
            else:
                encoding = ENCODINGS.get(topic, '32FC1')
                buffer = image_buffer(height=height, width=width, encoding=encoding)
            self._buffers[topic] = buffer
        return buffer


def _lacking_heads(prediction: Prediction) -> set[str]:
    content = {
        'disparity': prediction.depth_m,
        'instrument_mask': prediction.instrument_mask,
        'uncertainty': prediction.uncertainty_px,
    }
    return {head for head, plane in content.items() if plane is None}
