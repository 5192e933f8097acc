"""Size and sample type of a picture file without decoding it, and whether the file is whole."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from msdesis_ros.core.camera import MAX_SIDE_PX
from msdesis_ros.core.errors import FileFormatError, shown
from msdesis_ros.data.images import is_cut_png, read_rgb
from msdesis_ros.data.layouts.pfm import read_pfm_header

_PNG, _PNG_END = b'\x89PNG\r\n\x1a\n', b'\0\0\0\0IEND\xaeB`\x82'
_PNG_HEADER = struct.Struct('>I4sIIBB')
_PNG_GREY = 0
_JPEG, _JPEG_END, _JPEG_SCAN = b'\xff\xd8', b'\xff\xd9', 0xDA
_JPEG_SEGMENT, _JPEG_FRAME = struct.Struct('>BBH'), struct.Struct('>BHHB')
# All SOF markers: C4 (tables), C8 (reserved) and CC (arithmetic tables) are none.
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_REMEDY = 'download or copy it again'


@dataclass(frozen=True)
class PictureHeader:
    """image_size: (width, height) px. bits: of one sample. grey: one channel and no palette.

    floating: the samples are floats.
    """

    image_size: tuple[int, int]
    bits: int
    grey: bool
    floating: bool = False


def read_header(path: str | os.PathLike[str]) -> PictureHeader:
    """Read the header of a PNG, JPEG or PFM file; pictures of other formats are decoded.

    The content tells the format; a name that ends in .pfm must hold a PFM. A file that ends too
    early is found. What lies inside of the compressed data is not read.

    Raises:
        FileFormatError: the file is missing, cut, or no picture.
    """
    path = Path(path)
    try:
        with path.open('rb') as file:
            if path.suffix.lower() == '.pfm':
                header = read_pfm_header(file, path)
                size = (header.width, header.height)
                return PictureHeader(size, bits=32, grey=header.channels == 1, floating=True)
            begin = file.read(len(_PNG))
            if begin == _PNG:
                return _png_header(file, path)
            if begin.startswith(_JPEG):
                return _jpeg_header(begin + file.read(), path)
    except OSError as error:
        raise FileFormatError(f'cannot read {path}: {error.strerror or error}') from error
    if not begin:
        raise FileFormatError(f'{path} is empty; {_REMEDY}')
    height, width = read_rgb(path).shape[:2]
    return PictureHeader((width, height), bits=8, grey=False)


def _png_header(file: BinaryIO, path: Path) -> PictureHeader:
    """`file` stands behind the signature."""
    begin = file.read(_PNG_HEADER.size)
    if len(begin) < _PNG_HEADER.size:
        raise _cut(path)
    length, kind, width, height, bits, colour = _PNG_HEADER.unpack(begin)
    if length != 13 or kind != b'IHDR' or not _possible(width, height):
        raise FileFormatError(
            f'{path} has no usable PNG header (a {shown(kind)} of {width}x{height} px); expected '
            f'an IHDR of 1 to {MAX_SIDE_PX} px a side: {_REMEDY}'
        )
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - len(_PNG_END)))
    # The end may be followed by debris: then every chunk is walked.
    if file.read() != _PNG_END:
        file.seek(0)
        if is_cut_png(file.read()):
            raise _cut(path)
    return PictureHeader((width, height), bits=bits, grey=colour == _PNG_GREY)


def _jpeg_header(encoded: bytes, path: Path) -> PictureHeader:
    """Walk the segments up to the first scan; a thumbnail's frame lies inside of one of them."""
    header, at = None, 2
    while at + _JPEG_SEGMENT.size <= len(encoded):
        mark, kind, length = _JPEG_SEGMENT.unpack_from(encoded, at)
        if mark != 0xFF or length < 2:
            break
        if kind == 0xFF:  # filler
            at += 1
            continue
        if kind in _JPEG_FRAMES and at + 4 + _JPEG_FRAME.size <= len(encoded):
            bits, height, width, channels = _JPEG_FRAME.unpack_from(encoded, at + 4)
            if not _possible(width, height):
                break
            header = PictureHeader((width, height), bits=bits, grey=channels == 1)
        if kind == _JPEG_SCAN and header is not None:
            if encoded.rfind(_JPEG_END) < at:
                raise _cut(path)
            return header
        at += 2 + length
    raise FileFormatError(
        f'{path} ({len(encoded)} bytes) begins like a JPEG and has no usable header; {_REMEDY}'
    )


def _possible(width: int, height: int) -> bool:
    return 0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX


def _cut(path: Path) -> FileFormatError:
    return FileFormatError(f'{path} ends too early ({path.stat().st_size} bytes); {_REMEDY}')
