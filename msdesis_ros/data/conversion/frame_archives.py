"""The frames of a tar.gz archive, one after the other, without unpacking it to the disk."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from msdesis_ros.core.errors import FileFormatError

MAX_POSE_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 20
# What json.loads may raise on a text that somebody else made.
_JSON_ERRORS = (ValueError, RecursionError)
_ROTATION_TOLERANCE = 1e-3


class FrameFile(NamedTuple):
    """number: the digits of the file's name. name: archive and member, for messages."""

    number: int
    name: str
    content: bytes


def frame_files(archive: Path, *, suffix: str, max_bytes: int) -> Iterator[FrameFile]:
    """The files of an archive whose names end in digits and `suffix`, in the archive's order.

    They are read one by one from the stream; a member's own path decides nothing but its number,
    so that no archive can write anywhere. Links, devices, hidden files (macOS packs one beside
    each file, under its name behind `._`) and other files are passed over.

    Raises FileFormatError where the archive is missing, damaged or cut off (after the files before
    that place were given), for a member above `max_bytes`, and for a number that comes twice.
    """
    pattern = re.compile(rf'(?!\.)[^/]*?(\d{{1,9}}){re.escape(suffix)}', re.IGNORECASE)
    seen: set[int] = set()
    if not archive.is_file():
        raise FileFormatError(f'{archive} is missing; download it again')
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode='r|') as members:
            for member in members:
                match = pattern.fullmatch(member.name.rsplit('/', 1)[-1])
                if match is None or not member.isreg():
                    continue
                number, name = int(match[1]), f'{archive}: {match[0]}'
                if member.size > max_bytes:
                    raise FileFormatError(
                        f'{name} has {member.size} bytes, which no file of this kind has (at most '
                        f'{max_bytes}); download the archive again'
                    )
                if number in seen:
                    raise FileFormatError(f'{name}: frame {number} is in the archive twice')
                seen.add(number)
                extracted = members.extractfile(member)
                yield FrameFile(number, name, extracted.read() if extracted else b'')
            # A damaged header looks like the end to tarfile; the checksum of all data does not.
            while stream.read(_BLOCK_BYTES):
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        reason = getattr(error, 'strerror', None) or ' '.join(str(error).split())
        raise FileFormatError(
            f'{archive} cannot be read whole: {reason} ({len(seen)} frames were read); copy or '
            'download it again'
        ) from error


def parse_pose(file: FrameFile) -> np.ndarray:
    """The `camera-pose` of a frame's JSON: 4 x 4 float64, mm.

    It takes points of the key frame's left camera to that of this frame. Raises FileFormatError
    where there is none, or it is no rigid motion.
    """
    try:
        tree = json.loads(file.content)
    except _JSON_ERRORS as error:
        raise FileFormatError(f'{file.name} is no JSON text: {error}') from error
    try:
        pose = np.array(tree['camera-pose'], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(
            f'{file.name} has no matrix of numbers named camera-pose; expected 4 x 4'
        ) from error
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise FileFormatError(
            f'{file.name}: camera-pose has the shape {pose.shape} or numbers that are not finite; '
            'expected 4 x 4'
        )
    rotation = pose[:3, :3]
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if not error <= _ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
        raise FileFormatError(
            f'{file.name}: camera-pose is no rigid motion (off a rotation by {error:.3g})'
        )
    if not np.allclose(pose[3], [0, 0, 0, 1], atol=1e-6):
        raise FileFormatError(f'{file.name}: the last row of camera-pose is not 0 0 0 1')
    return pose


def read_poses(archive: Path) -> tuple[dict[int, np.ndarray], list[FileFormatError]]:
    """The pose of every frame of a `frame_data.tar.gz`, and what is wrong with the others.

    The errors name a bad frame each; one for the archive is the last of them.
    """
    poses: dict[int, np.ndarray] = {}
    errors: list[FileFormatError] = []
    try:
        for file in frame_files(archive, suffix='.json', max_bytes=MAX_POSE_BYTES):
            try:
                poses[file.number] = parse_pose(file)
            except FileFormatError as error:
                errors.append(error)
    except FileFormatError as error:
        errors.append(error)
    return poses, errors
