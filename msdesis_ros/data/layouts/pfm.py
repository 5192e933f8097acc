"""PFM, the float pictures of the Scene Flow data sets."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from msdesis_ros.core.camera import MAX_SIDE_PX
from msdesis_ros.core.errors import FileFormatError, shown

_HEADER = re.compile(
    rb'(P[Ff])[ \t]*\r?\n[ \t]*(\d{1,7})[ \t]+(\d{1,7})[ \t]*\r?\n[ \t]*([+-]?[0-9.eE+-]{1,30})'
    rb'[ \t]*\r?\n'
)
_HEADER_LIMIT = 128
_REMEDY = 'download or copy it again'


@dataclass(frozen=True)
class PfmHeader:
    """What precedes the numbers: picture size in px, channels, byte order, and bytes taken."""

    width: int
    height: int
    channels: int
    little_endian: bool
    offset: int

    @property
    def file_size(self) -> int:
        """Bytes of the whole file."""
        return self.offset + 4 * self.width * self.height * self.channels


def read_pfm(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a PFM file.

    The rows of the file run from the bottom to the top, those of the result from the top to the
    bottom. The sign of the file's scale is the byte order (negative: little endian). Its size is
    not applied: the data sets write 1, and mean pixels.

    Returns:
        H x W (`Pf`) or H x W x 3 (`PF`) float32, contiguous, the numbers as they are.

    Raises:
        FileFormatError: the file is missing, is no PFM, or is shorter or longer than its header
            says.
    """
    path = Path(path)
    try:
        with path.open('rb') as file:
            header = read_pfm_header(file, path)
            content = file.read()
    except OSError as error:
        raise FileFormatError(f'cannot read {path}: {error.strerror or error}') from error
    numbers = np.frombuffer(content, '<f4' if header.little_endian else '>f4')
    shape = (header.height, header.width, header.channels)[: 3 if header.channels > 1 else 2]
    # A copy: the bytes read cannot be written to.
    return np.array(numbers.reshape(shape)[::-1], dtype=np.float32, order='C')


def read_pfm_header(file: BinaryIO, path: Path) -> PfmHeader:
    """Read the header and leave `file` behind it; FileFormatError where it does not fit."""
    file.seek(0)
    begin = file.read(_HEADER_LIMIT)
    found = _HEADER.match(begin)
    scale = _number(found[4]) if found else 0.0
    if found is None or not abs(scale) > 0:
        raise FileFormatError(
            f'{path} is no PFM file: it begins with {shown(begin[:24])}; expected Pf or PF, the '
            f'width and height, and a scale other than 0, in three lines: {_REMEDY}'
        )
    width, height = int(found[2]), int(found[3])
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise FileFormatError(
            f'{path}: a PFM of {width}x{height} px; expected 1 to {MAX_SIDE_PX} px a side: '
            f'{_REMEDY}'
        )
    header = PfmHeader(
        width=width,
        height=height,
        channels=3 if found[1] == b'PF' else 1,
        little_endian=scale < 0,
        offset=found.end(),
    )
    size = file.seek(0, os.SEEK_END)
    if size != header.file_size:
        raise FileFormatError(
            f'{path} has {size} bytes; expected {header.file_size} for its {width}x{height} px '
            f'of {header.channels} channel(s): {_REMEDY}'
        )
    file.seek(header.offset)
    return header


def _number(text: bytes) -> float:
    """The number, or 0 where the text is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0
