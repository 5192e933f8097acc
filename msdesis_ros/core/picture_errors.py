"""How well a stereo calibration fits each picture of a board, and which pictures stand out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.boards import BoardPair, BoardView
from msdesis_ros.core.camera_points import rectified_points
from msdesis_ros.core.stereo_calibration import StereoCalibration

# A picture is an outlier where its error is this many times the median of all, and clearly so.
OUTLIER_FACTOR = 3.0
OUTLIER_MARGIN_PX = 0.25
_ENOUGH_TO_JUDGE = 5


@dataclass(frozen=True)
class PictureError:
    """What the calibration says of one pair of pictures; NaN where it says nothing.

    left_px, right_px: RMS reprojection error of the corners of each eye; for a pair under one
    pose of the board for both eyes, so that a pair taken at two moments shows. epipolar_px,
    epipolar_max_px: RMS and largest difference of the rows of a corner in the rectified views.
    corners: how many both eyes share. state: `used`; `left_only` or `right_only` where it served
    one eye alone; `apart` where it served each eye, which share too few corners; `left_out` of
    the calibration as an outlier (its errors are those before); `no_board`. outlier: sentence of
    what stands out, '' where nothing does; excess: how many times the median.
    """

    name: str
    state: str
    left_px: float = math.nan
    right_px: float = math.nan
    epipolar_px: float = math.nan
    epipolar_max_px: float = math.nan
    corners: int = 0
    outlier: str = ''
    excess: float = 0.0


def marked_outliers(pictures: Sequence[PictureError]) -> list[PictureError]:
    """The pictures, those that stand out with a sentence that says how."""
    marked = list(pictures)
    for field, words in (
        ('left_px', 'reprojection error of the left eye'),
        ('right_px', 'reprojection error of the right eye'),
        ('epipolar_px', 'difference of the rectified rows'),
    ):
        errors_px = np.array([getattr(picture, field) for picture in pictures])
        if np.isfinite(errors_px).sum() < _ENOUGH_TO_JUDGE:
            continue
        median_px = float(np.nanmedian(errors_px))
        limit_px = max(OUTLIER_FACTOR * median_px, median_px + OUTLIER_MARGIN_PX)
        for at in np.flatnonzero(errors_px > limit_px):
            excess = float(errors_px[at] / max(median_px, 1e-9))
            if excess > marked[at].excess:
                sentence = (
                    f'{words} {errors_px[at]:.2f} px, {excess:.1f} times the median of all '
                    f'({median_px:.2f} px)'
                )
                marked[at] = dataclasses.replace(marked[at], outlier=sentence, excess=excess)
    return marked


def row_differences(calibration: StereoCalibration, pair: BoardPair) -> np.ndarray:
    """Left minus right row of each corner of a `common` pair when rectified, N float64, px."""
    assert pair.left is not None and pair.right is not None
    left, right = calibration.cameras
    rows = [
        rectified_points(view.points_px, camera)[:, 1]
        for view, camera in ((pair.left, left), (pair.right, right))
    ]
    return rows[0] - rows[1]


def state_alone(left: BoardView | None, right: BoardView | None) -> str:
    """The state of a picture pair that is no pair for the calibration."""
    if left is None:
        return 'no_board' if right is None else 'right_only'
    return 'left_only' if right is None else 'apart'
