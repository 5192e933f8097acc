"""Points as a view sees them, compared with the formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from msdesis_ros.core.projection import View, depth_map, project

K = np.array([[50.0, 0, 31.0], [0, 52.0, 23.0], [0, 0, 1]])
SIZE = (64, 48)
PLAIN = View(SIZE, K, np.eye(3))
BARREL = np.array([-0.4, 0.0, 0.0, 0.0, 0.0])
metres = st.floats(-40, 40, allow_nan=False)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(metres, metres, st.floats(1, 90)), min_size=1, max_size=30))
def test_of_the_points_on_one_pixel_the_nearest_is_kept(points):
    cloud = np.array(points)
    expected = {}
    for x, y, z in points:
        column = int(np.floor(50.0 * x / z + 31.0 + 0.5))
        row = int(np.floor(52.0 * y / z + 23.0 + 0.5))
        if 0 <= column < 64 and 0 <= row < 48:
            expected[row, column] = min(z, expected.get((row, column), np.inf))
    for order in (cloud, cloud[::-1]):
        found = depth_map(order, PLAIN)
        assert found.dtype == np.float32 and found.shape == (48, 64)
        known = {tuple(cell) for cell in np.argwhere(np.isfinite(found)).tolist()}
        assert known == set(expected)
        for cell, z in expected.items():
            assert found[cell] == np.float32(z)


def test_a_point_goes_to_the_pixel_whose_centre_is_nearest():
    for offset, column in ((-0.49, 10), (0.49, 10), (0.51, 11)):
        x = (10 + offset - 31.0) / 50.0 * 20
        found = depth_map(np.array([[x, 0, 20.0]]), PLAIN)
        assert found[23, column] == 20 and np.isfinite(found).sum() == 1


@settings(max_examples=40, deadline=None)
@given(st.floats(-0.5, 0.5), st.floats(-0.4, 0.4), st.floats(5, 200))
@example(0.0, 5e-324, 5.0)
def test_a_lens_bends_the_rays_as_browns_model_says(x, y, z):
    k1, k2, p1, p2, k3 = d = (-0.09, 0.02, 0.0012, -0.0008, 0.004)
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    pixels, depth = project(np.array([[x * z, y * z, z]]), View(SIZE, K, np.eye(3), np.array(d)))
    assert pixels[0] == pytest.approx([50 * u + 31, 52 * v + 23], abs=1e-9)
    assert depth[0] == z


def test_many_points_are_projected_like_few(monkeypatch):
    cloud = np.random.default_rng(0).uniform([-9, -9, 20], [9, 9, 40], (50, 3))
    view = View(SIZE, K, np.eye(3), BARREL)
    whole, _ = project(cloud, view)
    monkeypatch.setattr('msdesis_ros.core.projection._CHUNK_POINTS', 7)
    assert np.array_equal(project(cloud, view)[0], whole)


def test_a_rotation_turns_the_points_into_the_view():
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    pixels, _ = project(np.array([[2.0, 0, 10]]), View(SIZE, K, quarter))
    assert pixels[0] == pytest.approx([31, 23 + 52 * 0.2])


def test_a_point_far_aside_does_not_fall_into_the_picture_again():
    # 1 - 0.4 r^2 turns back at r = 0.913: at r = 1.5 the lens formula says 0.15, in the middle.
    view = View(SIZE, K, np.eye(3), BARREL)
    aside = np.array([[15.0, 0, 10]])
    assert abs(1.5 * (1 - 0.4 * 1.5**2) - 0.15) < 1e-9
    assert np.isnan(project(aside, view)[0]).all()
    assert not np.isfinite(depth_map(aside, view)).any()
    inside = np.array([[9.0, 0, 10], [15.0, 0, 10]])
    assert np.isfinite(project(inside, view)[0]).all(axis=1).tolist() == [True, False]


@pytest.mark.parametrize('view', [PLAIN, View(SIZE, K, np.eye(3), BARREL)])
def test_what_is_behind_the_camera_or_unknown_is_not_seen(view):
    cloud = np.array([[0, 0, -5.0], [0, 0, 0], [np.nan] * 3, [0, np.inf, 4], [0, 0, 7]])
    found = depth_map(cloud, view)
    assert found[23, 31] == 7 and np.isfinite(found).sum() == 1
    assert not np.isfinite(depth_map(np.empty((0, 3)), view)).any()
