"""Sparsification and calibration against curves done by hand and noise of a known scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdesis_ros.core.errors import UsageError
from msdesis_ros.evaluation.uncertainty_sums import NOMINAL_SHARES, uncertainty_sums

QUARTERS = np.array([0.0, 0.25, 0.5, 0.75])
ERRORS = np.array([1.0, 2.0, 3.0, 4.0])


def laplace_pixels(count: int, *, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Errors of Laplace noise, and the standard deviation it was drawn with, pixel by pixel."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.uniform(-2, 2, count))
    return np.abs(rng.laplace(0, scale)), math.sqrt(2) * scale


def test_the_curves_are_the_mean_errors_of_the_pixels_that_remain() -> None:
    wrong_order = uncertainty_sums(ERRORS, np.array([8.0, 7.0, 6.0, 5.0]))
    np.testing.assert_allclose(wrong_order.sparsification_px(QUARTERS), [2.5, 3, 3.5, 4])
    np.testing.assert_allclose(
        wrong_order.sparsification_px(QUARTERS, oracle=True), [2.5, 2, 1.5, 1]
    )


def test_an_uncertainty_that_sorts_like_the_error_leaves_no_area() -> None:
    measures = uncertainty_sums(ERRORS, 10 * ERRORS).measures
    assert (measures['ause_px'], measures['ause']) == (0.0, 0.0)
    # 80 % of four pixels: the errors 1, 2, 3 and a fifth of the fourth pixel.
    assert measures['epe_certain_80_px'] == pytest.approx((1 + 2 + 3 + 0.2 * 4) / 3.2)


def test_an_uncertainty_that_says_nothing_has_the_area_above_the_oracle() -> None:
    # Errors 0 and 3 px, half each, so both curves begin at 1.5 px. Without sorting it stays
    # there. The oracle keeps a share k of 3 * (k - 1/2) / k until only zeros are left at k = 1/2.
    measures = uncertainty_sums(np.repeat([0.0, 3.0], 50), np.full(100, 0.7)).measures
    below_half = 1.5 * (0.5 - 0.01)
    above_half = 1.5 * 0.5 - 3 * (0.5 - 0.5 * math.log(2))
    assert measures['ause_px'] == pytest.approx(below_half + above_half, abs=1e-3)
    assert measures['ause'] == pytest.approx((below_half + above_half) / 1.5, abs=1e-3)
    assert measures['epe_certain_80_px'] == pytest.approx(1.5)


def test_pixels_that_are_equally_uncertain_may_come_in_any_order() -> None:
    first = uncertainty_sums(ERRORS, np.array([1.0, 1.0, 2.0, 2.0])).measures
    second = uncertainty_sums(ERRORS[[1, 0, 3, 2]], np.array([1.0, 1.0, 2.0, 2.0])).measures
    assert first == second


def test_a_perfect_prediction_has_an_area_of_zero_but_no_share_of_it() -> None:
    measures = uncertainty_sums(np.zeros(9), np.linspace(0, 1, 9)).measures
    assert (measures['ause_px'], measures['ause'], measures['epe_certain_80_px']) == (0, None, 0)


def test_no_pixel_gives_no_figure() -> None:
    assert set(uncertainty_sums(np.zeros(0), np.zeros(0)).measures.values()) == {None}


def test_the_intervals_are_those_of_a_laplace_distribution() -> None:
    # With b = 1 the interval of 0.5 reaches to ln 2 = 0.693 and that of 0.9 to ln 10 = 2.303.
    sums = uncertainty_sums(np.array([0.69, 0.70, 2.30, 2.31]), np.full(4, math.sqrt(2)))
    inside = dict(zip(NOMINAL_SHARES, sums.inside.tolist(), strict=True))
    assert (inside[0.4], inside[0.5], inside[0.6], inside[0.9]) == (0, 1, 2, 3)
    apart = [0.1, 0.2, 0.3, 0.4, 0.5 - 0.25, 0.6 - 0.5, 0.7 - 0.5, 0.8 - 0.5, 0.9 - 0.75]
    assert sums.measures['calibration_error'] == pytest.approx(np.mean(apart))


def test_laplace_noise_with_its_own_scale_is_calibrated() -> None:
    sums = uncertainty_sums(*laplace_pixels(40_000))
    np.testing.assert_allclose(sums.empirical_shares, NOMINAL_SHARES, atol=0.01)
    assert sums.measures['calibration_error'] < 0.005


@pytest.mark.parametrize('factor', [0.5, 2.0])
def test_a_scale_that_is_off_by_two_is_noticed(factor: float) -> None:
    error, uncertainty = laplace_pixels(40_000)
    found = uncertainty_sums(error, factor * uncertainty).measures['calibration_error']
    # The share inside of -b ln(1 - p) with b off by a factor is 1 - (1 - p) ** factor.
    expected = np.mean([abs(1 - (1 - p) ** factor - p) for p in NOMINAL_SHARES])
    assert expected > 0.1 and found == pytest.approx(expected, abs=0.01)


@given(st.integers(0, 10_000))
def test_joined_frames_are_one_frame_and_no_order_beats_the_oracle(seed: int) -> None:
    error, uncertainty = laplace_pixels(300, seed=seed)
    whole = uncertainty_sums(error, uncertainty)
    joined = uncertainty_sums(error[:100], uncertainty[:100])
    joined = joined + uncertainty_sums(error[100:], uncertainty[100:])
    for name, value in whole.measures.items():
        assert joined.measures[name] == pytest.approx(value, rel=1e-9, abs=1e-12)
    # Within a bin, whose errors differ by less than 1/1024, the oracle does not sort.
    assert (whole.sparsification_px() >= whole.sparsification_px(oracle=True) * 0.999).all()


@given(st.integers(0, 10_000))
def test_the_bins_keep_the_order_of_what_differs_by_a_thousandth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    unsure = rng.permutation(0.01 * 1.001 ** np.arange(1000))
    error = rng.laplace(0, 1, 1000)
    kept = uncertainty_sums(np.abs(error), unsure).sparsification_px(np.array([0.2, 0.5, 0.9]))
    in_order = np.abs(error)[np.argsort(unsure)]
    np.testing.assert_allclose(kept, [in_order[:n].mean() for n in (800, 500, 100)], rtol=1e-9)


def test_uncertainties_of_every_size_stay_in_order() -> None:
    unsure = np.array([0.0, 1e-30, 1e-5, 1e-3, 1.0, 1e5, 1e30])
    errors = np.arange(7.0)
    sums = uncertainty_sums(errors, unsure)
    # Beyond 2**-20 and 2**20 px all are alike: only 0 and 1e-30 share a bin here.
    kept = sums.sparsification_px(1 - np.arange(2, 8) / 7)
    np.testing.assert_allclose(kept, [np.mean(errors[:n]) for n in range(2, 8)])


@pytest.mark.parametrize('wrong', [np.nan, np.inf, -0.1])
def test_what_is_no_uncertainty_is_refused(wrong: float) -> None:
    with pytest.raises(UsageError, match='uncertainty'):
        uncertainty_sums(np.zeros(2), np.array([1.0, wrong]))
    with pytest.raises(UsageError, match='one each'):
        uncertainty_sums(np.zeros(2), np.ones(3))
