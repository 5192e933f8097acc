"""Points of a raw picture without their distortion, and back again."""

from __future__ import annotations

import cv2
import numpy as np

from msdesis_ros.core.camera import CameraCalibration

FOLDING_SAMPLES = 4096


def rectified_points(points_px: np.ndarray, camera: CameraCalibration) -> np.ndarray:
    """Points of the raw picture (N x 2 px) in the rectified view, N x 2 float64 px."""
    return _undistorted(points_px, camera, camera.rectification, camera.projection[:, :3])


def rectified_rays(points_px: np.ndarray, camera: CameraCalibration) -> np.ndarray:
    """Points of the raw picture (N x 2 px) as rays (x, y, 1) of the rectified view, N x 2."""
    return _undistorted(points_px, camera, camera.rectification, np.eye(3))


def normalised_points(points_px: np.ndarray, camera: CameraCalibration) -> np.ndarray:
    """Points of the raw picture (N x 2 px) as rays (x, y, 1) of the camera itself, N x 2."""
    return _undistorted(points_px, camera, np.eye(3), np.eye(3))


def raw_points(normalised: np.ndarray, camera: CameraCalibration) -> np.ndarray:
    """Where rays (x, y, 1) of the camera (N x 2) fall in the raw picture, N x 2 float64 px."""
    rays = np.hstack([normalised, np.ones((len(normalised), 1))]).reshape(-1, 1, 3)
    k, d, zero = camera.camera_matrix, camera.distortion, np.zeros(3)
    if camera.distortion_model == 'equidistant':
        points, _ = cv2.fisheye.projectPoints(rays, zero, zero, k, d.reshape(4, 1))
    else:
        points, _ = cv2.projectPoints(rays, zero, zero, k, d)
    return points.reshape(-1, 2)


def field_of_view_deg(camera: CameraCalibration) -> tuple[float, float]:
    """What the raw picture sees across and down through its middle, degrees."""
    width, height = camera.image_size
    x, y = (width - 1) / 2, (height - 1) / 2
    ends = np.array([[-0.5, y], [width - 0.5, y], [x, -0.5], [x, height - 0.5]])
    rays = np.hstack([normalised_points(ends, camera), np.ones((4, 1))])
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    across, down = (np.clip(rays[i] @ rays[i + 1], -1, 1) for i in (0, 2))
    return float(np.degrees(np.arccos(across))), float(np.degrees(np.arccos(down)))


def folding_px(camera: CameraCalibration, *, samples: int = 9) -> float:
    """How far border points come back from where they were when undistorted and distorted, px.

    Large where the distortion has no inverse there: the model folds over inside of the picture.
    """
    width, height = camera.image_size
    x, y = np.linspace(0, width - 1, samples), np.linspace(0, height - 1, samples)
    border = np.concatenate(
        [
            *(np.stack([x, np.full_like(x, at)], axis=1) for at in (0, height - 1)),
            *(np.stack([np.full_like(y, at), y], axis=1) for at in (0, width - 1)),
        ]
    )
    back = raw_points(normalised_points(border, camera), camera)
    # Where the iteration ran away there is no number: as far as can be.
    return float(np.nan_to_num(np.linalg.norm(back - border, axis=1), nan=np.inf).max())


def folding_radius(camera: CameraCalibration, *, largest: float) -> float:
    """From which distance off the axis (of rays x, y, 1) on the lens model folds back, inf if not
    before `largest`.

    Beyond, a polynomial that was fitted to less falls again, and rays that the lens never let in
    land inside of the picture. Of the radial terms, which alone do that.
    """
    radius = np.linspace(0, largest, FOLDING_SAMPLES)
    coefficients = np.zeros(8)
    given = camera.distortion.ravel()[:8]
    coefficients[: len(given)] = given
    if camera.distortion_model == 'equidistant':
        angle = np.arctan(radius)
        square = angle**2
        polynomial = coefficients[3::-1]
        bent = angle * (1 + square * np.polyval(polynomial, square))
    else:
        k1, k2, _, _, k3, k4, k5, k6 = coefficients
        square = radius**2
        below = 1 + square * np.polyval([k6, k5, k4], square)
        bent = radius * (1 + square * np.polyval([k3, k2, k1], square)) / below
        bent[below <= 0] = -np.inf
    back = np.nonzero(~(np.diff(bent) > 0))[0]
    return float(radius[back[0]]) if len(back) else float('inf')


def _undistorted(
    points_px: np.ndarray, camera: CameraCalibration, r: np.ndarray, p: np.ndarray
) -> np.ndarray:
    points = np.asarray(points_px, dtype=np.float64).reshape(-1, 1, 2)
    k, d = camera.camera_matrix, camera.distortion
    if camera.distortion_model == 'equidistant':
        return cv2.fisheye.undistortPoints(points, k, d.reshape(4, 1), R=r, P=p).reshape(-1, 2)
    # OpenCV's default of five iterations is off by 0.3 px in the corners of a strong barrel.
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-9)
    iterate = getattr(cv2, 'undistortPointsIter', None)  # OpenCV 4; merged into the next in 5
    if iterate is not None:
        return iterate(points, k, d, r, p, criteria).reshape(-1, 2)
    return cv2.undistortPoints(points, k, d, R=r, P=p, criteria=criteria).reshape(-1, 2)
