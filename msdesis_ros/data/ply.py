"""Point clouds as binary PLY files, the format MeshLab, CloudCompare and Open3D open at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.images import atomic_write

_MAX_HEADER_BYTES = 4096
_POINT_FIELDS = [(name, '<f4') for name in ('x', 'y', 'z')]
_COLOUR_FIELDS = [(name, 'u1') for name in ('red', 'green', 'blue')]
_LABEL_FIELDS = [('label', 'u1')]
_PLY_TYPES = {'<f4': 'float', 'u1': 'uchar'}


@dataclass(frozen=True)
class PlyCloud:
    """What a PLY file of this project holds: N points with colour and maybe a label."""

    points_m: np.ndarray  # N x 3 float32, metres
    colours: np.ndarray  # N x 3 uint8, RGB
    labels: np.ndarray | None  # N uint8: 0 tissue, 1 instrument


def write_ply(
    path: str | os.PathLike[str],
    points_m: np.ndarray,
    colours: np.ndarray,
    labels: np.ndarray | None = None,
) -> None:
    """Write a coloured point cloud as binary little-endian PLY, whole or not at all.

    Args:
        path: the file; missing folders are made.
        points_m: N x 3 float32, metres, finite (a PLY has no invalid points: leave them out).
        colours: N x 3 uint8, RGB.
        labels: N uint8 (0 tissue, 1 instrument), or None to leave the property out.

    Raises:
        UsageError: shapes, types or values are not as above.
        MsdesisError: the file cannot be written.
    """
    count = require_cloud(points_m, colours, labels)
    fields = _fields(with_labels=labels is not None)
    vertices = np.empty(count, np.dtype(fields))
    for column, (name, _) in enumerate(_POINT_FIELDS):
        vertices[name] = points_m[:, column]
    for column, (name, _) in enumerate(_COLOUR_FIELDS):
        vertices[name] = colours[:, column]
    if labels is not None:
        vertices['label'] = labels
    with atomic_write(path) as temporary, open(temporary, 'wb') as stream:
        stream.write(_header(count, fields))
        stream.write(vertices.tobytes())


def read_ply(path: str | os.PathLike[str]) -> PlyCloud:
    """Read a PLY file as `write_ply` writes it.

    Raises:
        FileFormatError: the file is missing, truncated, or another kind of PLY.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f'cannot read the point cloud {path}: {error.strerror}') from error
    lines, body = _split(data, path)
    counts = [line.split()[-1] for line in lines if line.startswith('element vertex ')]
    count = int(counts[0]) if counts and counts[0].isdigit() else -1
    for with_labels in (True, False):
        fields = _fields(with_labels=with_labels)
        if lines == _header(count, fields).decode().splitlines():
            break
    else:
        mesh = any(line.startswith('element face ') for line in lines)
        raise FileFormatError(
            f'{path} is {"a mesh" if mesh else "not a PLY of this project"}: expected points in '
            'binary_little_endian 1.0 with float x y z, uchar red green blue and optionally uchar '
            'label'
        )
    dtype = np.dtype(fields)
    if len(body) != count * dtype.itemsize:
        raise FileFormatError(
            f'{path} has {len(body)} bytes of points, expected {count * dtype.itemsize} for '
            f'{count} points: the file is truncated or damaged; write it again'
        )
    vertices = np.frombuffer(body, dtype)
    return PlyCloud(
        points_m=np.stack([vertices[name] for name, _ in _POINT_FIELDS], axis=1),
        colours=np.stack([vertices[name] for name, _ in _COLOUR_FIELDS], axis=1),
        labels=vertices['label'].copy() if with_labels else None,
    )


def _fields(*, with_labels: bool) -> list[tuple[str, str]]:
    return _POINT_FIELDS + _COLOUR_FIELDS + (_LABEL_FIELDS if with_labels else [])


def _header(count: int, fields: list[tuple[str, str]]) -> bytes:
    lines = [
        'ply',
        'format binary_little_endian 1.0',
        'comment metres, optical frame: x right, y down, z forward',
        f'element vertex {count}',
        *(f'property {_PLY_TYPES[kind]} {name}' for name, kind in fields),
        'end_header',
    ]
    return ('\n'.join(lines) + '\n').encode('ascii')


def _split(data: bytes, path: Path) -> tuple[list[str], bytes]:
    """The header's lines and the bytes behind it."""
    mark = b'end_header\n'
    end = data.find(mark, 0, _MAX_HEADER_BYTES)
    if not data.startswith(b'ply\n') or end < 0:
        raise FileFormatError(f'{path} is not a PLY file: it lacks the header')
    end += len(mark)
    return data[:end].decode('ascii', errors='replace').splitlines(), data[end:]


def require_cloud(points_m: np.ndarray, colours: np.ndarray, labels: np.ndarray | None) -> int:
    """The number of points; UsageError for arrays that are no cloud, as `write_ply` takes one."""
    count = len(points_m)
    _expect('points_m', points_m, (count, 3), np.float32)
    _expect('colours', colours, (count, 3), np.uint8)
    if labels is not None:
        _expect('labels', labels, (count,), np.uint8)
    if not np.isfinite(points_m).all():
        raise UsageError('points_m has NaN or infinite points; write the valid points only')
    return count


def _expect(name: str, array: np.ndarray, shape: tuple[int, ...], dtype: type) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise UsageError(
            f'{name} is {array.dtype} of shape {array.shape}, expected {np.dtype(dtype)} of shape '
            f'{shape}'
        )
