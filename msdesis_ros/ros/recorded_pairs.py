"""The pairs of pictures in a recording, decoded, for tools that look at still pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image

from msdesis_ros.core.pairing import StampPairer
from msdesis_ros.data.stereo_recording import CAMERA_INFO, COMPRESSED, StereoRecording
from msdesis_ros.ros.messages import rgb_from_compressed_image, rgb_from_image


class RecordedPair(NamedTuple):
    """stamp_ns: of the left picture. left, right: H x W x 3 uint8, RGB."""

    stamp_ns: int
    left: np.ndarray
    right: np.ndarray


def recorded_pairs(recording: StereoRecording, *, every_s: float = 0.0) -> Iterator[RecordedPair]:
    """The pairs of a recording by the rules of the node, at least `every_s` apart.

    What is left out is not decoded. Raises ImageError for a picture that cannot be decoded.
    """
    pairer: StampPairer[bytes] = StampPairer()
    add = {'left': pairer.add_left, 'right': pairer.add_right}
    due_ns: int | None = None
    for message in recording.messages():
        if message.kind == CAMERA_INFO:
            continue
        for pair in add[message.side](message.stamp_ns, message.cdr, arrival_ns=message.time_ns):
            # A stamp far before the last one is a recording that begins anew.
            if due_ns is None or not due_ns - every_s * 1e9 <= pair.left_stamp_ns < due_ns:
                due_ns = pair.left_stamp_ns + round(every_s * 1e9)
                left, right = (_decoded(recording, cdr) for cdr in (pair.left, pair.right))
                yield RecordedPair(pair.left_stamp_ns, left, right)


def _decoded(recording: StereoRecording, cdr: bytes) -> np.ndarray:
    if recording.image_type == COMPRESSED:
        return rgb_from_compressed_image(deserialize_message(cdr, CompressedImage))
    return rgb_from_image(deserialize_message(cdr, Image))
