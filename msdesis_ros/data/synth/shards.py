"""Training shards: many frames in few files, read back at random, with every record checked.

shard-00000.zip ...   uncompressed zips with one member a frame (`frame_record`), by its number
manifest.json         what they were made with, and the SHA-256 of each shard; written last

The zip's directory is the index, its CRC-32 guards each frame. `unzip -t` checks a shard.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError, shown
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.synth.dataset_plan import read_manifest
from msdesis_ros.data.synth.frame_record import decode_crop, decode_frame
from msdesis_ros.data.synth.stereo_frame import StereoFrame

LAYOUT, FORMAT_VERSION = 'shards', 1
FRAMES_PER_SHARD = 128
_REMEDY = 'make the shards again, or copy them again'
# The header before a member's bytes: signature, ..., lengths of its name and of its extra field.
_LOCAL_HEADER = struct.Struct('<4s22xHH')
_SIGNATURE = b'PK\x03\x04'


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f'shard-{number:05d}.zip'


def write_shard(path: Path, records: Iterable[tuple[int, bytes]]) -> None:
    """Write one shard of (frame number, record), whole or not at all; the same bytes each time.

    Raises MsdesisError where it cannot be written.
    """
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, 'w') as shard:
        for number, record in records:
            # A ZipInfo of its own has no time of day.
            shard.writestr(zipfile.ZipInfo(f'{number:06d}'), record)


def write_shards(
    folder: Path, records: Iterator[bytes], *, first: int, frames: int, per_shard: int
) -> None:
    """Write the records of the frames from `first` to `frames` - 1; `first` begins a shard."""
    for start in range(first, frames, per_shard):
        numbers = range(start, min(start + per_shard, frames))
        # The numbers come first: zip asks them first, and takes no record too many.
        write_shard(folder / shard_name(start // per_shard), zip(numbers, records, strict=False))


def manifest_details(per_shard: int) -> dict[str, Any]:
    """What the manifest says of the layout before the shards are made."""
    return {'format_version': FORMAT_VERSION, 'frames_per_shard': per_shard}


def manifest_of_shards(folder: Path, count: int) -> list[dict[str, str]]:
    """What the manifest says of each shard."""
    names = [shard_name(number) for number in range(count)]
    return [{'file': name, 'sha256': _sha256(folder / name)} for name in names]


class ShardReader:
    """Frames of a folder of shards, in any order.

    image_size: (width, height) px of every frame. Holds no file open, so that it may be copied
    into other processes and used by threads. Raises FileFormatError where the folder holds no
    whole data set of shards of this format.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder, LAYOUT)
        version = self.manifest.get('format_version')
        if version != FORMAT_VERSION:
            raise FileFormatError(
                f'{self.folder} holds shards of format {version}; expected {FORMAT_VERSION}: make '
                'them again with this program'
            )
        self._frames, self._per_shard = (self._count(n) for n in ('frames', 'frames_per_shard'))
        try:
            width, height = self.manifest['image_size']
            self.image_size = int(width), int(height)
            self._shards = [(shard['file'], shard['sha256']) for shard in self.manifest['shards']]
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(
                f'the manifest of {self.folder} is damaged ({error}); {_REMEDY}'
            ) from error
        missing = [name for name, _ in self._shards if not (self.folder / name).is_file()]
        if missing or len(self._shards) != -(-self._frames // self._per_shard):
            raise FileFormatError(
                f'{self.folder} lacks shards ({", ".join(missing[:5]) or "not in the manifest"}); '
                f'{_REMEDY}'
            )
        self._index: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return self._frames

    def frame(self, number: int) -> StereoFrame:
        """A whole frame; FileFormatError, with its number, where it is damaged."""
        record, where = self._record(number)
        try:
            return decode_frame(record)
        except FileFormatError as error:
            raise FileFormatError(f'{where}: {error}') from error

    def crop(self, number: int, top: int, left: int, height: int, width: int) -> StereoFrame:
        """A part of a frame, px, as a frame of its own (`decode_crop`)."""
        record, where = self._record(number)
        try:
            return decode_crop(record, top=top, left=left, height=height, width=width)
        except FileFormatError as error:
            raise FileFormatError(f'{where}: {error}') from error

    def damaged(self) -> list[str]:
        """The file names of the shards whose SHA-256 is not that of the manifest."""
        return [name for name, sha256 in self._shards if _sha256(self.folder / name) != sha256]

    def _record(self, number: int) -> tuple[bytes, str]:
        """The bytes of a frame, their CRC checked, and how messages call it."""
        if not 0 <= number < self._frames:
            raise UsageError(f'frame {number} of {self._frames}; expected 0 to {self._frames - 1}')
        name = self._shards[number // self._per_shard][0]
        path, where = self.folder / name, f'{self.folder / name}, frame {number}'
        index = self._index.get(name)
        if index is None:
            index = self._index[name] = _read_index(path, self._numbers(number))
        at, size, crc = (int(value) for value in index[number % self._per_shard])
        try:
            with path.open('rb', buffering=0) as file:
                head = os.pread(file.fileno(), _LOCAL_HEADER.size, at)
                signature, name_size, extra_size = _LOCAL_HEADER.unpack(head)
                begin = at + _LOCAL_HEADER.size + name_size + extra_size
                record = os.pread(file.fileno(), size, begin)
        except (OSError, struct.error) as error:
            raise FileFormatError(f'cannot read {where}: {error}; {_REMEDY}') from error
        if signature != _SIGNATURE or len(record) != size or zlib.crc32(record) != crc:
            raise FileFormatError(f'{where} is damaged: its CRC-32 is another one; {_REMEDY}')
        return record, where

    def _count(self, name: str) -> int:
        value = self.manifest.get(name)
        if not isinstance(value, int) or value < 1:
            raise FileFormatError(
                f'{name} of the manifest of {self.folder} is {shown(value)}; expected a number of '
                f'at least 1: {_REMEDY}'
            )
        return value

    def _numbers(self, number: int) -> range:
        """The frames of the shard that holds a frame."""
        start = number // self._per_shard * self._per_shard
        return range(start, min(start + self._per_shard, self._frames))


def _read_index(path: Path, numbers: range) -> np.ndarray:
    """N x 3 int64: where each frame's header begins, its size, its CRC-32."""
    try:
        with zipfile.ZipFile(path) as shard:
            members = [shard.getinfo(f'{number:06d}') for number in numbers]
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise FileFormatError(f'{path} is not a whole shard ({error}); {_REMEDY}') from error
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise FileFormatError(f'{path} was packed by another program; {_REMEDY}')
    return np.array([(m.header_offset, m.file_size, m.CRC) for m in members], np.int64)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
