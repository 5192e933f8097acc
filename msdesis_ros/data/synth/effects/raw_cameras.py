"""The raw cameras of a stereo endoscope: lens distortion, a small rotation, and their calibration.

Both eyes of a `StereoLens` belong to one rectified geometry, so its calibration restores the
rectified views exactly: X_rectified = R1 X_left = R2 X_right + (B, 0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import CalibrationError
from msdesis_ros.core.rig import StereoGeometry, StereoRig


@dataclass(frozen=True)
class EyeLens:
    """One raw camera. Focal lengths and principal point in px; distortion: k1 k2 p1 p2 k3.

    rotation_deg: rotation vector (Rodrigues, degrees) from the camera to the rectified frame.
    """

    focal_x_px: float
    focal_y_px: float
    cx_px: float
    cy_px: float
    distortion: tuple[float, float, float, float, float]
    rotation_deg: tuple[float, float, float]

    @property
    def camera_matrix(self) -> np.ndarray:
        """3 x 3 float64, px."""
        return np.array(
            [[self.focal_x_px, 0, self.cx_px], [0, self.focal_y_px, self.cy_px], [0, 0, 1.0]]
        )

    @property
    def rectification(self) -> np.ndarray:
        """3 x 3 rotation from the camera to the rectified frame."""
        return cv2.Rodrigues(np.deg2rad(np.array(self.rotation_deg, np.float64)))[0]

    def rectified_points(self, points_px: np.ndarray, geometry: StereoGeometry) -> np.ndarray:
        """Where pixels of the raw picture (N x 2, x and y) lie in a rectified view, N x 2 px.

        Raises CalibrationError where the distortion cannot be inverted.
        """
        with np.errstate(all='ignore'):
            x, y = undistort_plumb_bob(
                (points_px[:, 0] - self.cx_px) / self.focal_x_px,
                (points_px[:, 1] - self.cy_px) / self.focal_y_px,
                np.array(self.distortion),
            )
        rays = np.stack([x, y, np.ones_like(x)], axis=1) @ self.rectification.T
        projected = rays @ geometry.camera_matrix.T
        return projected[:, :2] / projected[:, 2:]


@dataclass(frozen=True)
class StereoLens:
    """Two raw cameras and the rectified geometry that they belong to. JSON-able by `asdict`."""

    left: EyeLens
    right: EyeLens
    geometry: StereoGeometry

    def calibration(self) -> dict[str, np.ndarray]:
        """K1 D1 K2 D2 R T R1 R2 P1 P2 in OpenCV's convention, float64; T and P2 in millimetres.

        A point of the left camera is R x + T in the right one.
        """
        r1, r2 = self.left.rectification, self.right.rectification
        baseline_mm = self.geometry.baseline_m * 1e3
        p1 = np.hstack([self.geometry.camera_matrix, np.zeros((3, 1))])
        p2 = p1.copy()
        p2[0, 3] = -self.geometry.focal_px * baseline_mm
        return {
            'K1': self.left.camera_matrix,
            'D1': np.array([self.left.distortion]),
            'K2': self.right.camera_matrix,
            'D2': np.array([self.right.distortion]),
            'R': r2.T @ r1,
            'T': r2.T @ np.array([[-baseline_mm], [0.0], [0.0]]),
            'R1': r1,
            'R2': r2,
            'P1': p1,
            'P2': p2,
        }

    def rig(self) -> StereoRig:
        """The same as `core` rectifies with, in metres."""
        values = self.calibration()
        width, height = self.geometry.image_size
        left, right = (
            CameraCalibration.from_camera_info_fields(
                width=width,
                height=height,
                distortion_model='plumb_bob',
                d=values[f'D{eye}'],
                k=values[f'K{eye}'],
                r=values[f'R{eye}'],
                p=values[f'P{eye}'] * [1.0, 1.0, 1.0, 1e-3],
            )
            for eye in (1, 2)
        )
        return StereoRig.from_cameras(left, right)


def undistort_plumb_bob(
    x: np.ndarray, y: np.ndarray, distortion: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Invert the plumb_bob model (Brown 1966, OpenCV's coefficient order) by Newton's method.

    x, y: distorted normalised coordinates; returns undistorted ones, exact to 1e-12. Raises
    CalibrationError where the distortion cannot be inverted over the picture.
    """
    k1, k2, p1, p2, k3 = distortion
    u, v = x.copy(), y.copy()
    for _ in range(30):
        r2 = u * u + v * v
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        twice_radial_slope = 2 * (k1 + r2 * (2 * k2 + r2 * 3 * k3))
        error_x = u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u) - x
        error_y = v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v - y
        if max(np.abs(error_x).max(), np.abs(error_y).max()) < 1e-13:
            return u, v
        a = radial + twice_radial_slope * u * u + 2 * p1 * v + 6 * p2 * u
        b = twice_radial_slope * u * v + 2 * p1 * u + 2 * p2 * v
        d = radial + twice_radial_slope * v * v + 6 * p1 * v + 2 * p2 * u
        determinant = a * d - b * b
        u -= (d * error_x - b * error_y) / determinant
        v -= (a * error_y - b * error_x) / determinant
    raise CalibrationError(f'the distortion {distortion} cannot be inverted over the picture')
