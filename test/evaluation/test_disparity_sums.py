"""Sums of disparity errors against figures done by hand, and against the measures of one frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.evaluation.disparity_metrics import score_disparity
from msdesis_ros.evaluation.disparity_sums import DisparitySums, disparity_sums, ratio

NAN = np.nan
# Errors: 0.5, 2, 3, 4, 4 px; one pixel unanswered, one without truth.
TRUTH = np.array([[10.0, 20.0, 30.0, 40.0], [100.0, 50.0, NAN, NAN]], dtype=np.float32)
PREDICTION = np.array([[10.5, 18.0, 33.0, 44.0], [96.0, NAN, 7.0, NAN]], dtype=np.float32)
KNOWN = np.isfinite(TRUTH)
# f * B = 1000 px * mm
GEOMETRY = StereoGeometry(
    image_size=(4, 2), focal_px=200.0, focal_y_px=200.0, cx_px=2.0, cy_px=1.0, baseline_m=0.005
)


def test_errors_are_those_of_the_answered_pixels_and_coverage_says_how_many_these_are() -> None:
    measures = disparity_sums(PREDICTION, TRUTH, KNOWN).answered_measures
    assert measures == {
        'coverage': pytest.approx(5 / 6),
        'epe_px': pytest.approx(13.5 / 5),
        'bad_1': pytest.approx(4 / 5),
        'bad_3': pytest.approx(2 / 5),
        'd1': pytest.approx(1 / 5),
        'depth_mae_mm': None,
    }


def test_over_all_pixels_a_missing_number_is_bad_and_leaves_the_mean_open() -> None:
    measures = disparity_sums(PREDICTION, TRUTH, KNOWN).dense_measures
    assert measures == {
        'dense_coverage': pytest.approx(5 / 6),
        'dense_epe_px': None,
        'dense_bad_1': pytest.approx(5 / 6),
        'dense_bad_3': pytest.approx(3 / 6),
        'dense_d1': pytest.approx(2 / 6),
    }
    filled = np.where(np.isnan(PREDICTION), 56.0, PREDICTION)
    found = disparity_sums(filled, TRUTH, KNOWN).dense_measures
    assert found['dense_epe_px'] == pytest.approx(19.5 / 6)


def test_depth_errors_are_in_millimetres_of_pixels_that_have_both_depths() -> None:
    truth = np.array([[10.0, 20.0, 50.0, 25.0]])
    prediction = np.array([[8.0, 25.0, NAN, 0.0]])
    sums = disparity_sums(prediction, truth, np.ones((1, 4), bool), geometry=GEOMETRY)
    # 1000 / 8 - 1000 / 10 = 25 mm and 1000 / 20 - 1000 / 25 = 10 mm; one unanswered, one at 0.
    assert (sums.depth_pixels, sums.answered_pixels) == (2, 3)
    assert sums.answered_measures['depth_mae_mm'] == pytest.approx(17.5)


def test_only_the_pixels_asked_for_count() -> None:
    where = np.zeros_like(KNOWN)
    where[0, :2] = True
    sums = disparity_sums(PREDICTION, TRUTH, where)
    assert (sums.truth_pixels, sums.error_px) == (2, pytest.approx(2.5))


def test_a_region_without_pixels_has_no_figures_and_they_are_not_zero() -> None:
    sums = disparity_sums(PREDICTION, TRUTH, np.zeros_like(KNOWN), geometry=GEOMETRY)
    assert sums == DisparitySums()
    assert set(sums.answered_measures.values()) == {None}
    assert set(sums.dense_measures.values()) == {None}
    assert ratio(0, 4) == 0.0


def test_frames_of_different_sizes_join_by_pixels_and_not_by_their_means() -> None:
    one = disparity_sums(np.array([[4.0]]), np.array([[1.0]]), np.ones((1, 1), bool))
    three = disparity_sums(np.full((1, 3), 2.0), np.ones((1, 3)), np.ones((1, 3), bool))
    assert (one + three).answered_measures['epe_px'] == pytest.approx((3 + 1 + 1 + 1) / 4)


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_frames_joined_are_one_frame_and_that_is_the_score_of_it(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(1, 90, (3, 41))
    prediction = truth + rng.laplace(0, 3, truth.shape)
    prediction[rng.random(truth.shape) < 0.2] = NAN
    known = rng.random(truth.shape) < 0.9
    known[0, 0] = True
    whole = disparity_sums(prediction, truth, known)
    parts = [
        disparity_sums(prediction[:, part], truth[:, part], known[:, part])
        for part in (slice(None, cut), slice(cut, None))
    ]
    joined = (parts[0] + parts[1]).answered_measures
    score = score_disparity(prediction, truth, known)
    for measures in (whole.answered_measures, joined):
        for name in ('coverage', 'epe_px', 'bad_1', 'bad_3', 'd1'):
            assert measures[name] == pytest.approx(getattr(score, name), rel=1e-12)
