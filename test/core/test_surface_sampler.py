from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.surface_sampler import SurfaceSampler

PLANE = np.array([[1.0, 1.5, 9.0], [1.2, 1.9, 9.5]])


def at(x: float, y: float, plane=PLANE, **options) -> float:
    height, width = plane.shape
    sampler = SurfaceSampler(np.array([[x]]), np.array([[y]]), (width, height))
    return float(sampler.sample(plane, **options)[0, 0])


def test_between_pixels_of_one_surface_the_value_is_bilinear():
    # By hand: the row above gives 1.125, the one below 1.375, and 0.5 lies in their middle.
    assert at(0.25, 0.5) == pytest.approx((0.75 * 1.0 + 0.25 * 1.5 + 0.75 * 1.2 + 0.25 * 1.9) / 2)


def test_across_an_edge_the_value_is_that_of_the_nearest_pixel():
    assert at(1.4, 0.2) == 1.5 and at(1.6, 0.2) == 9.0
    assert at(1.4, 0.2, max_step=10) == pytest.approx(4.588)


def test_beside_an_unknown_pixel_the_nearest_decides():
    plane = PLANE.copy()
    plane[1, 1] = np.nan
    assert at(0.4, 0.4, plane) == 1.0
    assert np.isnan(at(0.6, 0.6, plane))


@pytest.mark.parametrize(('x', 'y'), [(-0.6, 0), (2.5, 0), (0, -0.51), (1, 1.5), (np.nan, 0)])
def test_outside_of_the_plane_there_is_nothing(x, y):
    assert np.isnan(at(x, y))


@pytest.mark.parametrize(('x', 'y', 'value'), [(-0.5, -0.5, 1.0), (2.49, 1.49, 9.5)])
def test_a_pixel_reaches_half_a_pixel_beyond_its_centre(x, y, value):
    assert at(x, y) == value


def test_a_plane_of_one_pixel_or_one_row_is_a_plane():
    assert at(0.3, -0.3, np.array([[4.0]])) == 4.0
    assert at(0.5, 0.2, np.array([[4.0, 4.5]])) == pytest.approx(4.25)
