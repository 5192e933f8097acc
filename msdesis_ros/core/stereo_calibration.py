"""All that a stereo calibration is stored as: both cameras, their pose, their rectification.

`StereoRig` holds what rectifying needs; this value also holds what files hand on (R, T, E, F, Q,
regions, the alpha of the rectification), in the millimetres of the surgical data sets.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from msdesis_ros.core.camera import (
    DISTORTION_MODELS,
    ORTHONORMAL_TOLERANCE,
    CameraCalibration,
)
from msdesis_ros.core.errors import CalibrationError

Region = tuple[int, int, int, int]
_ARRAYS = {
    'k1': (3, 3),
    'd1': None,
    'k2': (3, 3),
    'd2': None,
    'r': (3, 3),
    't_mm': (3,),
    'r1': (3, 3),
    'r2': (3, 3),
    'p1': (3, 4),
    'p2': (3, 4),
}
_METRES = np.array([1.0, 1.0, 1.0, 1e-3])
# Any smaller difference of two alphas moves no pixel by 1/100 px.
_ALPHA_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class StereoCalibration:
    """A stereo calibration with the rectification that belongs to it; lengths in mm.

    image_size: (width, height) px. k1, k2: camera matrices, 3 x 3 px. d1, d2: distortion in
    OpenCV order (4, 5, 8, 12 or 14 coefficients). r, t_mm: a point x of the left camera is
    r x + t_mm in the right one. r1, r2: rotations into the rectified frame. p1, p2: 3 x 4
    projections of the rectified views, px and px*mm. rect_alpha: what `p1` and `p2` were made
    with, as cv2.stereoRectify takes it (-1, or 0 to 1), None where nobody knows. roi1, roi2: (x,
    y, width, height) px of the rectified views, where all pixels have a source, None if unknown.
    error_px: the RMS reprojection error of the calibration, None if unknown.

    Arrays become float64, read-only. Raises CalibrationError for numbers that cannot be; whether
    the cameras make a rig is for `StereoRig.from_cameras(*calibration.cameras)` to say.
    """

    image_size: tuple[int, int]
    k1: np.ndarray
    d1: np.ndarray
    k2: np.ndarray
    d2: np.ndarray
    r: np.ndarray
    t_mm: np.ndarray
    r1: np.ndarray
    r2: np.ndarray
    p1: np.ndarray
    p2: np.ndarray
    rect_alpha: float | None = None
    roi1: Region | None = None
    roi2: Region | None = None
    error_px: float | None = None

    def __post_init__(self) -> None:
        for name, shape in _ARRAYS.items():
            object.__setattr__(self, name, _array(getattr(self, name), name, shape))
        object.__setattr__(self, 'image_size', tuple(int(side) for side in self.image_size))
        _require_pose(self.r, self.t_mm)
        if self.rect_alpha is not None:
            _require_alpha(self.rect_alpha)
        if self.error_px is not None and not (math.isfinite(self.error_px) and self.error_px >= 0):
            raise CalibrationError(f'error is {self.error_px}; expected a number of px, >= 0')
        self._camera('left', self.k1, self.d1, self.r1, self.p1)
        self._camera('right', self.k2, self.d2, self.r2, self.p2)

    @classmethod
    def from_pose(
        cls,
        *,
        image_size: tuple[int, int],
        k1: np.ndarray,
        d1: np.ndarray,
        k2: np.ndarray,
        d2: np.ndarray,
        r: np.ndarray,
        t_mm: np.ndarray,
        alpha: float = -1.0,
        error_px: float | None = None,
    ) -> StereoCalibration:
        """The calibration of two cameras at a known pose, rectified to one principal point.

        Arguments as the fields; `alpha` as cv2.stereoRectify takes it. Raises CalibrationError
        for numbers that cannot be, or that OpenCV cannot rectify.
        """
        _require_alpha(alpha)
        width, height = (int(side) for side in image_size)
        # The checks come before OpenCV, which would compute something of any numbers.
        plain = np.hstack([np.eye(3), np.zeros((3, 1))])
        checked = cls((width, height), k1, d1, k2, d2, r, t_mm, np.eye(3), np.eye(3), plain, plain)
        found = _rectification(checked, checked.image_size, alpha)
        return dataclasses.replace(checked, **found, error_px=error_px)

    @classmethod
    def from_cameras(cls, left: CameraCalibration, right: CameraCalibration) -> StereoCalibration:
        """The calibration of which two cameras (metres) know K, D, R and P.

        Pose from R1, R2 and P2. Raises CalibrationError where it cannot hold the cameras (fisheye
        distortion, pictures of two sizes, no baseline).
        """
        if left.image_size != right.image_size:
            raise CalibrationError(
                f'the left camera has pictures of {left.image_size} px and the right one of '
                f'{right.image_size} px; both must have one size'
            )
        for name, camera in (('left', left), ('right', right)):
            if camera.distortion_model not in ('plumb_bob', 'rational_polynomial'):
                raise CalibrationError(
                    f'the {name} camera has the distortion model {camera.distortion_model}, which '
                    'an OpenCV stereo calibration cannot hold; calibrate with plumb_bob or '
                    'rational_polynomial'
                )
        along_m = right.projection[0, 3] / right.projection[0, 0]
        return cls(
            image_size=left.image_size,
            k1=left.camera_matrix,
            d1=left.distortion,
            k2=right.camera_matrix,
            d2=right.distortion,
            r=right.rectification.T @ left.rectification,
            t_mm=right.rectification.T @ [1e3 * along_m, 0, 0],
            r1=left.rectification,
            r2=right.rectification,
            p1=left.projection / _METRES,
            p2=right.projection / _METRES,
        )

    @property
    def cameras(self) -> tuple[CameraCalibration, CameraCalibration]:
        """Left and right camera, in metres, as rectifiers and rigs take them."""
        return (
            self._camera('left', self.k1, self.d1, self.r1, self.p1),
            self._camera('right', self.k2, self.d2, self.r2, self.p2),
        )

    @property
    def essential(self) -> np.ndarray:
        """E, 3 x 3, mm: x2' E x1 = 0 for normalised points of both views."""
        x, y, z = self.t_mm
        return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ self.r

    @property
    def fundamental(self) -> np.ndarray:
        """F, 3 x 3: x2' F x1 = 0 for undistorted pixels; F[2, 2] is 1, or 0."""
        f = np.linalg.inv(self.k2).T @ self.essential @ np.linalg.inv(self.k1)
        return f / f[2, 2] if abs(f[2, 2]) > 1e-12 * np.abs(f).max() else f

    @property
    def disparity_to_depth(self) -> np.ndarray:
        """Q, 4 x 4: (x, y, disparity px, 1) to the homogeneous point in mm, as OpenCV has it."""
        p1, p2 = self.p1, self.p2
        along_mm = p2[0, 3] / p2[0, 0]
        if along_mm == 0:
            return np.full((4, 4), math.nan)
        return np.array(
            [
                [1, 0, 0, -p1[0, 2]],
                [0, p1[0, 0] / p1[1, 1], 0, -p1[1, 2] * p1[0, 0] / p1[1, 1]],
                [0, 0, 0, p1[0, 0]],
                [0, 0, -1 / along_mm, (p1[0, 2] - p2[0, 2]) / along_mm],
            ]
        )

    def rectified(self, alpha: float) -> StereoCalibration:
        """This calibration, rectified with `alpha`: as stored if that was made with it.

        A stored rectification whose alpha is unknown or another one is computed again.
        """
        _require_alpha(alpha)
        if self.rect_alpha is not None and abs(self.rect_alpha - alpha) <= _ALPHA_TOLERANCE:
            return self
        return self.rectified_for(self.image_size, alpha)

    def rectified_for(self, image_size: tuple[int, int], alpha: float) -> StereoCalibration:
        """This calibration, rectified anew as if its pictures had `image_size` (width, height)."""
        _require_alpha(alpha)
        return dataclasses.replace(self, **_rectification(self, image_size, alpha))

    def _camera(
        self, name: str, k: np.ndarray, d: np.ndarray, r: np.ndarray, p: np.ndarray
    ) -> CameraCalibration:
        try:
            return CameraCalibration.from_camera_info_fields(
                width=self.image_size[0],
                height=self.image_size[1],
                distortion_model=_model(d, name),
                d=d,
                k=k,
                r=r,
                p=p * _METRES,
            )
        except CalibrationError as error:
            raise CalibrationError(f'{name} camera: {error}') from error


def _array(values: np.ndarray, name: str, shape: tuple[int, ...] | None) -> np.ndarray:
    try:
        array = np.array(values, dtype=np.float64)
        array = array.reshape(shape if shape is not None else -1)
    except (TypeError, ValueError) as error:
        raise CalibrationError(
            f'{name} is not a matrix of numbers of the shape {shape or "N"} ({error})'
        ) from error
    if not np.isfinite(array).all():
        raise CalibrationError(f'{name} contains NaN or infinity; calibrate the cameras again')
    array.setflags(write=False)
    return array


def _model(d: np.ndarray, name: str) -> str:
    for model in ('plumb_bob', 'rational_polynomial'):
        if len(d) in DISTORTION_MODELS[model]:
            return model
    raise CalibrationError(
        f'{name} camera: {len(d)} distortion coefficients; expected 4, 5, 8, 12 or 14 in OpenCV '
        'order'
    )


def _require_pose(r: np.ndarray, t_mm: np.ndarray) -> None:
    with np.errstate(all='ignore'):
        error = float(np.abs(r @ r.T - np.eye(3)).max())
    if not error <= ORTHONORMAL_TOLERANCE or np.linalg.det(r) < 0:
        raise CalibrationError(
            f'R is not a rotation matrix (R times its transpose is off the identity by {error:.3g}'
            '); calibrate again'
        )
    if not t_mm.any():
        raise CalibrationError(
            'zero baseline: T is 0, the cameras would be at one place; calibrate the two cameras '
            'together'
        )


def _require_alpha(alpha: float) -> None:
    if alpha != -1.0 and not 0.0 <= alpha <= 1.0:
        raise CalibrationError(f'rect_alpha is {alpha:g}; expected -1 (OpenCV decides) or 0 to 1')


def _rectification(
    calibration: StereoCalibration, size: tuple[int, int], alpha: float
) -> dict[str, Any]:
    """R1, R2, P1, P2, both regions and alpha, as `dataclasses.replace` takes them."""
    try:
        r1, r2, p1, p2, _, roi1, roi2 = cv2.stereoRectify(
            calibration.k1,
            calibration.d1,
            calibration.k2,
            calibration.d2,
            size,
            calibration.r,
            calibration.t_mm.reshape(3, 1),
            flags=cv2.CALIB_ZERO_DISPARITY,
            alpha=alpha,
        )
    except cv2.error as error:
        raise CalibrationError(f'OpenCV cannot rectify these cameras ({error.err})') from error
    if not all(np.isfinite(array).all() for array in (r1, r2, p1, p2)):
        raise CalibrationError('the rectification of these cameras is not finite; calibrate again')
    # An empty region says nothing but that OpenCV found none.
    regions = [tuple(int(side) for side in roi) for roi in (roi1, roi2)]
    known = [region if region[2] > 0 and region[3] > 0 else None for region in regions]
    return {
        'r1': r1,
        'r2': r2,
        'p1': p1,
        'p2': p2,
        'rect_alpha': float(alpha),
        'roi1': known[0],
        'roi2': known[1],
    }
