"""Stereo calibration files: OpenCV, pairs of ROS camera_info YAMLs, EndoVis 2018 texts.

What a reader returns has passed the checks of a single camera and agrees with itself; whether two
cameras make a stereo rig is the business of `core.rig.StereoRig`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from msdesis_ros.core.camera import (
    DISTORTION_MODELS,
    ORTHONORMAL_TOLERANCE,
    CameraCalibration,
    rotation_angle_deg,
)
from msdesis_ros.core.errors import CalibrationError, FileFormatError, UsageError
from msdesis_ros.data.stereo_fields import (
    StereoFields,
    agreed_size,
    other_size,
    picture_size,
    read_stereo_fields,
)
from msdesis_ros.data.structured_text import integer, matrix, numbers, parse_tree, read_text

Unit = Literal['mm', 'm']
_METRES = {'mm': 1e-3, 'm': 1.0}
# Stored rectifications are good to 1e-5 degrees; at 1000 px focal length this is 0.9 px of rows.
_MAX_TURN_DEG = 0.05
# 0.2 degrees: at 4 mm baseline, 1000 px focal length and 30 mm distance half a pixel of rows.
_MAX_SIDEWAYS = 0.0035
_MAX_BASELINE_ERROR = 0.01
_ROS_ENTRIES = (
    'image_width',
    'image_height',
    'camera_matrix',
    'distortion_model',
    'distortion_coefficients',
    'rectification_matrix',
    'projection_matrix',
)


def read_calibration(
    source: str | os.PathLike[str],
    *,
    image_size: tuple[int, int] | None = None,
    unit: Unit | None = None,
) -> tuple[CameraCalibration, CameraCalibration]:
    """Read the left and the right camera of a stereo rig.

    Formats, told apart by the content:
      OpenCV FileStorage as JSON, YAML or XML with K1 (or M1), D1, K2 (or M2), D2, R, T (a point of
      the left camera is R x + T in the right one) and optionally R1, R2, P1, P2, which must agree
      with R and T and are computed otherwise; `image_size` in either order. The files cannot tell
      a fisheye calibration, whose four coefficients would be taken for plumb_bob.
      `LEFT.yaml,RIGHT.yaml`: two ROS camera_info YAMLs, as camera_calibration writes them.
      A camera_calibration.txt of EndoVis 2018.

    Args:
        source: one path, or two joined by a comma.
        image_size: (width, height) px of the pictures; another size in the file is refused.
        unit: unit of T and of P[0,3]; by default m for ROS files and mm for the others.

    Returns:
        Left and right camera; their projection is in metres.

    Raises:
        FileFormatError: a file is missing, malformed, or of another kind.
        CalibrationError: the numbers are impossible, contradict each other or the picture size.
        UsageError: an argument is none of those above.
    """
    if unit is not None and unit not in _METRES:
        raise UsageError(f'the unit {unit!r} is unknown; known are {", ".join(_METRES)}')
    if image_size is not None:
        image_size = (int(image_size[0]), int(image_size[1]))
        if min(image_size) <= 0:
            raise UsageError(f'image_size is {image_size} px; expected positive numbers')
    paths = calibration_paths(source)
    if len(paths) == 2:
        scale = _METRES[unit or 'm']
        left, right = (_read_ros_camera(path, image_size, scale) for path in paths)
        return left, right
    return _read_stereo_file(paths[0], image_size, _METRES[unit or 'mm'])


def calibration_paths(source: str | os.PathLike[str]) -> list[Path]:
    """The one file, or the left and the right one, that `source` names; UsageError otherwise."""
    text = os.fspath(source)
    # The shell expands only a tilde that begins a word, not the one behind the comma.
    whole = _expanded(text)
    if ',' not in text or os.path.isfile(whole):
        return [whole]
    parts = [part.strip() for part in text.split(',')]
    if len(parts) != 2 or not all(parts):
        raise UsageError(
            f'{text!r} names no calibration: expected one OpenCV file, or two ROS camera_info '
            'files as LEFT.yaml,RIGHT.yaml'
        )
    return [_expanded(part) for part in parts]


def _expanded(text: str) -> Path:
    return Path(os.path.expanduser(text))


# --- ROS camera_info YAML ---------------------------------------------------------------------


def _read_ros_camera(
    path: Path, image_size: tuple[int, int] | None, scale: float
) -> CameraCalibration:
    tree = parse_tree(read_text(path), path)
    missing = [name for name in _ROS_ENTRIES if name not in tree]
    if missing:
        raise FileFormatError(
            f'{path} is no ROS camera_info YAML: {", ".join(missing)} not found; '
            + _hint_for_one_of_two(tree)
        )
    size = picture_size(
        integer(tree, 'image_width', path), integer(tree, 'image_height', path), path
    )
    if image_size is not None and size != image_size:
        raise other_size(path, size, image_size)
    model = tree['distortion_model']
    if not isinstance(model, str):
        raise FileFormatError(f'{path}: distortion_model is no word; expected e.g. plumb_bob')
    return _camera(
        str(path),
        size,
        model=model,
        d=numbers(tree, 'distortion_coefficients', path),
        k=matrix(tree, 'camera_matrix', (3, 3), path),
        r=matrix(tree, 'rectification_matrix', (3, 3), path),
        p=_in_metres(matrix(tree, 'projection_matrix', (3, 4), path), scale),
    )


def _hint_for_one_of_two(tree: Mapping[str, Any]) -> str:
    if {'K1', 'M1'} & set(tree):
        return 'it is an OpenCV stereo calibration, which holds both cameras: give it alone'
    return 'a pair is given as LEFT.yaml,RIGHT.yaml, written by the ROS camera calibration'


# --- one file with both cameras ---------------------------------------------------------------


def _read_stereo_file(
    path: Path, image_size: tuple[int, int] | None, scale: float
) -> tuple[CameraCalibration, CameraCalibration]:
    fields = read_stereo_fields(path)
    names = (f'{path} (left camera)', f'{path} (right camera)')
    models = tuple(_model(d, name) for d, name in zip(fields.d, names))  # noqa: B905 - two each
    _require_intrinsics(fields, models, names)
    _require_pose(fields, path)
    size = agreed_size(fields, image_size, path)
    r1, r2, p1, p2 = fields.rectification or _computed_rectification(fields, size, path)
    left, right = (
        _camera(
            names[i],
            size,
            model=models[i],
            d=fields.d[i],
            k=fields.k[i],
            r=r,
            p=_in_metres(p, scale),
        )
        for i, (r, p) in enumerate(((r1, p1), (r2, p2)))
    )
    if fields.rectification:
        _require_agreement(fields.r, fields.t * scale, left, right, path)
    return left, right


# --- checks and computations ------------------------------------------------------------------


def _require_intrinsics(
    fields: StereoFields, models: tuple[str, ...], names: tuple[str, ...]
) -> None:
    """K and D pass the checks of a camera before anything is computed from them."""
    for i, name in enumerate(names):
        k, d = fields.k[i], fields.d[i]
        plain = np.hstack([k, np.zeros((3, 1))])
        _camera(name, (1, 1), model=models[i], d=d, k=k, r=np.eye(3), p=plain)


def _require_pose(fields: StereoFields, path: Path) -> None:
    with np.errstate(over='ignore', invalid='ignore'):
        error = float(np.abs(fields.r @ fields.r.T - np.eye(3)).max())
    # Huge entries end as NaN, which compares as false: hence `not <=`, here and below.
    if not error <= ORTHONORMAL_TOLERANCE or np.linalg.det(fields.r) < 0:
        raise CalibrationError(
            f'{path}: R is not a rotation matrix (R times its transpose is off the identity by '
            f'{error:.3g}, determinant {np.linalg.det(fields.r):.3g}); calibrate again'
        )
    if not fields.t.any():
        raise CalibrationError(
            f'{path}: zero baseline: T is 0, the cameras would be at one place; calibrate the '
            'two cameras together'
        )


def _model(d: np.ndarray, name: str) -> str:
    for model in ('plumb_bob', 'rational_polynomial'):
        if len(d) in DISTORTION_MODELS[model]:
            return model
    raise CalibrationError(
        f'{name}: {len(d)} distortion coefficients; expected 4, 5, 8, 12 or 14 in OpenCV order'
    )


def _camera(
    name: str,
    size: tuple[int, int],
    *,
    model: str,
    d: np.ndarray,
    k: np.ndarray,
    r: np.ndarray,
    p: np.ndarray,
) -> CameraCalibration:
    try:
        return CameraCalibration.from_camera_info_fields(
            width=size[0], height=size[1], distortion_model=model, d=d, k=k, r=r, p=p
        )
    except CalibrationError as error:
        raise CalibrationError(f'{name}: {error}') from error


def _in_metres(projection: np.ndarray, scale: float) -> np.ndarray:
    return projection * [1.0, 1.0, 1.0, scale]


def _computed_rectification(
    fields: StereoFields, size: tuple[int, int], path: Path
) -> tuple[np.ndarray, ...]:
    """R1, R2, P1, P2 of the common rectified frame at equal principal points."""
    try:
        found = cv2.stereoRectify(
            fields.k[0],
            fields.d[0],
            fields.k[1],
            fields.d[1],
            size,
            fields.r,
            fields.t.reshape(3, 1),
            flags=cv2.CALIB_ZERO_DISPARITY,
            alpha=-1,
        )[:4]
    except cv2.error as error:
        raise CalibrationError(f'{path}: OpenCV cannot rectify this rig ({error.err})') from error
    if not all(np.isfinite(array).all() for array in found):
        raise CalibrationError(f'{path}: the rectification of this rig is not finite')
    return tuple(found)


def _require_agreement(
    r: np.ndarray,
    t_m: np.ndarray,
    left: CameraCalibration,
    right: CameraCalibration,
    path: Path,
) -> None:
    """The rectified cameras must have one orientation and lie side by side, T apart."""
    remedy = 'calibrate again, or remove R1, R2, P1, P2 to have them computed'
    turn_deg = rotation_angle_deg(right.rectification @ r @ left.rectification.T)
    if not turn_deg <= _MAX_TURN_DEG:
        raise CalibrationError(
            f'{path}: R1 and R2 contradict R: the rectified views are turned by {turn_deg:.2f} '
            f'degrees against each other, at most {_MAX_TURN_DEG} are allowed; {remedy}'
        )
    along = right.rectification @ t_m
    stored_m = right.projection[0, 3] / right.projection[0, 0]
    if not abs(stored_m - along[0]) <= _MAX_BASELINE_ERROR * abs(along[0]):
        raise CalibrationError(
            f'{path}: P2 contradicts T: the right camera lies {stored_m * 1e3:.3f} mm beside the '
            f'left one by P2 and {along[0] * 1e3:.3f} mm by T; {remedy}'
        )
    sideways = float(np.hypot(along[1], along[2]))
    if not sideways <= _MAX_SIDEWAYS * abs(along[0]):
        raise CalibrationError(
            f'{path}: R2 contradicts T: in the rectified views the right camera is '
            f'{sideways * 1e3:.3f} mm off the row of the left one; {remedy}'
        )
