"""poses.json: where the left camera stood at each frame of a sequence."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import FileFormatError

_METRES = {'mm': 1e-3, 'm': 1.0}
_RIGID_TOLERANCE = 1e-6


def read_poses(path: str | os.PathLike[str]) -> dict[int, np.ndarray]:
    """Rigid 4 x 4 float64 poses, world from the rectified left camera, metres, by the number of
    their frame.

    The file is a JSON object with `length_unit` (mm or m) and `frames`, a list of objects with
    `frame` (a whole number) and `world_from_left` (4 rows of 4 numbers).

    Raises:
        FileFormatError: the file is missing or of another kind, a pose is not rigid, or a frame
            has two.
    """
    path = Path(path)
    remedy = 'expected poses.json as msdesis synth --sequence writes it'
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        scale = _METRES[content['length_unit']]
        found = [(frame['frame'], frame['world_from_left']) for frame in content['frames']]
        numbers = [number for number, _ in found]
        if not found or not all(type(number) is int for number in numbers):
            raise ValueError('no frames with a whole number')
        poses = {number: np.array(pose, np.float64) for number, pose in found}
    except OSError as error:
        raise FileFormatError(f'cannot read {path}: {error.strerror or error}') from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        what = f'{type(error).__name__}: {error}'
        raise FileFormatError(f'{path} holds no poses ({what}); {remedy}') from error
    if len(poses) < len(found):
        raise FileFormatError(f'{path} has two poses for one frame; {remedy}')
    for number, pose in poses.items():
        if not _is_rigid(pose):
            raise FileFormatError(
                f'the pose of frame {number} in {path} is not a rigid 4 x 4 transform; {remedy}'
            )
        pose[:3, 3] *= scale
    return poses


def _is_rigid(pose: np.ndarray) -> bool:
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        return False
    turn = pose[:3, :3]
    orthonormal = np.abs(turn @ turn.T - np.eye(3)).max() < _RIGID_TOLERANCE
    return bool(orthonormal and np.linalg.det(turn) > 0 and (pose[3] == [0, 0, 0, 1]).all())
