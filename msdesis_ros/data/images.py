"""Pictures in and out of files: RGB or numbers in, PNG and float32 TIFF out, never half a file."""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from msdesis_ros.core.errors import FileFormatError, MsdesisError, UsageError

_PNG_DTYPES = (np.uint8, np.uint16)
_TIFF_SUFFIXES = ('.tif', '.tiff')
_PNG, _PNG_CHUNK = b'\x89PNG\r\n\x1a\n', struct.Struct('>I4s')
_REMEDY = '; expected PNG, JPEG, TIFF or BMP: copy or export it again'
_JPEG, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'


def read_rgb(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a picture file as RGB.

    Grey pictures are repeated into three channels and an alpha channel is dropped. Any format
    OpenCV decodes is taken as long as its samples have 8 bits; an orientation tag is ignored,
    because camera calibrations refer to the pixels as stored.

    Returns:
        H x W x 3 uint8, RGB, C-contiguous.

    Raises:
        FileFormatError: the file is missing, damaged, truncated, or not an 8-bit picture.
    """
    path = Path(path)
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f'cannot read the picture {path}: {error.strerror or error}; give an image file'
        ) from error
    picture = _decode(encoded, path, _REMEDY)
    if picture.dtype != np.uint8:
        raise FileFormatError(
            f'{path} has {picture.dtype} samples, expected 8 bits per channel: how many of the '
            'bits carry the picture cannot be told from the file; convert it to 8 bits first'
        )
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    conversions = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
    channels = picture.shape[2]
    if channels not in conversions:
        raise FileFormatError(f'{path} has {channels} channels, expected grey, RGB or RGBA')
    return cv2.cvtColor(picture, conversions[channels])


def read_plane(
    path: str | os.PathLike[str], *, remedy: str = 'copy or export it again'
) -> np.ndarray:
    """Read the numbers of a picture file as they are stored: disparities, masks, labels.

    `remedy`: what to do about a bad file, the end of the messages.

    Returns:
        H x W, or H x W x channels in the order of OpenCV; uint8, uint16 or float32, unscaled.

    Raises:
        FileFormatError: the file is missing, damaged or truncated.
    """
    path = Path(path)
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f'cannot read {path}: {error.strerror or error}; {remedy}'
        ) from error
    return _decode(encoded, path, f'; {remedy}')


def is_cut_jpeg(encoded: bytes) -> bool:
    """True for a JPEG that ends too early; False for a whole one and for other formats.

    The JPEG decoder of OpenCV 4 paints what is missing grey and reports success. A cut file lacks
    the end mark behind its last scan (a thumbnail in the header has an end mark of its own).
    """
    return encoded[:2] == _JPEG and encoded.rfind(_JPEG_END) < encoded.rfind(_JPEG_SCAN)


def is_cut_png(encoded: bytes) -> bool:
    """True for a PNG without an end, or with a chunk that is longer than what is there.

    OpenCV takes the memory that a chunk asks for before it sees that the file is shorter.
    False for a whole one and for other formats.
    """
    if not encoded.startswith(_PNG):
        return False
    at = len(_PNG)
    while at + _PNG_CHUNK.size <= len(encoded):
        length, kind = _PNG_CHUNK.unpack_from(encoded, at)
        at += _PNG_CHUNK.size + length + 4  # a checksum
        if kind == b'IEND':
            return at > len(encoded)
    return True


def _decode(encoded: bytes, path: Path, remedy: str) -> np.ndarray:
    """Decode the bytes of a picture file as stored; FileFormatError where they hold none."""
    picture = None
    if encoded and not is_cut_jpeg(encoded) and not is_cut_png(encoded):
        with contextlib.suppress(cv2.error):
            picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise FileFormatError(f'{path} ({len(encoded)} bytes) is not a whole picture file{remedy}')
    return picture


def write_image(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write an image file, whole or not at all.

    Args:
        path: `.png` for uint8 or uint16 (H x W, or H x W x 3 in RGB order); `.tif`/`.tiff` for
            float32 H x W, NaN kept. Missing folders are made.
        array: the samples.

    Raises:
        UsageError: the suffix and the array do not fit.
        MsdesisError: the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    colour = array.ndim == 3 and array.shape[2] == 3
    if suffix == '.png':
        fits = array.dtype in _PNG_DTYPES and (array.ndim == 2 or colour)
    elif suffix in _TIFF_SUFFIXES:
        fits = array.dtype == np.float32 and array.ndim == 2
    else:
        raise UsageError(f'cannot write {path}: known suffixes are .png, .tif and .tiff')
    if not fits or array.size == 0:
        raise UsageError(
            f'cannot write a {array.dtype} array of shape {array.shape} to {path}: .png takes '
            'uint8 or uint16 of H x W or H x W x 3, .tif and .tiff take float32 of H x W'
        )
    stored = cv2.cvtColor(array, cv2.COLOR_RGB2BGR) if colour else np.ascontiguousarray(array)
    written, encoded = cv2.imencode(suffix, stored)
    if not written:
        raise MsdesisError(f'OpenCV cannot encode {path}; is its {suffix} support built in?')
    with atomic_write(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes `path` when the block ends without an error.

    The temporary file lies in the same folder (made if missing), so that the final step is one
    rename: a reader sees the old file, or the whole new one. It has the suffix of `path`, since
    many writers choose their format by it. After an error it is removed and `path` is as before.

    Raises:
        MsdesisError: the operating system refuses to write there.
    """
    path = Path(path)
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}-{secrets.token_hex(4)}{path.suffix}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise MsdesisError(
            f'cannot write {path}: {error.strerror or error}; choose a folder you may write to, '
            'with free space'
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
