"""`sensor_msgs/CompressedImage` to RGB: JPEG and PNG, 8 bits. No ROS inside: bytes in, arrays out.

What `format` means is set by the compressed transport of image_transport: `jpeg` or `png`, or in
full `<encoding of the raw image>; <jpeg or png> compressed <encoding that was compressed>`.
"""

from __future__ import annotations

import contextlib
import re
import struct
from typing import NamedTuple

import cv2
import numpy as np

from msdesis_ros.core.errors import ImageError, shown
from msdesis_ros.data.images import is_cut_jpeg, is_cut_png
from msdesis_ros.ros.encodings import rgb_from_rows

# A damaged header may claim a picture that fills the memory before anyone sees that it is damaged.
MAX_PIXELS = 2**26
_PNG = b'\x89PNG\r\n\x1a\n'
_JPEG = b'\xff\xd8\xff'
# Raw encodings whose colours the transport compresses as blue, green, red, and says so.
_COLOUR = ('rgb8', 'bgr8', 'rgba8', 'bgra8')
_MORE_THAN_8_BITS = re.compile('16|32|64')
_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
_TO_RGB_SWAPPED = {3: None, 4: cv2.COLOR_RGBA2RGB}


class _Header(NamedTuple):
    """What a compressed picture says of itself before it is decoded."""

    kind: str
    width: int
    height: int
    bits: int


def rgb_from_compressed(data: bytes, format_: str) -> np.ndarray:
    """A compressed picture: H x W x 3 uint8 RGB, C-contiguous.

    data: a whole JPEG or PNG file, in colour, grey, or a Bayer mosaic that `format_` names; an
    alpha channel is dropped, an orientation tag ignored. `format_` also tells, as it does
    image_transport, where red and blue were compressed in exchanged places.
    Raises ImageError for other formats, more than 8 bits a sample, an empty or unreasonably large
    picture, and data that is cut short or damaged so that it cannot be decoded. (A JPEG holds no
    checksum: bytes that were changed on the way give a wrong picture without a word.)
    """
    raw_encoding, separator, compression = (part.strip() for part in format_.partition(';'))
    raw_encoding = raw_encoding if separator else ''
    header = _require_header(data, format_)
    if header.bits > 8 or _MORE_THAN_8_BITS.search(raw_encoding):
        bits = f' ({header.bits} bits)' if header.bits > 8 else ''
        raise ImageError(
            f'the compressed picture of format {shown(format_)}{bits} has more than 8 bits a '
            'sample; how many of them carry the picture cannot be told: publish 8 bits'
        )
    pixels = _decode(data, header, format_)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if raw_encoding.startswith('bayer_') and channels == 1:
        height, width = pixels.shape[:2]
        return rgb_from_rows(pixels, raw_encoding, width=width, height=height, step=width)
    swapped = raw_encoding in _COLOUR and 'compressed bgr' not in compression
    conversion = (_TO_RGB | _TO_RGB_SWAPPED if swapped else _TO_RGB)[channels]
    return pixels if conversion is None else cv2.cvtColor(pixels, conversion)


def _require_header(data: bytes, format_: str) -> _Header:
    if not data:
        raise ImageError('the compressed picture is empty; the camera driver sends no picture')
    if data.startswith(_PNG):
        header = _png_header(data)
    elif data.startswith(_JPEG):
        header = _jpeg_header(data)
    else:
        raise ImageError(
            f'the compressed picture of format {shown(format_)} is no JPEG and no PNG (it begins '
            f'with {data[:4].hex(" ")}); publish one of these'
        )
    if header is None:
        raise _broken(data, format_)
    if header.width * header.height > MAX_PIXELS:
        raise ImageError(
            f'the compressed picture says that it has {header.width}x{header.height} px, more '
            f'than {MAX_PIXELS // 2**20} million: it is damaged, or no endoscope'
        )
    return header


def _png_header(data: bytes) -> _Header | None:
    if len(data) < 26 or data[12:16] != b'IHDR':
        return None
    width, height, bits = struct.unpack_from('>IIB', data, 16)
    return _Header('PNG', width, height, bits)


def _jpeg_header(data: bytes) -> _Header | None:
    """Walk through the segments up to the one with the size (start of frame)."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width = struct.unpack_from('>BHH', data, at + 4)
            return _Header('JPEG', width, height, bits)
        else:
            at += 2 + struct.unpack_from('>H', data, at + 2)[0]
    return None


def _decode(data: bytes, header: _Header, format_: str) -> np.ndarray:
    """The samples as stored: H x W (x 3 or 4, blue first) uint8."""
    # Asked before decoding, because libpng complains of every cut picture on stderr.
    cut = is_cut_jpeg(data) if header.kind == 'JPEG' else is_cut_png(data)
    pixels = None
    if not cut:
        with contextlib.suppress(cv2.error):
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint8:
        raise _broken(data, format_)
    return pixels


def _broken(data: bytes, format_: str) -> ImageError:
    return ImageError(
        f'the compressed picture ({len(data)} bytes, format {shown(format_)}) is not whole: it '
        'was cut short or damaged on its way'
    )
