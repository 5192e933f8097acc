from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterDescriptor, ParameterValue
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import UInt64MultiArray
from stereo_msgs.msg import DisparityImage

from msdesis_ros.core.errors import UsageError
from msdesis_ros.ros.cdr import serialize
from msdesis_ros.ros.messages import (
    cloud_message,
    diagnostic_array,
    diagnostic_status,
    disparity_message,
    image_message,
    make_header,
)

HEADER = make_header(stamp_ns=1_700_000_000_123_456_789, frame_id='left_optical')
RNG = np.random.default_rng(0)


def messages() -> list[Any]:
    """What this package publishes, and messages with every other kind of field."""
    disparity = RNG.random((5, 7), np.float32)
    statuses = [
        diagnostic_status(level=level, name=name, message='a' * n, values={'k': n, 'längs': 'ß'})
        for n, (level, name) in enumerate([(b'\x00', 'x'), (b'\x01', 'yy'), (b'\x02', '')])
    ]
    info = CameraInfo(header=HEADER, width=7, height=5, distortion_model='plumb_bob')
    info.d, info.k = [0.1, -0.2, 0.3, 0.0, 1e-9], RNG.random(9)
    return [
        image_message(RNG.integers(0, 256, (5, 7, 3), np.uint8), 'rgb8', HEADER),
        image_message(disparity, '32FC1', HEADER),
        cloud_message(RNG.random((3, 4, 4), np.float32), HEADER),
        disparity_message(
            disparity,
            disparity > 0.5,
            HEADER,
            geometry=None,
            min_disparity_px=0.0,
            max_disparity_px=64.0,
            delta_px=0.0625,
        ),
        info,
        diagnostic_array(statuses, HEADER),
        ParameterDescriptor(name='n', description='', read_only=True),
        ParameterValue(
            byte_array_value=[b'\x01', b'\xff'],
            bool_array_value=[True, False],
            integer_array_value=[-1, 2**40],
            double_array_value=[0.5],
            string_array_value=['a', ''],
        ),
        UInt64MultiArray(data=[1, 2**63]),
        *(kind() for kind in (Image, CameraInfo, PointCloud2, DisparityImage, DiagnosticArray)),
    ]


@pytest.mark.parametrize('message', messages(), ids=lambda m: type(m).__name__)
def test_ros_reads_back_what_was_written(message: Any) -> None:
    assert deserialize_message(serialize(message), type(message)) == message


@pytest.mark.parametrize('message', messages(), ids=lambda m: type(m).__name__)
def test_the_bytes_are_those_of_the_middleware_but_for_the_gaps(message: Any) -> None:
    ours, theirs = serialize(message), serialize_message(message)
    assert 0 <= len(theirs) - len(ours) < 4, 'its messages end at a multiple of four'
    differing = [n for n, byte in enumerate(ours) if byte != theirs[n]]
    assert all(ours[n] == 0 for n in differing)


def test_equal_messages_have_equal_bytes_whatever_memory_held_before() -> None:
    message, seen = messages()[5], set()
    for n in range(50):
        serialize_message(Image(data=array.array('B', bytes([n]) * 5000)))
        seen.add(serialize(message))
    assert len(seen) == 1


def test_a_big_message_is_written_at_the_speed_of_memory() -> None:
    cloud = cloud_message(RNG.random((1024, 1280, 4), np.float32), HEADER)
    assert serialize(cloud)[-len(cloud.data) - 1 : -1] == bytes(cloud.data)


def test_a_type_that_cannot_be_written_is_refused_by_name() -> None:
    class Wide:
        @staticmethod
        def get_fields_and_field_types() -> dict[str, str]:
            return {'text': 'wstring'}

    with pytest.raises(UsageError, match='type wstring'):
        serialize(Wide())
