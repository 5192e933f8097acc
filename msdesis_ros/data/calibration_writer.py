"""Stereo calibrations to files: OpenCV FileStorage as JSON or YAML, and pairs of ROS YAMLs.

The texts are written here rather than by cv2.FileStorage, so that every version of OpenCV gives
the same bytes, whole numbers keep their point, and a number read back is the number written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.stereo_calibration import StereoCalibration
from msdesis_ros.data.images import atomic_write

OPENCV_SUFFIXES = ('.json', '.yaml', '.yml')
ROS_SUFFIXES = ('.yaml', '.yml')


def write_stereo_calibration(path: str | os.PathLike[str], calibration: StereoCalibration) -> None:
    """Write an OpenCV FileStorage with both cameras, such as `stereo_calib.json`; lengths in mm.

    Fields: error, image_size (height, width), K1 D1 K2 D2, R T E F, R1 R2 P1 P2 Q, roi1 roi2,
    rect_alpha; those that the calibration does not know are left out. `.json` gives JSON, `.yaml`
    and `.yml` YAML. Raises UsageError for another suffix, MsdesisError where it cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in OPENCV_SUFFIXES:
        raise UsageError(f'cannot write {path}: known suffixes are {", ".join(OPENCV_SUFFIXES)}')
    fields = opencv_fields(calibration)
    text = _json_text(fields) if suffix == '.json' else _yaml_text(fields)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def opencv_fields(calibration: StereoCalibration) -> dict[str, float | np.ndarray]:
    """The entries of the OpenCV file in its order: numbers, and matrices of float64 (mm)."""
    width, height = calibration.image_size
    fields: dict[str, float | np.ndarray | None] = {
        'error': calibration.error_px,
        # Rows first: so the published surgical sets and their tools have it.
        'image_size': _column([height, width]),
        'K1': calibration.k1,
        'D1': calibration.d1.reshape(1, -1),
        'K2': calibration.k2,
        'D2': calibration.d2.reshape(1, -1),
        'R': calibration.r,
        'T': _column(calibration.t_mm),
        'E': calibration.essential,
        'F': calibration.fundamental,
        'R1': calibration.r1,
        'R2': calibration.r2,
        'P1': calibration.p1,
        'P2': calibration.p2,
        'Q': calibration.disparity_to_depth,
        'roi1': None if calibration.roi1 is None else _column(calibration.roi1),
        'roi2': None if calibration.roi2 is None else _column(calibration.roi2),
        'rect_alpha': calibration.rect_alpha,
    }
    return {name: value for name, value in fields.items() if value is not None}


def write_ros_camera_infos(
    left: str | os.PathLike[str],
    right: str | os.PathLike[str],
    cameras: tuple[CameraCalibration, CameraCalibration],
    *,
    names: tuple[str, str] = ('left', 'right'),
) -> None:
    """Write two ROS camera_info YAMLs as camera_calibration and camera_info_manager have them.

    cameras: left and right one; lengths in metres. names: their `camera_name`. Raises
    MsdesisError where a file cannot be written.
    """
    for path, camera, name in zip((left, right), cameras, names, strict=True):
        with atomic_write(path) as temporary:
            temporary.write_text(ros_text(camera, name), encoding='utf-8')


def ros_text(camera: CameraCalibration, name: str) -> str:
    """The camera_info YAML of one camera."""
    width, height = camera.image_size
    matrices = {
        'camera_matrix': camera.camera_matrix,
        'distortion_coefficients': camera.distortion.reshape(1, -1),
        'rectification_matrix': camera.rectification,
        'projection_matrix': camera.projection,
    }
    lines = [
        f'image_width: {width}',
        f'image_height: {height}',
        f'camera_name: {json.dumps(name)}',
    ]
    for entry, matrix in matrices.items():
        if entry == 'distortion_coefficients':
            lines.append(f'distortion_model: {camera.distortion_model}')
        rows, cols = matrix.shape
        data = ', '.join(_numbers(matrix))
        lines += [f'{entry}:', f'  rows: {rows}', f'  cols: {cols}', f'  data: [{data}]']
    return '\n'.join(lines) + '\n'


def _column(values: object) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).reshape(-1, 1)


def _numbers(matrix: np.ndarray) -> list[str]:
    """Each with as many digits as it takes to read the same number again."""
    return [_number(number) for number in matrix.ravel()]


def _number(value: float) -> str:
    text = repr(float(value))
    # YAML 1.1, as PyYAML reads it, takes 1e-05 for a text and 1.0e-05 for a number.
    return text.replace('e', '.0e') if 'e' in text and '.' not in text else text


def _json_text(fields: Mapping[str, float | np.ndarray]) -> str:
    tree: dict[str, object] = {}
    for name, value in fields.items():
        if isinstance(value, np.ndarray):
            rows, cols = value.shape
            kind = {'type_id': 'opencv-matrix', 'rows': rows, 'cols': cols, 'dt': 'd'}
            tree[name] = {**kind, 'data': [float(number) for number in value.ravel()]}
        else:
            tree[name] = float(value)
    return json.dumps(tree, indent=4, allow_nan=False) + '\n'


def _yaml_text(fields: Mapping[str, float | np.ndarray]) -> str:
    lines = ['%YAML:1.0', '---']
    for name, value in fields.items():
        if isinstance(value, np.ndarray):
            rows, cols = value.shape
            lines += [
                f'{name}: !!opencv-matrix',
                f'   rows: {rows}',
                f'   cols: {cols}',
                '   dt: d',
            ]
            lines.append(f'   data: [ {", ".join(_numbers(value))} ]')
        else:
            lines.append(f'{name}: {_number(value)}')
    return '\n'.join(lines) + '\n'
