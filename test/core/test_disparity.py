from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdesis_ros.core.disparity import MatchDomain, depth_from_disparity, disparity_from_depth
from msdesis_ros.core.rig import StereoGeometry

GEOMETRY = StereoGeometry((8, 2), 1000.0, 1000.0, 3.5, 0.5, 0.005)
NAN = np.nan


def plane(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


def test_depth_is_focal_times_baseline_over_disparity():
    depth = depth_from_disparity(plane(50, 100, 1), GEOMETRY)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, plane(0.1, 0.05, 5.0), rtol=1e-6)


def test_no_disparity_no_depth():
    depth = depth_from_disparity(plane(0, -3, NAN), GEOMETRY)
    assert np.isnan(depth).all()


def test_depth_is_withheld_outside_of_valid():
    depth = depth_from_disparity(plane(50, 50), GEOMETRY, valid=np.array([[True, False]]))
    np.testing.assert_array_equal(np.isnan(depth), [[False, True]])


@given(st.floats(0.01, 500.0))
def test_disparity_and_depth_are_inverse(disparity):
    there = depth_from_disparity(plane(disparity), GEOMETRY)
    np.testing.assert_allclose(disparity_from_depth(there, GEOMETRY), disparity, rtol=1e-5)


def test_disparity_of_impossible_depths_is_nan():
    assert np.isnan(disparity_from_depth(plane(0, -1, NAN, np.inf), GEOMETRY)).all()


def test_a_match_left_of_the_right_picture_is_not_valid():
    domain = MatchDomain(image_size=(4, 1))
    np.testing.assert_array_equal(
        domain.valid(plane(0.5, 1.0, 2.5, 2.9)), [[False, True, False, True]]
    )


def test_zero_negative_and_missing_disparities_are_not_valid():
    domain = MatchDomain(image_size=(4, 1))
    assert not domain.valid(plane(0, -1, NAN, -0.001)).any()


def test_pixels_without_a_source_are_not_valid():
    left = np.array([[True, False, True, True]])
    right = np.array([[False, True, True, True]])
    domain = MatchDomain(image_size=(4, 1), left_valid=left, right_valid=right)
    # column 1 has no source; column 2 - 2 = 0 is a partner without one; column 3 - 1 = 2 is good
    np.testing.assert_array_equal(
        domain.valid(plane(0.5, 0.5, 2, 1)), [[False, False, False, True]]
    )


def test_a_row_without_any_right_source_has_no_match():
    right = np.array([[False] * 4, [True] * 4])
    domain = MatchDomain(image_size=(4, 2), right_valid=right)
    valid = domain.valid(np.full((2, 4), 1.0, np.float32))
    np.testing.assert_array_equal(valid, [[False] * 4, [False, True, True, True]])


@pytest.mark.parametrize('seed', range(5))
def test_the_interval_rule_equals_a_look_up_of_the_partner(seed):
    rng = np.random.default_rng(seed)
    disparity = rng.uniform(-2, 40, (20, 60)).astype(np.float32)
    columns = np.arange(60)
    first, last = rng.integers(0, 25, 20), rng.integers(30, 60, 20)
    right = (columns >= first[:, None]) & (columns <= last[:, None])
    domain = MatchDomain(image_size=(60, 20), right_valid=right)
    expected = np.zeros_like(right)
    for y in range(20):
        for x in range(60):
            partner = x - disparity[y, x]
            expected[y, x] = disparity[y, x] > 0 and first[y] <= partner <= last[y]
    np.testing.assert_array_equal(domain.valid(disparity), expected)
