"""One eye: intrinsics and distortion fitted to views of a board (Zhang 2000, by OpenCV)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.core.boards import BoardView
from msdesis_ros.core.errors import CalibrationError, UsageError

# Name -> OpenCV's flags, and how many coefficients of the result are kept.
DISTORTIONS: dict[str, tuple[int, int]] = {
    'plumb_bob': (cv2.CALIB_FIX_K3, 5),
    'plumb_bob_k3': (0, 5),
    'rational_polynomial': (cv2.CALIB_RATIONAL_MODEL, 8),
}
INTRINSICS = ('fx', 'fy', 'cx', 'cy')
COEFFICIENTS = ('k1', 'k2', 'p1', 'p2', 'k3', 'k4', 'k5', 'k6')
MIN_VIEWS = 3
# Coverage is counted on a picture reduced to this width.
_COVERAGE_WIDTH = 128


@dataclass(frozen=True, eq=False)
class CameraFit:
    """What the views of one eye say of its camera.

    k, d: as in `StereoCalibration`. rms_px: of all corners. deviations: standard deviation of
    each intrinsic that was fitted, px or none, as the residuals and the views determine it (so
    not what a wrong model or a warped board does), infinite where they do not. view_errors_px:
    RMS of each view, in their order. normals: of the board in each view, N x 3, camera frame,
    towards the camera. coverage: share of the picture inside of the outline of the board in any
    view. reach: where the outermost corner lies, as a share of the way from the middle of the
    picture to its corner.
    """

    k: np.ndarray
    d: np.ndarray
    rms_px: float
    deviations: Mapping[str, float]
    view_errors_px: np.ndarray
    normals: np.ndarray
    coverage: float
    reach: float

    @property
    def values(self) -> dict[str, float]:
        """Every intrinsic by its name, those that were not fitted as well."""
        numbers = [self.k[0, 0], self.k[1, 1], self.k[0, 2], self.k[1, 2], *self.d]
        return dict(zip((*INTRINSICS, *COEFFICIENTS), map(float, numbers), strict=False))

    @property
    def tilts_deg(self) -> np.ndarray:
        """Angle between board and picture plane in each view, degrees, 0 to 90."""
        return np.degrees(np.arccos(np.clip(-self.normals[:, 2], -1, 1)))

    @property
    def turned_deg(self) -> float:
        """The largest angle between the boards of any two views, degrees."""
        cosines = self.normals @ self.normals.T
        return float(np.degrees(np.arccos(np.clip(cosines.min(), -1, 1))))


def fit_camera(
    corners_mm: np.ndarray,
    views: Sequence[BoardView],
    *,
    image_size: tuple[int, int],
    distortion: str,
    name: str,
) -> CameraFit:
    """Fit one camera to at least MIN_VIEWS views.

    corners_mm: all corners of the board by number. image_size: (width, height) px. distortion: a
    key of DISTORTIONS. name: of the camera, for messages. Raises UsageError for an unknown
    distortion, CalibrationError where the views do not suffice.
    """
    if distortion not in DISTORTIONS:
        raise UsageError(
            f'the distortion {distortion!r} is unknown; known are {", ".join(DISTORTIONS)}'
        )
    if len(views) < MIN_VIEWS:
        raise CalibrationError(
            f'the {name} camera has {len(views)} usable views of the board; at least {MIN_VIEWS} '
            'are needed and 15 to 30 are usual: take more pictures'
        )
    flags, count = DISTORTIONS[distortion]
    boards = [corners_mm[view.ids].astype(np.float32) for view in views]
    points = [view.points_px.astype(np.float32).reshape(-1, 1, 2) for view in views]
    try:
        rms, k, d, turns, moves, _, _, errors = cv2.calibrateCameraExtended(
            boards, points, image_size, None, None, flags=flags
        )
    except cv2.error as error:
        raise CalibrationError(
            f'OpenCV cannot calibrate the {name} camera from these {len(views)} views '
            f'({error.err}); take pictures with the board at other angles and places'
        ) from error
    d = np.asarray(d, dtype=np.float64).ravel()[:count]
    if not (np.isfinite(k).all() and np.isfinite(d).all() and k[0, 0] > 0 and k[1, 1] > 0):
        raise CalibrationError(
            f'the views of the {name} camera do not determine it: no finite focal length fits; '
            'take pictures with the board tilted in several directions'
        )
    return CameraFit(
        k=np.asarray(k, dtype=np.float64),
        d=d,
        rms_px=float(rms),
        deviations=_deviations(boards, points, k, d, list(zip(turns, moves, strict=True)), flags),
        view_errors_px=np.asarray(errors, dtype=np.float64).ravel(),
        normals=np.stack([_normal(turn) for turn in turns]),
        coverage=_coverage(views, image_size),
        reach=_reach(views, image_size),
    )


def _deviations(
    boards: Sequence[np.ndarray],
    points: Sequence[np.ndarray],
    k: np.ndarray,
    d: np.ndarray,
    poses: Sequence[tuple[np.ndarray, np.ndarray]],
    flags: int,
) -> dict[str, float]:
    """Standard deviations from the normal equations, with the poses of the boards eliminated.

    OpenCV has them too, but its older versions count each point once instead of twice, for x and
    y, and state half as much again.
    """
    names = (*INTRINSICS, *COEFFICIENTS[: len(d)])
    free = [i for i, name in enumerate(names) if name != 'k3' or not flags & cv2.CALIB_FIX_K3]
    normal = np.zeros((len(free), len(free)))
    squares, freedoms = 0.0, -len(free)
    for board, seen, (turn, move) in zip(boards, points, poses, strict=True):
        projected, jacobian = cv2.projectPoints(board, turn, move, k, d)
        squares += float(np.square(projected - seen).sum())
        freedoms += 2 * len(board) - 6
        pose, own = jacobian[:, :6], jacobian[:, 6:][:, free]
        explained, *_ = np.linalg.lstsq(pose, own, rcond=None)
        normal += own.T @ (own - pose @ explained)
    # Columns of one length: pixels and coefficients differ by many orders of magnitude.
    scale = np.sqrt(np.diag(normal))
    try:
        inverse = np.linalg.inv(normal / np.outer(scale, scale))
        variances = np.diag(inverse) / scale**2 * squares / freedoms
    except (np.linalg.LinAlgError, ZeroDivisionError):
        variances = np.full(len(free), np.inf)
    known = np.isfinite(variances) & (variances >= 0)
    deviations = np.sqrt(np.where(known, variances, np.inf))
    return {names[i]: float(deviations[at]) for at, i in enumerate(free)}


def _normal(rotation_vector: np.ndarray) -> np.ndarray:
    normal = cv2.Rodrigues(np.asarray(rotation_vector, dtype=np.float64))[0][:, 2]
    # The board is seen from its front, whichever way its z points.
    return normal if normal[2] <= 0 else -normal


def _coverage(views: Sequence[BoardView], image_size: tuple[int, int]) -> float:
    scale = _COVERAGE_WIDTH / image_size[0]
    height = max(1, round(image_size[1] * scale))
    covered = np.zeros((height, _COVERAGE_WIDTH), np.uint8)
    for view in views:
        outline = cv2.convexHull(np.rint(view.points_px * scale).astype(np.int32))
        cv2.fillConvexPoly(covered, outline, 1)
    return float(covered.mean())


def _reach(views: Sequence[BoardView], image_size: tuple[int, int]) -> float:
    middle = (np.array(image_size) - 1) / 2
    points = np.concatenate([view.points_px for view in views])
    return float(np.linalg.norm(points - middle, axis=1).max() / np.linalg.norm(middle))
