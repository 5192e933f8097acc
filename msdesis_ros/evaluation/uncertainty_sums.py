"""Whether an uncertainty tells where the errors are, and how large: sparsification, calibration.

Sparsification: remove the most uncertain pixels first and look at the EPE of those that remain.
The oracle removes the pixels with the largest errors first; no order does better. AUSE is the
area between the two curves over the removed share. Source: Ilg et al., 'Uncertainty Estimates and
Multi-Hypotheses Networks for Optical Flow', ECCV 2018, who divide both curves by the EPE of all
pixels; so does `ause`, while `ause_px` is the area in px.

Calibration: if the error follows a Laplace distribution with the scale b that the model states, a
share p of the errors is at most -b * ln(1 - p). The calibration error is the mean of
|empirical share - p| over p = 0.1 ... 0.9.

To sort the pixels of a whole data set without keeping them, uncertainties and errors are counted
in bins of 1/1024 of their value (floats cut to 10 bits of mantissa), from 2**-20 to 2**20 px. The
sums of errors in the bins are not rounded. Within a bin all pixels are equally uncertain, and
removing some of them removes that share of their errors: the expectation over every order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.evaluation.disparity_sums import Measures, ratio

NOMINAL_SHARES = tuple(tenth / 10 for tenth in range(1, 10))
CERTAIN_SHARE = 0.8
# Removing everything leaves no EPE, so the curves end one step before.
REMOVED_SHARES = np.arange(100) / 100
_MANTISSA_BITS = 10
_DROPPED_BITS = 23 - _MANTISSA_BITS
_FIRST_BIN = (127 - 20) << _MANTISSA_BITS  # the exponent of 2**-20 as float32 stores it
_BINS = 40 << _MANTISSA_BITS


@dataclass(frozen=True, eq=False)
class UncertaintySums:
    """Counts over the pixels that have an error and an uncertainty; `+` joins frames.

    inside: int64, how many errors lie in the interval of each of NOMINAL_SHARES. counts,
    errors_px: 2 x bins, pixels and the sum of their errors; row 0 sorts the pixels by their
    uncertainty, row 1 by their error.
    """

    pixels: int
    inside: np.ndarray
    counts: np.ndarray
    errors_px: np.ndarray

    def __add__(self, other: UncertaintySums) -> UncertaintySums:
        return UncertaintySums(
            self.pixels + other.pixels,
            self.inside + other.inside,
            self.counts + other.counts,
            self.errors_px + other.errors_px,
        )

    @property
    def measures(self) -> Measures:
        """The figures of this module; None where there is no pixel, `ause` also without errors."""
        if not self.pixels:
            return dict.fromkeys(
                ('epe_certain_80_px', 'ause_px', 'ause', 'calibration_error'), None
            )
        certain = self.sparsification_px(np.array([1 - CERTAIN_SHARE]))
        kept, best = (self.sparsification_px(oracle=o) for o in (False, True))
        apart = kept - best
        steps = np.diff(REMOVED_SHARES)
        area_px = float(np.sum(steps * (apart[1:] + apart[:-1]) / 2))
        return {
            'epe_certain_80_px': float(certain[0]),
            'ause_px': area_px,
            'ause': ratio(area_px, float(kept[0])),
            'calibration_error': float(np.mean(np.abs(self.empirical_shares - NOMINAL_SHARES))),
        }

    @property
    def empirical_shares(self) -> np.ndarray:
        """The share of errors inside of the interval of each of NOMINAL_SHARES; needs a pixel."""
        return self.inside / self.pixels

    def sparsification_px(
        self, removed: np.ndarray = REMOVED_SHARES, *, oracle: bool = False
    ) -> np.ndarray:
        """EPE in px of the pixels that remain; needs a pixel, and removed shares below 1."""
        row = int(oracle)
        filled = self.counts[row] > 0
        pixels = np.concatenate([[0], np.cumsum(self.counts[row][filled])])
        errors_px = np.concatenate([[0], np.cumsum(self.errors_px[row][filled])])
        kept = (1 - np.asarray(removed)) * self.pixels
        return np.interp(kept, pixels, errors_px) / kept


def uncertainty_sums(error_px: np.ndarray, uncertainty_px: np.ndarray) -> UncertaintySums:
    """Count one row of absolute errors and their stated standard deviations, both in px.

    Raises UsageError for lengths that differ, and for uncertainties that are negative or not
    finite.
    """
    if error_px.shape != uncertainty_px.shape:
        raise UsageError(
            f'{error_px.shape} errors and {uncertainty_px.shape} uncertainties; expected one each'
        )
    if not (np.isfinite(uncertainty_px) & (uncertainty_px >= 0)).all():
        raise UsageError(
            'the uncertainty holds negative or infinite numbers or NaN where there is a '
            'disparity; expected 0 px or more at each of these pixels'
        )
    error = error_px.astype(np.float64)
    reach = -np.log1p(-np.array(NOMINAL_SHARES))
    # Comparing in units of b would divide by zero where b is 0.
    scale = uncertainty_px / math.sqrt(2)
    places = (_bins(uncertainty_px), _bins(error))
    return UncertaintySums(
        pixels=error.size,
        inside=np.array([np.count_nonzero(error <= r * scale) for r in reach], np.int64),
        counts=np.stack([np.bincount(place, minlength=_BINS) for place in places]),
        errors_px=np.stack([np.bincount(place, error, minlength=_BINS) for place in places]),
    )


def _bins(values: np.ndarray) -> np.ndarray:
    """The bin of each non-negative number: the order of float32 is that of its bits."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.int32) >> _DROPPED_BITS
    return np.clip(bits - _FIRST_BIN, 0, _BINS - 1)
