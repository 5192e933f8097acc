"""One frame as one block of bytes, small and quick to read: what a training shard holds.

4 bytes, little-endian: the length of the header. The header, JSON: size, geometry, scene, and the
lengths of what follows, in this order:

left, right   JPEG of quality 95 without chroma subsampling
disparity     uint16, 128 codes a pixel, 0 = NaN; zlib over the differences along the rows, all
              low bytes before all high bytes
labels        PNG of one uint8: part (2 bits), type (4 bits), occluded, has a disparity

The disparity is right to 1/256 px. JPEG changes a picture by 0.8 levels on average and by 4 at the
99th percentile (layered frames of 640x512; 2.2 and 9 under strong sensor noise, which is most of
the difference). A noisy picture takes 174 kB and 2.9 ms to decode; as WebP of the same quality
115 kB and 8.6 ms; without a loss, as PNG or WebP, 520 kB or more and 5.8 ms or more.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np

from msdesis_ros.core.errors import FileFormatError, ImageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.data.synth.stereo_frame import StereoFrame

JPEG_QUALITY = 95
CODES_PER_PX = 128
MAX_DISPARITY_PX = (0xFFFF - 1) / CODES_PER_PX
_ZLIB_LEVEL = 3
_LENGTH = struct.Struct('<I')
_SECTIONS = ('left', 'right', 'disparity', 'labels')
# Bits of a label.
_TYPE, _OCCLUDED, _KNOWN = 2, 6, 7


def encode_frame(frame: StereoFrame) -> bytes:
    """Pack a frame; raises ImageError where its disparity does not fit."""
    sections = {
        'left': _encode_picture(frame.left),
        'right': _encode_picture(frame.right),
        'disparity': _encode_disparity(frame.disparity_px),
        'labels': _encode('.png', _labels(frame), [cv2.IMWRITE_PNG_COMPRESSION, 3]),
    }
    header = {
        'image_size': list(frame.image_size),
        'geometry': asdict(frame.geometry),
        'scene': frame.scene,
        'sections': {name: len(content) for name, content in sections.items()},
    }
    text = json.dumps(header, separators=(',', ':')).encode()
    return b''.join([_LENGTH.pack(len(text)), text, *sections.values()])


def decode_frame(record: bytes) -> StereoFrame:
    """Unpack a whole frame; raises FileFormatError where the bytes are not one."""
    width, height = _header(record)['image_size']
    return decode_crop(record, top=0, left=0, height=height, width=width)


def decode_crop(record: bytes, *, top: int, left: int, height: int, width: int) -> StereoFrame:
    """The same columns and rows of both pictures, as a frame of its own.

    Disparities stay as they are; the principal point moves; what has its partner outside of the
    cropped right picture is occluded. Raises FileFormatError where the bytes are not a frame,
    ImageError where the crop does not lie within it.
    """
    header = _header(record)
    full_width, full_height = header['image_size']
    if not (0 <= top < top + height <= full_height and 0 <= left < left + width <= full_width):
        raise ImageError(
            f'a crop of {width}x{height} px at ({left}, {top}) of a frame of '
            f'{full_width}x{full_height} px; it must lie within the frame'
        )
    window = np.s_[top : top + height, left : left + width]
    shape = (full_height, full_width)
    content = _sections(record, header)
    labels = _decode(content['labels'], shape, cv2.IMREAD_UNCHANGED)[window]
    disparity_px = _decode_disparity(content['disparity'], shape, window)
    geometry = dict(header['geometry'], image_size=(width, height))
    geometry['cx_px'] -= left
    geometry['cy_px'] -= top
    return StereoFrame(
        left=_decode_picture(content['left'], shape, window),
        right=_decode_picture(content['right'], shape, window),
        disparity_px=disparity_px,
        parts=labels & 3,
        types=(labels >> _TYPE) & 15,
        occluded=(labels >> _OCCLUDED & 1).astype(bool)
        | (np.arange(width, dtype=np.float32) < disparity_px),
        geometry=StereoGeometry(**geometry),
        scene=header['scene'],
    )


def _header(record: bytes) -> dict[str, Any]:
    try:
        (length,) = _LENGTH.unpack_from(record)
        header = json.loads(record[_LENGTH.size : _LENGTH.size + length])
        sizes = [header['sections'][name] for name in _SECTIONS]
        width, height = header['image_size']
        if _LENGTH.size + length + sum(sizes) != len(record) or min(width, height) < 1:
            raise ValueError('its parts are not as long as it says')
        return {**header, 'end': _LENGTH.size + length}
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise FileFormatError(
            f'these {len(record)} bytes are no frame of a shard ({error}); make the shards again'
        ) from error


def _sections(record: bytes, header: dict[str, Any]) -> dict[str, bytes]:
    view, at, found = memoryview(record), header['end'], {}
    for name in _SECTIONS:
        size = header['sections'][name]
        found[name] = view[at : at + size]
        at += size
    return found


def _encode(suffix: str, picture: np.ndarray, options: list[int]) -> bytes:
    written, encoded = cv2.imencode(suffix, picture, options)
    if not written:
        raise ImageError(f'OpenCV cannot encode {suffix}; is its support for it built in?')
    return encoded.tobytes()


def _encode_picture(picture: np.ndarray) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    if hasattr(cv2, 'IMWRITE_JPEG_SAMPLING_FACTOR'):  # not in OpenCV 4.5, which halves colours
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return _encode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)


def _decode(content: bytes, shape: tuple[int, int], flags: int) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if len(content) else None
    if picture is None or picture.shape[:2] != shape:
        raise FileFormatError(f'a picture of a shard is not one of {shape}; make the shards again')
    return picture


def _decode_picture(
    content: bytes, shape: tuple[int, int], window: tuple[slice, slice]
) -> np.ndarray:
    return cv2.cvtColor(_decode(content, shape, cv2.IMREAD_COLOR)[window], cv2.COLOR_BGR2RGB)


def _labels(frame: StereoFrame) -> np.ndarray:
    return (
        frame.parts.astype(np.uint8)
        | frame.types.astype(np.uint8) << _TYPE
        | frame.occluded.astype(np.uint8) << _OCCLUDED
        | np.isfinite(frame.disparity_px).astype(np.uint8) << _KNOWN
    ).astype(np.uint8)


def _encode_disparity(disparity_px: np.ndarray) -> bytes:
    known = np.isfinite(disparity_px)
    values = np.where(known, disparity_px, 0)
    if values.min() < 0 or values.max() > MAX_DISPARITY_PX:
        raise ImageError(
            f'disparities from {values.min():g} to {values.max():g} px; a shard holds 0 to '
            f'{MAX_DISPARITY_PX:g} px: make smaller pictures'
        )
    codes = np.where(known, np.rint(values * CODES_PER_PX) + 1, 0).astype(np.uint16)
    steps = codes.copy()
    steps[:, 1:] -= codes[:, :-1]  # modulo 65536
    planes = np.stack([steps & 0xFF, steps >> 8]).astype(np.uint8)
    return zlib.compress(planes.tobytes(), _ZLIB_LEVEL)


def _decode_disparity(
    content: bytes, shape: tuple[int, int], window: tuple[slice, slice]
) -> np.ndarray:
    size = 2 * shape[0] * shape[1]
    try:
        # One byte more, so that a longer content shows.
        raw = zlib.decompressobj().decompress(content, size + 1)
    except zlib.error as error:
        raise FileFormatError(f'a disparity of a shard is damaged ({error})') from error
    if len(raw) != size:
        raise FileFormatError(f'a disparity of a shard is not one of {shape}')
    low, high = np.frombuffer(raw, np.uint8).reshape(2, *shape)[:, window[0]]
    steps = high.astype(np.uint16) << 8
    steps |= low
    codes = np.cumsum(steps, axis=1, dtype=np.uint16)[:, window[1]]
    disparity_px = (codes.astype(np.float32) - 1) / np.float32(CODES_PER_PX)
    disparity_px[codes == 0] = np.nan
    return disparity_px
