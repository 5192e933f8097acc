"""Disparity errors as sums, so that the mean over many frames is one division and nothing else.

Two readings of one prediction are summed apart. *Answered*: what the product uses, the pixels of
`valid`. *Dense*: the model's number at every pixel, trusted or not. Thresholds and their sources
are those of `disparity_metrics`.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.evaluation.disparity_metrics import D1_PIXELS, D1_SHARE

Measures = dict[str, float | int | None]


@dataclass(frozen=True)
class DisparitySums:
    """Sums over the pixels of one or of many frames; `+` joins them.

    truth_pixels: with truth. answered_pixels: of these, with a number. error_px: sum of absolute
    errors. bad_1, bad_3, d1: how many are off by more than 1 px, 3 px, 3 px and 5 % of the truth.
    depth_pixels, depth_error_mm: how many have both depths, the sum of their absolute differences.
    """

    truth_pixels: int = 0
    answered_pixels: int = 0
    error_px: float = 0.0
    bad_1: int = 0
    bad_3: int = 0
    d1: int = 0
    depth_pixels: int = 0
    depth_error_mm: float = 0.0

    def __add__(self, other: DisparitySums) -> DisparitySums:
        return DisparitySums(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def answered_measures(self) -> Measures:
        """Shares (0 to 1) and means over the answered pixels, None where there is no pixel."""
        return {
            'coverage': ratio(self.answered_pixels, self.truth_pixels),
            'epe_px': ratio(self.error_px, self.answered_pixels),
            'bad_1': ratio(self.bad_1, self.answered_pixels),
            'bad_3': ratio(self.bad_3, self.answered_pixels),
            'd1': ratio(self.d1, self.answered_pixels),
            'depth_mae_mm': ratio(self.depth_error_mm, self.depth_pixels),
        }

    @property
    def dense_measures(self) -> Measures:
        """Shares and means over *all* pixels with truth.

        A pixel without a number counts as bad. The EPE then has no value: None unless every
        pixel has a number.
        """
        missing = self.truth_pixels - self.answered_pixels
        return {
            'dense_coverage': ratio(self.answered_pixels, self.truth_pixels),
            'dense_epe_px': None if missing else ratio(self.error_px, self.truth_pixels),
            'dense_bad_1': ratio(self.bad_1 + missing, self.truth_pixels),
            'dense_bad_3': ratio(self.bad_3 + missing, self.truth_pixels),
            'dense_d1': ratio(self.d1 + missing, self.truth_pixels),
        }


def disparity_sums(
    prediction_px: np.ndarray,
    truth_px: np.ndarray,
    where: np.ndarray,
    *,
    geometry: StereoGeometry | None = None,
) -> DisparitySums:
    """Sum the errors over the pixels of `where`.

    prediction_px: H x W, NaN = no answer. truth_px: H x W. where: H x W bool, True only at pixels
    with a finite truth; it may be empty. geometry: turns disparities into depths; without it
    there are no depth errors.
    """
    truth = truth_px[where].astype(np.float64)
    prediction = prediction_px[where].astype(np.float64)
    answered = ~np.isnan(prediction)
    truth_pixels, truth, prediction = truth.size, truth[answered], prediction[answered]
    error = np.abs(prediction - truth)
    depth_pixels, depth_error_mm = 0, 0.0
    if geometry is not None:
        seen = (truth > 0) & (prediction > 0)
        focal_times_baseline_mm = geometry.focal_times_baseline * 1e3
        apart_mm = (
            focal_times_baseline_mm / prediction[seen] - focal_times_baseline_mm / truth[seen]
        )
        depth_pixels, depth_error_mm = apart_mm.size, float(np.abs(apart_mm).sum())
    return DisparitySums(
        truth_pixels=truth_pixels,
        answered_pixels=error.size,
        error_px=float(error.sum()),
        bad_1=int(np.count_nonzero(error > 1)),
        bad_3=int(np.count_nonzero(error > 3)),
        d1=int(np.count_nonzero((error > D1_PIXELS) & (error > D1_SHARE * np.abs(truth)))),
        depth_pixels=depth_pixels,
        depth_error_mm=depth_error_mm,
    )


def ratio(part: float, whole: float) -> float | None:
    """part / whole; None where there is nothing to divide by, for that is not zero."""
    return part / whole if whole else None
