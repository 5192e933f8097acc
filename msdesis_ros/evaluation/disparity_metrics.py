"""How far a disparity is from the truth, by the measures that stereo papers report.

Two sets of pixels matter. `valid` marks the pixels with truth; a pixel is *answered* where it has
truth and the prediction is not NaN. Errors are of answered pixels, and `coverage` says how large
their share is: neither figure means much without the other, because leaving out hard pixels lowers
every error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.errors import UsageError

# KITTI 2015: an outlier is off by more than 3 px and by more than 5 % of the truth.
D1_PIXELS = 3.0
D1_SHARE = 0.05


@dataclass(frozen=True)
class DisparityScore:
    """One prediction against its truth; shares lie in 0 to 1, errors in px, NaN if unanswered.

    `coverage`: answered / pixels with truth. `epe_px`, `median_px`: mean and median absolute
    error. `bad_1`, `bad_2`, `bad_3`: the share off by more than 1, 2, 3 px. `d1`: KITTI's outlier
    share.
    """

    truth_pixels: int
    answered_pixels: int
    coverage: float
    epe_px: float
    median_px: float
    bad_1: float
    bad_2: float
    bad_3: float
    d1: float


def score_disparity(
    prediction_px: np.ndarray, truth_px: np.ndarray, valid: np.ndarray
) -> DisparityScore:
    """Return every measure of this module at once; arguments and errors as `absolute_error_px`."""
    return DisparityScore(
        truth_pixels=int(np.count_nonzero(valid)),
        answered_pixels=int(absolute_error_px(prediction_px, truth_px, valid).size),
        coverage=coverage(prediction_px, truth_px, valid),
        epe_px=end_point_error_px(prediction_px, truth_px, valid),
        median_px=median_error_px(prediction_px, truth_px, valid),
        bad_1=bad_share(prediction_px, truth_px, valid, threshold_px=1.0),
        bad_2=bad_share(prediction_px, truth_px, valid, threshold_px=2.0),
        bad_3=bad_share(prediction_px, truth_px, valid, threshold_px=3.0),
        d1=d1_share(prediction_px, truth_px, valid),
    )


def absolute_error_px(
    prediction_px: np.ndarray, truth_px: np.ndarray, valid: np.ndarray
) -> np.ndarray:
    """|prediction - truth| of every answered pixel, as one float64 row.

    `prediction_px`: H x W, NaN = no answer. `truth_px`: H x W. `valid`: H x W bool, True where
    there is truth. Raises UsageError where the shapes differ, `valid` is not bool or marks no
    pixel, the truth is not finite where it is marked, or the prediction is infinite there.
    """
    answered = _answered(prediction_px, truth_px, valid)
    return np.abs(prediction_px[answered].astype(np.float64) - truth_px[answered])


def coverage(prediction_px: np.ndarray, truth_px: np.ndarray, valid: np.ndarray) -> float:
    """Answered pixels / pixels with truth, 0 to 1 (Middlebury's 'invalid' is 1 minus this)."""
    answered = _answered(prediction_px, truth_px, valid)
    return float(np.count_nonzero(answered) / np.count_nonzero(valid))


def end_point_error_px(
    prediction_px: np.ndarray, truth_px: np.ndarray, valid: np.ndarray
) -> float:
    """Mean absolute error in px of the answered pixels; NaN where nothing is answered.

    Source: the end-point error of Mayer et al., 'A Large Dataset to Train Convolutional Networks
    for Disparity, Optical Flow, and Scene Flow Estimation', CVPR 2016, which for disparity is the
    absolute difference.
    """
    return _mean(absolute_error_px(prediction_px, truth_px, valid))


def median_error_px(prediction_px: np.ndarray, truth_px: np.ndarray, valid: np.ndarray) -> float:
    """Median absolute error in px of the answered pixels; NaN where nothing is answered."""
    error = absolute_error_px(prediction_px, truth_px, valid)
    return float(np.median(error)) if error.size else float('nan')


def bad_share(
    prediction_px: np.ndarray, truth_px: np.ndarray, valid: np.ndarray, *, threshold_px: float
) -> float:
    """Bad-n: the share of answered pixels off by more than `threshold_px`, 0 to 1, NaN if none.

    Source: the percentage of bad matching pixels of Scharstein and Szeliski, 'A Taxonomy and
    Evaluation of Dense Two-Frame Stereo Correspondence Algorithms', IJCV 2002. An error of exactly
    the threshold is not bad.
    """
    return _mean(absolute_error_px(prediction_px, truth_px, valid) > threshold_px)


def d1_share(prediction_px: np.ndarray, truth_px: np.ndarray, valid: np.ndarray) -> float:
    """D1: the share of answered pixels off by more than 3 px and by more than 5 % of the truth.

    Source: Menze and Geiger, 'Object Scene Flow for Autonomous Vehicles', CVPR 2015. The KITTI
    server fills unanswered pixels in before it counts; here they are left out, see `coverage`.
    """
    answered = _answered(prediction_px, truth_px, valid)
    error = absolute_error_px(prediction_px, truth_px, valid)
    return _mean((error > D1_PIXELS) & (error > D1_SHARE * np.abs(truth_px[answered])))


def _answered(prediction_px: np.ndarray, truth_px: np.ndarray, valid: np.ndarray) -> np.ndarray:
    if not prediction_px.shape == truth_px.shape == valid.shape:
        raise UsageError(
            f'the prediction has shape {prediction_px.shape}, the truth {truth_px.shape} and its '
            f'mask {valid.shape}; all three must be equal'
        )
    if valid.dtype != np.bool_:
        raise UsageError(f'the mask of the truth is {valid.dtype}; expected bool (truth > 0)')
    if not valid.any():
        raise UsageError('no pixel has truth, so there is nothing to score; check the mask')
    if not np.isfinite(truth_px[valid]).all():
        raise UsageError('the truth holds NaN or infinity at pixels marked valid; mark them False')
    answered = valid & ~np.isnan(prediction_px)
    if np.isinf(prediction_px[answered]).any():
        raise UsageError('the prediction holds infinity; give NaN where there is no answer')
    return answered


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float('nan')
