"""Two eyes: a stereo calibration fitted to pairs of pictures of a board."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.core.boards import MIN_CORNERS, BoardPair, fixes_pose
from msdesis_ros.core.camera_fit import DISTORTIONS, MIN_VIEWS, CameraFit, fit_camera
from msdesis_ros.core.errors import CalibrationError
from msdesis_ros.core.picture_errors import (
    PictureError,
    marked_outliers,
    row_differences,
    state_alone,
)
from msdesis_ros.core.stereo_calibration import StereoCalibration

# Rejecting more than this share would tune the result to the pictures that please it.
MAX_LEFT_OUT = 0.25


@dataclass(frozen=True, eq=False)
class StereoFit:
    """A calibration and what it rests on; `left` and `right` are the fits of each eye alone."""

    calibration: StereoCalibration
    left: CameraFit
    right: CameraFit
    pictures: tuple[PictureError, ...]
    distortion: str

    @property
    def used(self) -> tuple[PictureError, ...]:
        """The pairs that the pose of the eyes rests on."""
        return tuple(picture for picture in self.pictures if picture.state == 'used')

    @property
    def outliers(self) -> tuple[PictureError, ...]:
        """The pictures that stand out, whether they were left out or not."""
        return tuple(picture for picture in self.pictures if picture.outlier)

    @property
    def epipolar_px(self) -> float:
        """RMS difference of the rows in the rectified views, over all corners of used pairs."""
        squares = [picture.corners * picture.epipolar_px**2 for picture in self.used]
        return math.sqrt(sum(squares) / sum(picture.corners for picture in self.used))


def fit_stereo(
    corners_mm: np.ndarray,
    pairs: Sequence[BoardPair],
    *,
    image_size: tuple[int, int],
    distortion: str = 'plumb_bob',
    alpha: float = -1.0,
    leave_out_outliers: bool = False,
    hold_intrinsics: bool = False,
) -> StereoFit:
    """Fit each camera alone, then both and their pose together.

    Each eye is fitted to all its own views first, those whose partner shows no board as well. The
    pairs then refine both cameras with the pose: the boards that both eyes see tie their errors
    together, which on synthetic rigs leaves a third of the errors in rows and depth that fitting
    the pose alone does. `hold_intrinsics` does that, for a rig with many views of one eye and few
    pairs. With `leave_out_outliers` pictures that stand out are removed, the worst first and the
    rest judged again, until none does, at most a quarter. They are judged before both eyes are
    refined together. Other arguments as those of
    `fit_camera` and `StereoCalibration.from_pose`.

    Raises CalibrationError where the pictures do not suffice, UsageError for an unknown
    distortion.
    """
    left_out: dict[str, PictureError] = {}
    most = int(MAX_LEFT_OUT * sum(pair.common is not None for pair in pairs))
    while True:
        kept = [pair for pair in pairs if pair.name not in left_out]
        fit = _fit_once(corners_mm, kept, image_size, distortion, alpha, hold_intrinsics)
        if not (leave_out_outliers and fit.outliers and len(left_out) < most):
            break
        worst = max(fit.outliers, key=lambda picture: picture.excess)
        left_out[worst.name] = dataclasses.replace(worst, state='left_out')
    known = left_out | {picture.name: picture for picture in fit.pictures}
    return dataclasses.replace(fit, pictures=tuple(known[pair.name] for pair in pairs))


def _fit_once(
    corners_mm: np.ndarray,
    pairs: Sequence[BoardPair],
    image_size: tuple[int, int],
    distortion: str,
    alpha: float,
    hold_intrinsics: bool,
) -> StereoFit:
    eyes = {}
    for side in ('left', 'right'):
        views = [view for pair in pairs if (view := getattr(pair, side)) is not None]
        eyes[side] = fit_camera(
            corners_mm, views, image_size=image_size, distortion=distortion, name=side
        )
    common = [
        pair
        for full in pairs
        if (pair := full.common) is not None and fixes_pose(pair.left, corners_mm)
    ]
    if len(common) < MIN_VIEWS:
        raise CalibrationError(
            f'{len(common)} pairs show at least {MIN_CORNERS} corners of the board to both eyes; '
            f'at least {MIN_VIEWS} are needed and 15 to 30 are usual: take more pictures'
        )
    left, right = eyes['left'], eyes['right']
    # With its intrinsics held the rig cannot bend itself around a picture that is wrong, so that
    # such a picture stands out here and may not in the end.
    model = DISTORTIONS[distortion][0]
    held = _fit_pose(
        corners_mm, common, (left, right), image_size, alpha, cv2.CALIB_FIX_INTRINSIC | model
    )
    marked = marked_outliers(_picture_errors(pairs, common, *held, left, right))
    if hold_intrinsics:
        return StereoFit(held[0], left, right, tuple(marked), distortion)
    joint = _fit_pose(
        corners_mm,
        common,
        (left, right),
        image_size,
        alpha,
        cv2.CALIB_USE_INTRINSIC_GUESS | model,
    )
    pictures = [
        dataclasses.replace(picture, outlier=before.outlier, excess=before.excess)
        for picture, before in zip(
            _picture_errors(pairs, common, *joint, left, right), marked, strict=True
        )
    ]
    return StereoFit(joint[0], left, right, tuple(pictures), distortion)


def _fit_pose(
    corners_mm: np.ndarray,
    common: Sequence[BoardPair],
    eyes: tuple[CameraFit, CameraFit],
    image_size: tuple[int, int],
    alpha: float,
    flags: int,
) -> tuple[StereoCalibration, np.ndarray]:
    """The calibration, and the RMS reprojection error of each pair and eye, N x 2 px.

    Without the flags of their model in `flags` OpenCV drops coefficients that it was given.
    """
    points = [
        [getattr(pair, side).points_px.astype(np.float32).reshape(-1, 1, 2) for pair in common]
        for side in ('left', 'right')
    ]
    boards = [_left(pair, corners_mm).astype(np.float32) for pair in common]
    try:
        found = cv2.stereoCalibrateExtended(
            boards,
            *points,
            *(array.copy() for eye in eyes for array in (eye.k, eye.d)),
            image_size,
            np.eye(3),
            np.zeros((3, 1)),
            flags=flags,
            criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-9),
        )
    except cv2.error as error:
        raise CalibrationError(f'OpenCV cannot find the pose of the eyes ({error.err})') from error
    # Newer versions of OpenCV return the poses of the boards before the errors.
    rms, k1, d1, k2, d2, r, t_mm = found[:7]
    errors = np.asarray(found[-1], dtype=np.float64).reshape(-1, 2)
    count = len(eyes[0].d)
    calibration = StereoCalibration.from_pose(
        image_size=image_size,
        k1=k1,
        d1=np.ravel(d1)[:count],
        k2=k2,
        d2=np.ravel(d2)[:count],
        r=r,
        t_mm=t_mm,
        alpha=alpha,
        error_px=float(rms),
    )
    return calibration, errors


def _left(pair: BoardPair, corners_mm: np.ndarray) -> np.ndarray:
    assert pair.left is not None
    return corners_mm[pair.left.ids]


def _picture_errors(
    pairs: Sequence[BoardPair],
    common: Sequence[BoardPair],
    calibration: StereoCalibration,
    errors: np.ndarray,
    left: CameraFit,
    right: CameraFit,
) -> list[PictureError]:
    of_pair = dict(
        zip((pair.name for pair in common), zip(common, errors, strict=True), strict=True)
    )
    alone = {'left': iter(left.view_errors_px), 'right': iter(right.view_errors_px)}
    pictures = []
    for pair in pairs:
        own = {
            side: float(next(alone[side])) if view is not None else math.nan
            for side, view in (('left', pair.left), ('right', pair.right))
        }
        if pair.name not in of_pair:
            state = state_alone(pair.left, pair.right)
            pictures.append(PictureError(pair.name, state, own['left'], own['right']))
            continue
        shared, (left_px, right_px) = of_pair[pair.name]
        rows_px = np.abs(row_differences(calibration, shared))
        pictures.append(
            PictureError(
                pair.name,
                'used',
                float(left_px),
                float(right_px),
                float(np.sqrt(np.mean(rows_px**2))),
                float(rows_px.max()),
                len(rows_px),
            )
        )
    return pictures
