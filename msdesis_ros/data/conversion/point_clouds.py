"""Points of a scene out of files: OBJ and PLY clouds, and TIFF pictures that hold X, Y and Z."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path

import cv2
import numpy as np

from msdesis_ros.core.errors import FileFormatError, MissingExtraError, UsageError

CLOUD_SUFFIXES = ('.obj', '.ply')
_VERTEX_LINE = re.compile(rb'^[ \t]*v[ \t]', re.MULTILINE)


def read_cloud(path: str | os.PathLike[str]) -> np.ndarray:
    """The points of a Wavefront OBJ or a PLY file (text or binary): N x 3 float64.

    Points with NaN or infinity are left out: SCARED writes one line for every pixel, `v nan nan
    nan` where nothing is known. Of a mesh the vertices that no face uses are left out as well.

    Raises:
        UsageError: another kind of file.
        FileFormatError: the file is missing, damaged, or holds no point.
        MissingExtraError: trimesh is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in CLOUD_SUFFIXES:
        raise UsageError(
            f'{path} is no point cloud that can be read; known are {", ".join(CLOUD_SUFFIXES)}'
        )
    try:
        import trimesh
    except ImportError as error:
        raise MissingExtraError(
            f'point clouds need the package trimesh ({error}); install it with: '
            "pip install 'msdesis_ros[clouds]'"
        ) from error
    content = _content(path)
    try:
        # A stream, not the path: files that the OBJ names (materials, textures) stay closed.
        found = trimesh.load(io.BytesIO(content), file_type=suffix[1:], process=False)
        points = np.asarray(getattr(found, 'vertices', ()), dtype=np.float64)
    except Exception as error:  # whatever its parsers raise on a damaged file
        raise FileFormatError(
            f'{path} cannot be read as a point cloud: {" ".join(str(error).split())}; copy or '
            'export it again'
        ) from error
    _require_whole(path, content, points, mesh=hasattr(found, 'faces'))
    known = points[np.isfinite(points).all(axis=1)]
    if not len(known):
        raise FileFormatError(f'{path} holds no known point; expected lines `v x y z`, or a PLY')
    return known


def decode_point_map(encoded: bytes, name: str) -> np.ndarray:
    """Decode a TIFF whose three channels are X, Y, Z: H x W x 3 float32, NaN where unknown.

    Unknown is NaN (key frames), or 0 0 0 (sequences), and what is not in front of the camera.
    `name` stands in messages. Raises FileFormatError for another picture, or half a one.
    """
    stored = None
    with contextlib.suppress(cv2.error):
        if encoded:
            stored = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise FileFormatError(
            f'{name} ({len(encoded)} bytes) is not a whole TIFF; copy or download it again'
        )
    if stored.ndim != 3 or stored.shape[2] != 3 or stored.dtype not in (np.float32, np.float64):
        raise FileFormatError(
            f'{name} holds {stored.dtype} of the shape {stored.shape}; expected the floats X, Y, Z'
        )
    # OpenCV takes three channels for red, green, blue and hands them out the other way round.
    points = np.ascontiguousarray(stored[..., ::-1], dtype=np.float32)
    in_front, behind = (int(n.sum()) for n in (points[..., 2] > 0, points[..., 2] < 0))
    if behind > in_front:
        raise FileFormatError(
            f'{name}: {behind} points lie behind the camera and {in_front} before it; expected '
            'the channels X, Y, Z with Z forward'
        )
    points[~(np.isfinite(points).all(axis=2) & (points[..., 2] > 0))] = np.nan
    return points


def read_point_map(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a file as `decode_point_map` decodes it; FileFormatError likewise, or if missing."""
    return decode_point_map(_content(Path(path)), str(path))


def known_points(point_map: np.ndarray) -> np.ndarray:
    """H x W x 3 with NaN where unknown -> the N x 3 known points, row by row."""
    points = point_map.reshape(-1, 3)
    return points[np.isfinite(points).all(axis=1)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f'cannot read {path}: {error.strerror or error}; copy or download it again'
        ) from error


def _require_whole(path: Path, content: bytes, points: np.ndarray, *, mesh: bool) -> None:
    if points.ndim != 2 or points.shape[1] != 3:
        raise FileFormatError(
            f'{path} holds no points with x, y and z, or is cut off in a line; expected lines '
            '`v x y z`, or a PLY: copy or export it again'
        )
    if path.suffix.lower() == '.obj' and not mesh:
        lines = len(_VERTEX_LINE.findall(content))
        if lines != len(points):
            raise FileFormatError(
                f'{path} has {lines} lines `v x y z` but {len(points)} of them can be read; copy '
                'or export it again'
            )
