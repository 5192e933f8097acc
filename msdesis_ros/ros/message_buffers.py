"""Messages of fixed size that NumPy writes into in place, for what is published at camera rate.

Why: bulk data costs most in a message. Measured for a 21 MB cloud: a message that is kept and
filled in place 0 ms, bytes appended to the message's own array 1.4 ms, an array or bytes assigned
to `message.data` 2.9 ms (the setter of Jazzy and later copies once more), a NumPy array 1 s.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from msdesis_ros.core.errors import ImageError
from msdesis_ros.core.surface import POINT_STEP

# What this package publishes: encoding -> (sample type, channels).
OUTPUT_ENCODINGS: dict[str, tuple[type[np.generic], int]] = {
    'rgb8': (np.uint8, 3),
    'bgr8': (np.uint8, 3),
    'mono8': (np.uint8, 1),
    '32FC1': (np.float32, 1),
}


class MessageBuffer:
    """A message of fixed size that NumPy fills in place, to be published again and again.

    `pixels` is a writable array in the message's own memory: write there (`cv2.merge(...,
    dst=buffer.pixels)`), then publish `stamped(header)`. The buffer may be written again as soon
    as `publish()` has returned, because rclpy serialises inside it. One producer thread only.
    Made by `image_buffer`, `disparity_buffer` and `cloud_buffer`.
    """

    def __init__(
        self, message: Any, holder: Any, *, shape: tuple[int, ...], dtype: type[np.generic]
    ) -> None:
        """`holder` is the (sub)message with the `data` field: `message` itself, or its image."""
        data = holder.data
        data.frombytes(bytes(math.prod(shape) * np.dtype(dtype).itemsize))
        self._headers = [message] if holder is message else [message, holder]
        self.message = message
        self.pixels: np.ndarray = np.frombuffer(data, dtype).reshape(shape)

    def stamped(self, header: Header) -> Any:
        """The message with this header, and with what `pixels` holds now."""
        for part in self._headers:
            part.header = header
        return self.message


def image_buffer(*, height: int, width: int, encoding: str) -> MessageBuffer:
    """A reusable Image; `pixels` is H x W (x 3), of the encoding's sample type."""
    dtype, channels = output_encoding(encoding)
    image = empty_image(height=height, width=width, encoding=encoding)
    shape = (height, width) if channels == 1 else (height, width, channels)
    return MessageBuffer(image, image, shape=shape, dtype=dtype)


def disparity_buffer(*, height: int, width: int) -> MessageBuffer:
    """A reusable DisparityImage; `pixels` is H x W float32."""
    image = empty_image(height=height, width=width, encoding='32FC1')
    message = DisparityImage(image=image)
    return MessageBuffer(message, message.image, shape=(height, width), dtype=np.float32)


def cloud_buffer(*, height: int, width: int) -> MessageBuffer:
    """A reusable PointCloud2; `pixels` is H x W x 4 float32, as `SurfaceBuilder` packs."""
    message = empty_cloud(height=height, width=width)
    return MessageBuffer(message, message, shape=(height, width, 4), dtype=np.float32)


def output_encoding(encoding: str) -> tuple[type[np.generic], int]:
    """Sample type and channel count of an encoding this package publishes; ImageError else."""
    if encoding not in OUTPUT_ENCODINGS:
        raise ImageError(
            f"the encoding '{encoding}' is not one this package publishes: "
            f'{", ".join(OUTPUT_ENCODINGS)}'
        )
    return OUTPUT_ENCODINGS[encoding]


def empty_image(*, height: int, width: int, encoding: str) -> Image:
    """An Image with all fields but header and data."""
    dtype, channels = output_encoding(encoding)
    return Image(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(sys.byteorder == 'big'),
        step=width * channels * np.dtype(dtype).itemsize,
    )


def empty_cloud(*, height: int, width: int) -> PointCloud2:
    """An organised PointCloud2 (x y z rgb label) with all fields but header and data."""
    layout = (('x', 0), ('y', 4), ('z', 8), ('rgb', 12))
    fields = [
        PointField(name=name, offset=offset, datatype=PointField.FLOAT32, count=1)
        for name, offset in layout
    ]
    fields.append(PointField(name='label', offset=15, datatype=PointField.UINT8, count=1))
    return PointCloud2(
        height=height,
        width=width,
        fields=fields,
        is_bigendian=sys.byteorder == 'big',
        point_step=POINT_STEP,
        row_step=width * POINT_STEP,
        is_dense=False,
    )
