"""A frame scored by region, and frames joined: what counts, what is left out, what is exact."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.evaluation.frame_score import FrameAnswer, FrameTruth, Score, score_frame
from msdesis_ros.evaluation.uncertainty_sums import uncertainty_sums

SHAPE = (40, 60)


def frame(seed: int = 1) -> FrameTruth:
    """A textured wall at 20 px with a tool at 30 px before it; 4 columns without truth."""
    rng = np.random.default_rng(seed)
    truth = np.full(SHAPE, 20.0, np.float32)
    tool = np.zeros(SHAPE, bool)
    tool[10:30, 20:40] = True
    truth[tool] = 30.0
    truth[:, -4:] = np.nan
    hidden = np.zeros(SHAPE, bool)
    hidden[:, :6] = True
    geometry = StereoGeometry(
        image_size=(60, 40),
        focal_px=500.0,
        focal_y_px=500.0,
        cx_px=30.0,
        cy_px=20.0,
        baseline_m=0.004,
    )
    left = rng.integers(60, 160, (*SHAPE, 3)).astype(np.uint8)
    return FrameTruth(left, truth, tool, hidden, geometry)


def answer(truth: FrameTruth, error_px: float | np.ndarray, **changed) -> FrameAnswer:
    """The truth plus an error at every pixel, valid everywhere; 25 px where there is no truth."""
    numbers = np.where(np.isfinite(truth.disparity_px), truth.disparity_px, 25.0) + error_px
    return replace(FrameAnswer(np.ones(SHAPE, bool), numbers.astype(np.float32)), **changed)


def test_a_constant_error_is_the_epe_of_every_region() -> None:
    truth = frame()
    measures = score_frame(truth, answer(truth, 1.5)).measures
    assert set(measures) == {
        *('all', 'visible', 'occluded', 'edges', 'specular', 'texture_poor', 'tool', 'tissue')
    }
    for region in ('all', 'visible', 'occluded', 'edges', 'tool', 'tissue'):
        assert measures[region]['epe_px'] == measures[region]['dense_epe_px'] == 1.5, region
        assert (measures[region]['bad_1'], measures[region]['bad_3']) == (1.0, 0.0)
    assert measures['specular']['truth_pixels'] == 0 and measures['specular']['epe_px'] is None
    # f B = 2000 px mm: at 30 px 2000 / 30 - 2000 / 31.5 = 3.175 mm.
    assert measures['tool']['depth_mae_mm'] == pytest.approx(2000 / 30 - 2000 / 31.5)


def test_the_regions_hold_what_goes_wrong_in_them() -> None:
    truth = frame()
    error = np.where(truth.occluded, 8.0, np.where(truth.instrument_mask, 2.0, 0.0))
    measures = score_frame(truth, answer(truth, error)).measures
    assert measures['occluded']['epe_px'] == 8.0
    assert measures['tool']['epe_px'] == 2.0
    assert measures['visible']['epe_px'] == pytest.approx(2 * 400 / (40 * 50))
    assert measures['tissue']['epe_px'] == pytest.approx(8 * 240 / (40 * 56 - 400))


def test_what_the_product_does_not_trust_counts_in_the_dense_figures_only() -> None:
    truth = frame()
    error = np.where(truth.occluded, 8.0, 0.0)
    found = score_frame(truth, answer(truth, error, valid=~truth.occluded)).measures['all']
    assert found['coverage'] == pytest.approx(50 / 56)
    assert (found['epe_px'], found['bad_3']) == (0.0, 0.0)
    assert found['dense_coverage'] == 1.0
    assert found['dense_epe_px'] == pytest.approx(8 * 6 / 56)
    assert found['dense_bad_3'] == pytest.approx(6 / 56)


def test_a_pixel_without_a_number_is_no_error_of_zero() -> None:
    truth = frame()
    given = answer(truth, 1.0)
    given.disparity_px[:, :6] = np.nan
    found = score_frame(truth, given).measures['all']
    assert found['coverage'] == found['dense_coverage'] == pytest.approx(50 / 56)
    assert found['epe_px'] == 1.0 and found['dense_epe_px'] is None
    assert found['dense_bad_3'] == pytest.approx(6 / 56)


def test_a_model_without_a_head_has_no_figure_for_it() -> None:
    truth = frame()
    plain = score_frame(truth, answer(truth, 1.0)).measures['all']
    assert not {'ause', 'calibration_error', 'mask_iou', 'mask_painted'} & set(plain)
    masks_only = FrameAnswer(np.zeros(SHAPE, bool), instrument_mask=truth.instrument_mask)
    found = score_frame(truth, masks_only)
    assert not found.regions and set(found.measures) == {'all'}
    assert found.measures['all']['mask_iou'] == 1.0
    unknown = replace(truth, instrument_mask=None)
    assert score_frame(unknown, masks_only).measures == {}


def test_uncertainty_is_judged_where_a_number_is_not_trusted_too() -> None:
    truth = frame()
    rng = np.random.default_rng(4)
    scale = np.exp(rng.uniform(-1, 1, SHAPE))
    error = rng.laplace(0, scale)
    unsure = (math.sqrt(2) * scale).astype(np.float32)
    given = answer(truth, error, valid=~truth.occluded, uncertainty_px=unsure)
    known = np.isfinite(truth.disparity_px)
    error_px = np.abs(given.disparity_px.astype(float) - truth.disparity_px)
    expected = uncertainty_sums(error_px[known], unsure[known]).measures
    found = score_frame(truth, given).measures['all']
    assert expected['calibration_error'] < 0.03
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_frames_join_by_pixels_whatever_regions_they_have() -> None:
    truth = frame()
    unlabelled = replace(frame(2), instrument_mask=None, occluded=None)
    first, second = score_frame(truth, answer(truth, 1.0)), None
    given = answer(unlabelled, 4.0)
    given.disparity_px[20:] = np.nan  # half of it
    second = score_frame(unlabelled, given)
    joined = (Score() + first + second).measures
    assert joined['all']['epe_px'] == pytest.approx((2 * 1.0 + 1 * 4.0) / 3)
    assert joined['tool'] == first.measures['tool']
    assert joined['all']['dense_epe_px'] is None


def test_planes_of_other_sizes_and_infinite_numbers_are_refused() -> None:
    truth = frame()
    small = np.ones((39, 60), bool)
    with pytest.raises(UsageError, match='60x39 px and the truth 60x40'):
        score_frame(truth, FrameAnswer(small, np.ones((39, 60), np.float32)))
    with pytest.raises(UsageError, match=r'uncertainty_px of shape \(39, 60\)'):
        answer(truth, 0.0, uncertainty_px=np.ones((39, 60), np.float32))
    with pytest.raises(UsageError, match=r'instrument_mask of shape \(39, 60\)'):
        replace(truth, instrument_mask=small)
    with pytest.raises(UsageError, match='infinite disparity'):
        answer(truth, np.inf)
    with pytest.raises(UsageError, match='infinite disparity'):
        replace(truth, disparity_px=np.full(SHAPE, np.inf))
