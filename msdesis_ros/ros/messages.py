"""ROS messages to values and values to ROS messages: pure functions, no node.

Pictures are read without a copy (`np.frombuffer`) and written with one. What is published at
camera rate avoids that one too: see `message_buffers`.
"""

from __future__ import annotations

import array
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, RegionOfInterest
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import ImageError, UsageError
from msdesis_ros.core.left_rig import ViewGeometry
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.core.surface import POINT_STEP
from msdesis_ros.ros.compressed import rgb_from_compressed
from msdesis_ros.ros.encodings import rgb_from_rows
from msdesis_ros.ros.message_buffers import (
    MessageBuffer,
    disparity_buffer,
    empty_cloud,
    empty_image,
    output_encoding,
)

NANOSECONDS = 1_000_000_000


# How pixels without an answer are marked in a DisparityImage.
INVALID_DISPARITY = ('min_minus_one', 'nan')


def stamp_ns(stamp: Any) -> int:
    """Nanoseconds of a `builtin_interfaces/Time`."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def stamp_from_ns(nanoseconds: int) -> Time:
    """The `builtin_interfaces/Time` of a number of nanoseconds, exactly."""
    seconds, rest = divmod(int(nanoseconds), NANOSECONDS)
    return Time(sec=seconds, nanosec=rest)


def make_header(*, stamp_ns: int, frame_id: str) -> Header:
    """A Header from a stamp in nanoseconds and a frame id."""
    return Header(stamp=stamp_from_ns(stamp_ns), frame_id=frame_id)


def rgb_from_image(message: Any) -> np.ndarray:
    """The picture of a `sensor_msgs/Image`: H x W x 3 uint8 RGB, C-contiguous.

    Takes the encodings of `encodings.INPUT_ENCODINGS`, any row padding (`step`) and any size that
    the encoding can have; `is_bigendian` means nothing for samples of 8 bits. For rgb8 without
    padding the result shares the message's memory (no copy). Raises ImageError for an encoding
    that is not supported, an empty picture, rows shorter than the width needs, and missing data.
    """
    return rgb_from_rows(
        message.data,
        message.encoding,
        width=message.width,
        height=message.height,
        step=message.step,
    )


def rgb_from_compressed_image(message: Any) -> np.ndarray:
    """The picture of a `sensor_msgs/CompressedImage`: H x W x 3 uint8 RGB, C-contiguous.

    Takes JPEG and PNG with 8 bits a sample; raises ImageError for all else, see `compressed`.
    """
    return rgb_from_compressed(bytes(message.data), message.format)


def camera_from_camera_info(message: Any) -> CameraCalibration:
    """The validated calibration of a `sensor_msgs/CameraInfo`; raises CalibrationError.

    ROI and binning are applied; a leading slash of the frame id (ROS 1) is dropped.
    """
    roi = message.roi
    return CameraCalibration.from_camera_info_fields(
        width=message.width,
        height=message.height,
        distortion_model=message.distortion_model,
        d=message.d,
        k=message.k,
        r=message.r,
        p=message.p,
        frame_id=message.header.frame_id.lstrip('/'),
        binning_x=message.binning_x,
        binning_y=message.binning_y,
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height),
    )


def camera_info_from_camera(camera: CameraCalibration, header: Header) -> CameraInfo:
    """The CameraInfo of a calibration, for the pictures it is made for (no ROI, no binning)."""
    width, height = camera.image_size
    return CameraInfo(
        header=header,
        width=width,
        height=height,
        distortion_model=camera.distortion_model,
        d=camera.distortion.tolist(),
        k=camera.camera_matrix.ravel().tolist(),
        r=camera.rectification.ravel().tolist(),
        p=camera.projection.ravel().tolist(),
    )


def camera_info_from_geometry(geometry: ViewGeometry, header: Header) -> CameraInfo:
    """The CameraInfo of the rectified left view: D = 0, R = I, K = P[:3, :3]."""
    width, height = geometry.image_size
    focal_x, focal_y = float(geometry.focal_px), float(geometry.focal_y_px)
    cx, cy = float(geometry.cx_px), float(geometry.cy_px)
    return CameraInfo(
        header=header,
        width=width,
        height=height,
        distortion_model='plumb_bob',
        d=[0.0] * 5,
        k=[focal_x, 0.0, cx, 0.0, focal_y, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[focal_x, 0.0, cx, 0.0, 0.0, focal_y, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def image_message(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    """An Image with a copy of `pixels`: H x W (x 3), of the encoding's sample type.

    Raises ImageError where shape or type do not fit the encoding.
    """
    dtype, channels = output_encoding(encoding)
    fits = pixels.shape[2:] == (() if channels == 1 else (channels,))
    if pixels.dtype != dtype or pixels.ndim < 2 or pixels.size == 0 or not fits:
        raise ImageError(
            f'an array of shape {pixels.shape} and type {pixels.dtype} is no {encoding} image; '
            f'expected height x width{"" if channels == 1 else f" x {channels}"} '
            f'{np.dtype(dtype)}'
        )
    height, width = pixels.shape[:2]
    message = empty_image(height=height, width=width, encoding=encoding)
    message.header = header
    _append(message.data, pixels)
    return message


def depth_message(depth_m: np.ndarray, header: Header) -> Image:
    """A 32FC1 depth Image by REP 118: metres, NaN invalid. depth_m: H x W float32."""
    return image_message(depth_m, '32FC1', header)


def mask_message(mask: np.ndarray, header: Header) -> Image:
    """A mono8 Image of a mask: 255 where H x W bool `mask` is True, 0 elsewhere."""
    return image_message(mask.astype(np.uint8) * np.uint8(255), 'mono8', header)


def disparity_message(
    disparity_px: np.ndarray,
    valid: np.ndarray,
    header: Header,
    *,
    geometry: StereoGeometry | None,
    min_disparity_px: float,
    max_disparity_px: float,
    delta_px: float,
    valid_window: tuple[int, int, int, int] | None = None,
    invalid: str = 'min_minus_one',
    buffer: MessageBuffer | None = None,
) -> DisparityImage:
    """A `stereo_msgs/DisparityImage`: 32FC1 px, `header` equal to `image.header`.

    disparity_px: H x W float32, for views with one common cx; valid: H x W bool. Pixels outside
    `valid` hold `min_disparity - 1`, as users of the message expect, or NaN (`invalid='nan'`).
    geometry gives f (px) and t (baseline, m, positive); without it both are 0. delta_px: the
    smallest step of the disparity. valid_window: (x, y, width, height) px of the pixels that can
    have an answer, default all. buffer: a `disparity_buffer` of that size to fill and return.
    """
    if invalid not in INVALID_DISPARITY:
        raise UsageError(
            f"'{invalid}' is no way to mark invalid disparities; choose one of "
            f'{", ".join(INVALID_DISPARITY)}'
        )
    height, width = disparity_px.shape
    buffer = buffer or disparity_buffer(height=height, width=width)
    buffer.pixels.fill(np.nan if invalid == 'nan' else min_disparity_px - 1)
    # Three times faster than np.copyto(..., where=).
    cv2.copyTo(disparity_px, valid.view(np.uint8), buffer.pixels)
    message = buffer.stamped(header)
    message.f = float(geometry.focal_px) if geometry else 0.0
    message.t = float(geometry.baseline_m) if geometry else 0.0
    message.min_disparity = float(min_disparity_px)
    message.max_disparity = float(max_disparity_px)
    message.delta_d = float(delta_px)
    x, y, window_width, window_height = valid_window or (0, 0, width, height)
    message.valid_window = RegionOfInterest(
        x_offset=x, y_offset=y, width=window_width, height=window_height
    )
    return message


def cloud_message(packed: np.ndarray, header: Header) -> PointCloud2:
    """An organised PointCloud2 with a copy of a packed cloud.

    packed: H x W x 4 float32 (or the same bytes as H x W x 16 uint8): x, y, z in metres, NaN
    invalid, then blue, green, red, label as bytes. Raises ImageError for anything else.
    """
    if packed.shape[2:] not in ((4,), (POINT_STEP,)) or packed[:1, :1].nbytes != POINT_STEP:
        raise ImageError(
            f'an array of shape {packed.shape} and type {packed.dtype} is no packed cloud; '
            'expected height x width x 4 float32, or x 16 uint8'
        )
    message = empty_cloud(height=packed.shape[0], width=packed.shape[1])
    message.header = header
    _append(message.data, packed)
    return message


def diagnostic_status(
    *,
    level: bytes,
    name: str,
    message: str,
    hardware_id: str = '',
    values: Mapping[str, object] | None = None,
) -> DiagnosticStatus:
    """A DiagnosticStatus; `level` is one of its constants, every value becomes text."""
    pairs = [KeyValue(key=key, value=str(value)) for key, value in (values or {}).items()]
    return DiagnosticStatus(
        level=level, name=name, message=message, hardware_id=hardware_id, values=pairs
    )


def diagnostic_array(statuses: Sequence[DiagnosticStatus], header: Header) -> DiagnosticArray:
    """A DiagnosticArray under one header."""
    return DiagnosticArray(header=header, status=list(statuses))


def _append(data: array.array[int], source: np.ndarray) -> None:
    """Fill the array of a new message with one copy; assigning to `data` would copy twice."""
    data.frombytes(np.ascontiguousarray(source).data.cast('B'))
