"""Pixel encodings of `sensor_msgs/Image`, by name, to RGB. No ROS inside: bytes in, arrays out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np

from msdesis_ros.core.errors import ImageError, shown

# A mosaic shows two colours in every row and column; an average needs neighbours on both sides.
BAYER_SMALLEST = 3


class _Decoder(NamedTuple):
    """How one encoding becomes RGB; `convert` takes H x W (x bytes_per_pixel) uint8.

    `refusal(width, height)` is why a size cannot be, or an empty string.
    """

    bytes_per_pixel: int
    convert: Callable[[np.ndarray], np.ndarray]
    refusal: Callable[[int, int], str] = lambda width, height: ''


def _converted(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _bayer(code: int) -> _Decoder:
    return _Decoder(1, _converted(code), _too_small_for_bayer)


def _too_small_for_bayer(width: int, height: int) -> str:
    if min(width, height) >= BAYER_SMALLEST:
        return ''
    return f'a Bayer mosaic needs at least {BAYER_SMALLEST}x{BAYER_SMALLEST} pixels'


def _odd_width(width: int, height: int) -> str:
    if width % 2 == 0:
        return ''
    return 'two neighbouring pixels of a row share their colour, so the width must be even'


# One row an encoding: everything that depends on it is here. All have 8-bit samples, for which
# the byte order has no meaning.
_DECODERS: dict[str, _Decoder] = {
    'rgb8': _Decoder(3, lambda pixels: pixels),
    'bgr8': _Decoder(3, _converted(cv2.COLOR_BGR2RGB)),
    'rgba8': _Decoder(4, _converted(cv2.COLOR_RGBA2RGB)),
    'bgra8': _Decoder(4, _converted(cv2.COLOR_BGRA2RGB)),
    'mono8': _Decoder(1, _converted(cv2.COLOR_GRAY2RGB)),
    # ROS names a mosaic by its first four pixels, (0, 0) (1, 0) / (0, 1) (1, 1). OpenCV names it
    # by those that begin at (1, 1): its BG is the rggb of ROS.
    'bayer_rggb8': _bayer(cv2.COLOR_BayerBG2RGB),
    'bayer_bggr8': _bayer(cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': _bayer(cv2.COLOR_BayerGR2RGB),
    'bayer_grbg8': _bayer(cv2.COLOR_BayerGB2RGB),
    # BT.601, luma 16 to 235. Newer distributions call them by their FourCC.
    'yuv422': _Decoder(2, _converted(cv2.COLOR_YUV2RGB_UYVY), _odd_width),
    'uyvy': _Decoder(2, _converted(cv2.COLOR_YUV2RGB_UYVY), _odd_width),
    'yuv422_yuy2': _Decoder(2, _converted(cv2.COLOR_YUV2RGB_YUYV), _odd_width),
    'yuyv': _Decoder(2, _converted(cv2.COLOR_YUV2RGB_YUYV), _odd_width),
}
INPUT_ENCODINGS = tuple(_DECODERS)


def rgb_from_rows(data: Any, encoding: str, *, width: int, height: int, step: int) -> np.ndarray:
    """A picture as it lies in memory: H x W x 3 uint8 RGB, C-contiguous.

    data: a buffer with `height` rows of `step` bytes; what lies behind the pixels of a row and
    behind the last row is ignored. encoding: one of INPUT_ENCODINGS. Bayer mosaics are
    interpolated linearly, the outermost row and column repeat the next one. rgb8 without padding
    shares the memory of `data`.
    Raises ImageError for another encoding, a size that the encoding cannot have, an empty picture,
    rows shorter than the width needs, and missing data.
    """
    decoder = _DECODERS.get(encoding)
    if decoder is None:
        raise ImageError(
            f'the encoding {shown(encoding)} is not supported; publish one of '
            f'{", ".join(INPUT_ENCODINGS)}'
        )
    row_bytes = width * decoder.bytes_per_pixel
    rows = np.frombuffer(data, np.uint8)
    size = f'{width}x{height} {encoding}'
    _require_layout(size, rows.size, width=width, height=height, step=step, row_bytes=row_bytes)
    refusal = decoder.refusal(width, height)
    if refusal:
        raise ImageError(f'the image is {size}, which cannot be: {refusal}')
    rows = rows[: height * step].reshape(height, step)[:, :row_bytes]
    samples = () if decoder.bytes_per_pixel == 1 else (decoder.bytes_per_pixel,)
    return np.ascontiguousarray(decoder.convert(rows.reshape(height, width, *samples)))


def _require_layout(
    size: str, actual: int, *, width: int, height: int, step: int, row_bytes: int
) -> None:
    if width <= 0 or height <= 0:
        raise ImageError(
            f'the image is empty ({width}x{height}); the camera driver sends no picture'
        )
    if step < row_bytes:
        raise ImageError(
            f'the step of the {size} image is {step} bytes; a row needs at least {row_bytes}: '
            'the driver fills in a wrong step or encoding'
        )
    expected = step * height
    if actual < expected:
        raise ImageError(
            f'the {size} image has {actual} bytes of data, expected {expected} (step {step} x '
            f'height {height}): it was cut short on its way'
        )
