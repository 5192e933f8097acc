"""Disparity measures against sums done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.evaluation.disparity_metrics import (
    absolute_error_px,
    bad_share,
    coverage,
    d1_share,
    end_point_error_px,
    median_error_px,
    score_disparity,
)

NAN = np.nan
# Errors of the answered pixels: 0.5, 2, 3, 4, 4 px; one unanswered, one without truth.
TRUTH = np.array([[10.0, 20.0, 30.0, 40.0], [100.0, 50.0, 0.0, 0.0]], dtype=np.float32)
PREDICTION = np.array([[10.5, 18.0, 33.0, 44.0], [96.0, NAN, 7.0, NAN]], dtype=np.float32)
VALID = TRUTH > 0


def test_coverage_counts_answers_among_the_pixels_with_truth() -> None:
    assert coverage(PREDICTION, TRUTH, VALID) == pytest.approx(5 / 6)


def test_the_end_point_error_is_the_mean_of_answered_pixels() -> None:
    assert end_point_error_px(PREDICTION, TRUTH, VALID) == pytest.approx(13.5 / 5)


def test_the_median_error_is_that_of_answered_pixels() -> None:
    assert median_error_px(PREDICTION, TRUTH, VALID) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ('threshold_px', 'share'), [(0.25, 1.0), (1.0, 4 / 5), (2.0, 3 / 5), (3.0, 2 / 5), (4.0, 0.0)]
)
def test_bad_n_counts_errors_above_and_not_at_the_threshold(
    threshold_px: float, share: float
) -> None:
    found = bad_share(PREDICTION, TRUTH, VALID, threshold_px=threshold_px)
    assert found == pytest.approx(share)


def test_d1_forgives_errors_within_five_percent_of_the_truth() -> None:
    # 4 of 40 px is 10 % and counts; 4 of 100 px is 4 % and does not; 3 of 30 px is not above 3 px.
    assert d1_share(PREDICTION, TRUTH, VALID) == pytest.approx(1 / 5)


def test_the_score_holds_every_measure() -> None:
    score = score_disparity(PREDICTION, TRUTH, VALID)
    assert (score.truth_pixels, score.answered_pixels) == (6, 5)
    assert score.coverage == coverage(PREDICTION, TRUTH, VALID)
    assert score.epe_px == end_point_error_px(PREDICTION, TRUTH, VALID)
    assert score.median_px == median_error_px(PREDICTION, TRUTH, VALID)
    assert (score.bad_1, score.bad_2, score.bad_3) == pytest.approx((4 / 5, 3 / 5, 2 / 5))
    assert score.d1 == d1_share(PREDICTION, TRUTH, VALID)


def test_a_perfect_prediction_has_no_error() -> None:
    score = score_disparity(TRUTH, TRUTH, VALID)
    assert (score.coverage, score.epe_px, score.bad_1, score.d1) == (1.0, 0.0, 0.0, 0.0)


def test_without_answers_coverage_is_zero_and_errors_are_unknown() -> None:
    score = score_disparity(np.full_like(TRUTH, NAN), TRUTH, VALID)
    assert (score.coverage, score.answered_pixels) == (0.0, 0)
    unknown = (score.epe_px, score.median_px, score.bad_1, score.bad_2, score.bad_3, score.d1)
    assert all(math.isnan(value) for value in unknown)


def test_what_lies_at_pixels_without_truth_changes_nothing() -> None:
    changed = np.where(VALID, PREDICTION, 1e6).astype(np.float32)
    truth = np.where(VALID, TRUTH, NAN).astype(np.float32)
    assert score_disparity(changed, truth, VALID) == score_disparity(PREDICTION, TRUTH, VALID)


def test_large_disparities_keep_their_small_errors() -> None:
    truth = np.full((1, 1), 16000.0)
    prediction = np.full((1, 1), 16000.001)
    found = absolute_error_px(prediction, truth, np.ones((1, 1), dtype=bool))
    assert found == pytest.approx([0.001], rel=1e-6)


@pytest.mark.parametrize(
    ('prediction', 'truth', 'valid', 'message'),
    [
        (PREDICTION[:1], TRUTH, VALID, 'all three must be equal'),
        (PREDICTION, TRUTH, VALID[:, :2], 'all three must be equal'),
        (PREDICTION, TRUTH, VALID.astype(np.uint8), 'expected bool'),
        (PREDICTION, TRUTH, np.zeros_like(VALID), 'no pixel has truth'),
        (PREDICTION, np.full_like(TRUTH, NAN), VALID, 'the truth holds NaN'),
        (np.full_like(TRUTH, np.inf), TRUTH, VALID, 'the prediction holds infinity'),
    ],
)
def test_what_cannot_be_scored_is_refused(
    prediction: np.ndarray, truth: np.ndarray, valid: np.ndarray, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        score_disparity(prediction, truth, valid)
