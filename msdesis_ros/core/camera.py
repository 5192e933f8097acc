"""One camera of a stereo rig, as `sensor_msgs/CameraInfo` describes it, validated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.errors import CalibrationError

# Distortion models of the ROS camera drivers, with the coefficient counts each may have.
# rational_polynomial: 8 by the ROS convention; 12 and 14 are OpenCV's extensions (prism, tilt).
DISTORTION_MODELS: dict[str, tuple[int, ...]] = {
    'plumb_bob': (4, 5),
    'rational_polynomial': (8, 12, 14),
    'equidistant': (4,),
}
# The maps of two pictures of 8192 x 8192 px take 0.8 GB; a wrong number must not take more.
MAX_SIDE_PX = 8192
# Six decimals in a YAML leave 1e-6; a rotation that is off by 1e-3 is not a rotation any more.
ORTHONORMAL_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class CameraCalibration:
    """Intrinsics, distortion and rectification of one camera, for the pictures it delivers.

    image_size: (width, height) px of the delivered picture. camera_matrix: 3 x 3, px.
    distortion: coefficients of `distortion_model` in OpenCV order. rectification: 3 x 3 rotation
    from the camera to the rectified frame. projection: 3 x 4 of the rectified view, px and px*m
    (`projection[0, 3]` = -focal * baseline of the right camera, metres). All float64, read-only.
    Build it with `from_camera_info_fields`, which raises CalibrationError.
    """

    image_size: tuple[int, int]
    camera_matrix: np.ndarray
    distortion: np.ndarray
    distortion_model: str
    rectification: np.ndarray
    projection: np.ndarray
    frame_id: str = ''

    @classmethod
    def from_camera_info_fields(
        cls,
        *,
        width: int,
        height: int,
        distortion_model: str,
        d: Sequence[float] | np.ndarray,
        k: Sequence[float] | np.ndarray,
        r: Sequence[float] | np.ndarray,
        p: Sequence[float] | np.ndarray,
        frame_id: str = '',
        binning_x: int = 0,
        binning_y: int = 0,
        roi: tuple[int, int, int, int] | None = None,
    ) -> CameraCalibration:
        """Validate the fields of a CameraInfo (row-major k, r, p) and reduce them to the picture.

        `roi` is (x_offset, y_offset, width, height) in full-resolution pixels, all zero = none.
        ROI and binning follow the order of the message definition: first cut, then bin; the
        principal point is shifted and divided as `image_geometry` does.
        """
        if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
            raise CalibrationError(
                f'the calibration is for pictures of {width}x{height} px; expected 1 to '
                f'{MAX_SIDE_PX} px a side: calibrate the camera, or fix the driver that publishes '
                'camera_info'
            )
        camera_matrix = _matrix(k, 'K', (3, 3))
        projection = _matrix(p, 'P', (3, 4))
        _refuse_uncalibrated(camera_matrix, projection, width)
        _require_pinhole(camera_matrix, 'K')
        _require_pinhole(projection[:, :3], 'P')
        rectification = _rotation(r)
        distortion_model, distortion = _distortion(distortion_model, d)
        size, scale = _reduce_to_picture((width, height), (binning_x, binning_y), roi)
        return cls(
            image_size=size,
            camera_matrix=_frozen(scale @ camera_matrix),
            distortion=_frozen(distortion),
            distortion_model=distortion_model,
            rectification=_frozen(rectification),
            projection=_frozen(scale @ projection),
            frame_id=frame_id.lstrip('/'),
        )


def rotation_angle_deg(rotation: np.ndarray) -> float:
    """The angle of a 3 x 3 rotation matrix, degrees, 0 to 180."""
    # atan2 of the two parts keeps its precision near 0, where arccos of the trace loses it.
    axis = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    return float(np.degrees(np.arctan2(np.linalg.norm(axis), np.trace(rotation) - 1.0)))


def _matrix(values: Sequence[float] | np.ndarray, name: str, shape: tuple[int, int]) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CalibrationError(f'{name} is not a matrix of numbers ({error})') from error
    if array.size != shape[0] * shape[1]:
        raise CalibrationError(
            f'{name} has {array.size} numbers; expected {shape[0]} x {shape[1]}'
        )
    array = array.reshape(shape)
    if not np.isfinite(array).all():
        raise CalibrationError(f'{name} contains NaN or infinity; calibrate the camera again')
    return array


def _refuse_uncalibrated(camera_matrix: np.ndarray, projection: np.ndarray, width: int) -> None:
    if not projection.any() and camera_matrix[0, 0] == width:
        raise CalibrationError(
            f'K[0] equals the picture width ({width}) and P is zero: this CameraInfo was made up '
            'by a display program (dvrk_display does so), it is not a calibration; publish the '
            'camera_info of a stereo calibration instead'
        )
    for name, matrix in (('K', camera_matrix), ('P', projection)):
        if not matrix.any():
            raise CalibrationError(
                f'{name} is all zero: the camera is not calibrated; run a stereo calibration and '
                'let the driver publish it'
            )


def _require_pinhole(matrix: np.ndarray, name: str) -> None:
    lower = (matrix[1, 0], matrix[2, 0], matrix[2, 1])
    if matrix[0, 0] <= 0 or matrix[1, 1] <= 0 or any(lower) or matrix[2, 2] != 1:
        raise CalibrationError(
            f'{name} is not a camera matrix: expected [fx s cx; 0 fy cy; 0 0 1] with positive '
            f'focal lengths, got {np.array2string(matrix, precision=3).replace(chr(10), "")}'
        )
    # Skew belongs to no model that OpenCV rectifies: it would be ignored, hence wrong.
    if abs(matrix[0, 1]) > 1e-6 * matrix[0, 0]:
        raise CalibrationError(
            f'{name} has a skew of {matrix[0, 1]:g} px, which is not supported: calibrate without'
        )


def _rotation(values: Sequence[float] | np.ndarray) -> np.ndarray:
    rotation = _matrix(values, 'R', (3, 3))
    # Absurd entries overflow to NaN, which must not pass: hence `not ... <=`.
    with np.errstate(all='ignore'):
        error = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
        determinant = float(np.linalg.det(rotation))
    if not error <= ORTHONORMAL_TOLERANCE or determinant < 0:
        raise CalibrationError(
            f'R is not a rotation matrix (R times its transpose is off the identity by '
            f'{error:.3g}, determinant {determinant:.3g}); calibrate again, or set R '
            'to the identity if the pictures are rectified already'
        )
    return rotation


def _distortion(model: str, values: Sequence[float] | np.ndarray) -> tuple[str, np.ndarray]:
    coefficients = _matrix(values, 'D', (1, np.size(values)))[0]
    if not coefficients.any() and model in ('', *DISTORTION_MODELS):
        # No distortion at all: many drivers then leave the model's name or the list empty.
        name = model or 'plumb_bob'
        return name, np.zeros(max(DISTORTION_MODELS[name][0], 4))
    if model not in DISTORTION_MODELS:
        raise CalibrationError(
            f'the distortion model {model!r} is not supported; known are '
            + ', '.join(DISTORTION_MODELS)
        )
    if len(coefficients) not in DISTORTION_MODELS[model]:
        counts = ' or '.join(str(n) for n in DISTORTION_MODELS[model])
        raise CalibrationError(
            f'D has {len(coefficients)} coefficients; the distortion model {model} has {counts}'
        )
    return model, coefficients


def _reduce_to_picture(
    full_size: tuple[int, int],
    binning: tuple[int, int],
    roi: tuple[int, int, int, int] | None,
) -> tuple[tuple[int, int], np.ndarray]:
    """Size of the delivered picture, and the 3 x 3 matrix from full-resolution to its pixels."""
    x, y, w, h = roi if roi and any(roi) else (0, 0, *full_size)
    w, h = w or full_size[0] - x, h or full_size[1] - y
    if x < 0 or y < 0 or w <= 0 or h <= 0 or x + w > full_size[0] or y + h > full_size[1]:
        raise CalibrationError(
            f'the ROI x={x} y={y} {w}x{h} does not lie inside the calibrated '
            f'{full_size[0]}x{full_size[1]} px'
        )
    bin_x, bin_y = max(binning[0], 1), max(binning[1], 1)
    if w // bin_x == 0 or h // bin_y == 0:
        raise CalibrationError(f'binning {bin_x}x{bin_y} leaves nothing of {w}x{h} px')
    scale = np.array([[1 / bin_x, 0, -x / bin_x], [0, 1 / bin_y, -y / bin_y], [0, 0, 1.0]])
    return (w // bin_x, h // bin_y), scale


def _frozen(array: np.ndarray) -> np.ndarray:
    array = np.array(array, dtype=np.float64)
    array.setflags(write=False)
    return array
