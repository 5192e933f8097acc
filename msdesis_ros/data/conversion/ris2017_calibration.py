"""`camera_calibration.txt` of RIS 2017, and the `stereo_calib.json` of its converted pictures."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from msdesis_ros.core.errors import CalibrationError, FileFormatError, UsageError
from msdesis_ros.core.stereo_calibration import StereoCalibration
from msdesis_ros.data.calibration_writer import opencv_fields
from msdesis_ros.data.conversion.ris2017_frame import FrameGeometry
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.stereo_fields import picture_size
from msdesis_ros.data.structured_text import read_text

# What camera matrices the pictures get: those of the text adapted to window and resizing, or the
# numbers of the text as ris2017_toolkit left them.
INTRINSICS = ('adapted', 'as-stored')
# What each line holds, how many numbers that are, and the name the published files give it.
_LINES: tuple[tuple[str, tuple[int, ...], str], ...] = (
    ('the width', (1,), 'Width'),
    ('the height', (1,), 'Height'),
    ('the focal lengths of camera 0', (2,), 'Camera-0-F'),
    ('the principal point of camera 0', (2,), 'Camera-0-C'),
    ('the skew of camera 0', (1,), 'Camera-0-Alpha'),
    ('the distortion of camera 0', (4, 5, 8), 'Camera-0-K'),
    ('the focal lengths of camera 1', (2,), 'Camera-1-F'),
    ('the principal point of camera 1', (2,), 'Camera-1-C'),
    ('the skew of camera 1', (1,), 'Camera-1-Alpha'),
    ('the distortion of camera 1', (4, 5, 8), 'Camera-1-K'),
    ('the rotation', (3,), 'Extrinsic-Omega'),
    ('the translation', (3,), 'Extrinsic-T'),
)
_KNOWN_NAMES = tuple(name.lower() for _, _, name in _LINES)


@dataclass(frozen=True, eq=False)
class RisCalibration:
    """The numbers of a `camera_calibration.txt`.

    image_size: (width, height) px that it is made for. k: camera matrices, 3 x 3 px, and d:
    distortion in OpenCV order, of camera 0 (left) and 1 (right). r, t_mm: a point x of camera 0
    is r x + t_mm in camera 1.
    """

    image_size: tuple[int, int]
    k: tuple[np.ndarray, np.ndarray]
    d: tuple[np.ndarray, np.ndarray]
    r: np.ndarray
    t_mm: np.ndarray


def read_ris_calibration(path: Path) -> RisCalibration:
    """Read the 12 lines `Name: numbers // remark` of a calibration text.

    Raises FileFormatError for another number of lines and for a line that holds something else
    than expected, CalibrationError for a skew (which OpenCV's distortion models leave out).
    """
    lines = read_text(path).rstrip().splitlines()
    if len(lines) != len(_LINES):
        raise FileFormatError(
            f'{path} has {len(lines)} lines; expected {len(_LINES)}: width, height, focal '
            'lengths, principal point, skew and distortion of each camera, rotation, translation'
        )
    values = [_values(line, number, path) for number, line in enumerate(lines)]
    for number in (4, 8):
        if values[number].any():
            raise CalibrationError(
                f'{path}: {_LINES[number][0]} is {values[number][0]:g}; expected 0, since skew is '
                'not supported'
            )
    sides = [float(values[number][0]) for number in (0, 1)]
    if any(side % 1 for side in sides):
        raise FileFormatError(f'{path}: {sides[0]:g}x{sides[1]:g} px; expected whole numbers')
    return RisCalibration(
        image_size=picture_size(int(sides[0]), int(sides[1]), path),
        k=(_camera_matrix(*values[2:4]), _camera_matrix(*values[6:8])),
        d=(values[5], values[9]),
        r=cv2.Rodrigues(values[10])[0],
        t_mm=values[11],
    )


def stereo_calibration(
    calibration: RisCalibration,
    geometry: FrameGeometry,
    *,
    alpha: float,
    intrinsics: str = 'adapted',
) -> StereoCalibration:
    """The calibration of the converted pictures, rectified to one principal point.

    alpha: as cv2.stereoRectify takes it. intrinsics: one of INTRINSICS. Raises CalibrationError
    for numbers that cannot be, or that OpenCV cannot rectify.
    """
    if intrinsics not in INTRINSICS:
        raise UsageError(f'intrinsics is {intrinsics!r}; known are {", ".join(INTRINSICS)}')
    k1, k2 = calibration.k
    if intrinsics == 'adapted':
        k1, k2 = (geometry.camera_matrix(k, calibration.image_size) for k in (k1, k2))
    elif calibration.image_size != geometry.picture_size:
        sizes = ['{}x{}'.format(*size) for size in (calibration.image_size, geometry.picture_size)]
        raise CalibrationError(
            f'the calibration is for pictures of {sizes[0]} px and cannot be taken as stored for '
            f'those of {sizes[1]} px; adapt it'
        )
    return StereoCalibration.from_pose(
        image_size=geometry.picture_size,
        k1=k1,
        d1=calibration.d[0],
        k2=k2,
        d2=calibration.d[1],
        r=calibration.r,
        t_mm=calibration.t_mm,
        alpha=alpha,
    )


def stereo_calib_text(calibration: StereoCalibration) -> str:
    """The text of a `stereo_calib.json`, OpenCV FileStorage, mm.

    It holds K1 D1 K2 D2 R T R1 R2 P1 P2 Q roi1 roi2, `size` (height, width; integers) and `alpha`
    as ris2017_toolkit writes them, and what other tools look for: E, F, image_size, rect_alpha.
    """
    width, height = calibration.image_size
    tree: dict[str, Any] = {
        'size': _matrix_entry(np.array([[height], [width]])),
        'alpha': calibration.rect_alpha,
    }
    for name, value in opencv_fields(calibration).items():
        tree[name] = _matrix_entry(value) if isinstance(value, np.ndarray) else value
    return json.dumps(tree, indent=4, allow_nan=False) + '\n'


def write_stereo_calib(path: Path, calibration: StereoCalibration) -> None:
    """Write a `stereo_calib.json`, or leave an equal one as it is.

    Raises UsageError where another one is there already: its pictures would not fit.
    """
    text = stereo_calib_text(calibration)
    if path.exists():
        if path.read_text(encoding='utf-8') != text:
            raise UsageError(
                f'{path} is there with other numbers than this conversion gives: it was made from '
                'another calibration or with other options; choose a new folder'
            )
        return
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def rectified_labels_at(calibration: StereoCalibration) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of the unrectified left picture that rectified pixels show, float32."""
    return cv2.initUndistortRectifyMap(
        calibration.k1,
        calibration.d1,
        calibration.r1,
        calibration.p1[:, :3],
        calibration.image_size,
        cv2.CV_32FC1,
    )


def _values(line: str, number: int, path: Path) -> np.ndarray:
    what, counts, name = _LINES[number]
    given, colon, rest = line.partition('//')[0].partition(':')
    where = f'{path}, line {number + 1}'
    lowered = given.strip().lower()
    if not colon or not lowered:
        raise FileFormatError(f'{where} has no "Name: numbers"; expected {what} ({name})')
    if lowered in _KNOWN_NAMES and lowered != name.lower():
        raise FileFormatError(f'{where} is {given.strip()}; expected {what} ({name})')
    try:
        values = np.array([float(cell) for cell in rest.split()])
    except ValueError:
        values = np.array([math.nan])
    if len(values) not in counts or not np.isfinite(values).all():
        expected = ' or '.join(map(str, counts))
        raise FileFormatError(
            f'{where}: {what} is {rest.strip()!r}; expected {expected} '
            f'number{"s" if counts != (1,) else ""}'
        )
    return values


def _camera_matrix(focal_px: np.ndarray, centre_px: np.ndarray) -> np.ndarray:
    return np.array([[focal_px[0], 0, centre_px[0]], [0, focal_px[1], centre_px[1]], [0, 0, 1.0]])


def _matrix_entry(matrix: np.ndarray) -> dict[str, Any]:
    whole = np.issubdtype(matrix.dtype, np.integer)
    rows, cols = matrix.shape
    kind = {'type_id': 'opencv-matrix', 'rows': rows, 'cols': cols, 'dt': 'i' if whole else 'd'}
    return kind | {'data': matrix.ravel().tolist()}
