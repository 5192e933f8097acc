"""Both views of layers: the inverse of the disparity, and what is hidden, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.data.synth.layered.composition import SOLID, compose, inverse, occlusion
from msdesis_ros.data.synth.layered.layer import Layer, Shape
from msdesis_ros.data.synth.layered.source import LayeredScene, build_scene
from msdesis_ros.data.synth.layered.surfaces import (
    STEEPEST_FALL,
    STEEPEST_RISE,
    Relief,
    smooth_disparity,
)


def exact_disparity_at(shape: Shape, row: int, x_right: float) -> float:
    """The disparity with which a layer is at a place of the right view; NaN where it is not."""
    x, y, width, height = shape.box
    if not y <= row < y + height:
        return np.nan
    disparity = shape.disparity_px[row - y].astype(np.float64)
    columns = np.arange(width)
    forward = columns + x - disparity
    if not forward[0] <= x_right <= forward[-1]:
        return np.nan
    at = np.interp(x_right, forward, columns)
    opacity = np.interp(at, columns, shape.opacity[row - y])
    return float(at + x - x_right) if opacity >= SOLID else np.nan


def brute_force_occlusion(scene: LayeredScene) -> np.ndarray:
    owner, disparity = scene.left.owner, scene.left.disparity_px
    hidden = np.zeros(owner.shape, bool)
    for row in range(owner.shape[0]):
        for column in range(owner.shape[1]):
            x_right = float(np.float32(column) - disparity[row, column])
            if x_right < 0:
                hidden[row, column] = True
                continue
            hidden[row, column] = any(
                exact_disparity_at(layer.shape, row, x_right) > disparity[row, column] + 1e-4
                for number, layer in enumerate(scene.layers)
                if number != owner[row, column]
            )
    return hidden


@pytest.mark.parametrize('index', range(3))
def test_occlusion_agrees_with_asking_every_layer_at_every_pixel(index: int) -> None:
    scene = build_scene((2, index), (96, 72), clean=True)
    fast = occlusion([layer.shape for layer in scene.layers], scene.left, scene.right)
    slow = brute_force_occlusion(scene)
    assert 0.02 < slow.mean() < 0.9
    # The fast way takes the right picture's word where it shows the layer on both sides: what is
    # thinner than its pixels hides nothing.
    assert (fast != slow).mean() < 0.003
    assert not (fast & ~slow).any()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    slope=st.floats(-0.6, 0.35),
    amplitude=st.floats(0, 12),
    height=st.integers(2, 60),
)
def test_the_inverse_finds_the_left_place_of_a_right_one_to_a_hundredth_of_a_pixel(
    seed: int, slope: float, amplitude: float, height: int
) -> None:
    box = (0, 0, 200, height)
    disparity = smooth_disparity(
        np.random.default_rng(seed),
        box,
        Relief(slope_x=slope, slope_y=0.1, amplitude_px=amplitude, feature_px=60),
        mean_px=50.0,
        limits_px=(1.0, 128.0),
        opacity=np.ones((height, 200), np.float32),
    )
    x_right = np.arange(-40, 150, dtype=np.float32)
    x_left = inverse(disparity, x_right)
    for row in range(height):
        forward = np.arange(200) - disparity[row].astype(np.float64)
        expected = np.interp(x_right, forward, np.arange(200.0), left=np.nan, right=np.nan)
        inside = np.isfinite(expected)
        assert np.abs(x_left[row] - expected)[inside].max(initial=0) <= 0.01
        assert not ((x_left[row] >= 0.05) & (x_left[row] <= 198.95))[~inside].any()


@pytest.mark.parametrize('index', range(3))
def test_the_inverse_is_exact_for_the_surfaces_of_scenes(index: int) -> None:
    for layer in build_scene((3, index), (320, 256), clean=True).layers:
        shape = layer.shape
        x_right = np.arange(320, dtype=np.float32) - shape.box[0]
        x_left = inverse(shape.disparity_px, x_right)
        columns = np.arange(shape.box[2], dtype=np.float64)
        for row in range(shape.box[3]):
            forward = columns - shape.disparity_px[row]
            expected = np.interp(x_right, forward, columns, left=np.nan, right=np.nan)
            errors = np.abs(x_left[row] - expected)
            # Outside of the border the layer is not seen.
            errors = errors[np.interp(expected, columns, shape.opacity[row]) > 0]
            assert np.nanmax(errors, initial=0) <= 0.01


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    slope_x=st.floats(-3, 3),
    slope_y=st.floats(-3, 3),
    amplitude=st.floats(0, 80),
    dome=st.floats(0, 100),
)
def test_no_surface_is_too_steep_or_out_of_range(
    seed: int, slope_x: float, slope_y: float, amplitude: float, dome: float
) -> None:
    disparity = smooth_disparity(
        np.random.default_rng(seed),
        (10, 20, 150, 90),
        Relief(slope_x, slope_y, amplitude, 40.0, dome),
        mean_px=60.0,
        limits_px=(0.25, 128.0),
        opacity=np.ones((90, 150), np.float32),
    )
    assert disparity.shape == (90, 150)
    assert disparity.min() >= 0.25
    assert disparity.max() <= 128.0
    slope = np.diff(disparity, axis=1)
    # Cubic interpolation is up to half as steep again as the grid that it goes through.
    assert slope.max() <= 1.5 * STEEPEST_RISE
    assert slope.min() >= -1.5 * STEEPEST_FALL


def flat_layer(disparity_px: float, level: float, box: tuple[int, int, int, int]) -> Layer:
    size = (box[3], box[2])
    colour = np.full((*size, 3), level, np.float32)
    shape = Shape(box, np.ones(size, np.float32), np.full(size, disparity_px, np.float32))
    return Layer(shape, colour, colour)


def test_a_near_square_moves_by_its_disparity_and_hides_the_difference() -> None:
    layers = [flat_layer(4.0, 0.2, (0, 0, 80, 20)), flat_layer(10.0, 0.8, (30, 5, 12, 8))]
    left, right = compose(layers, (64, 20))
    assert np.array_equal(np.nonzero(left.owner[6] == 1)[0], np.arange(30, 42))
    assert np.array_equal(np.nonzero(right.owner[6] == 1)[0], np.arange(20, 32))
    hidden = occlusion([layer.shape for layer in layers], left, right)
    # Ground at x shows at x - 4; the square covers 20..31 there, and itself 30..41 on the left.
    assert np.array_equal(np.nonzero(hidden[6])[0], [0, 1, 2, 3, *range(24, 30)])
    assert np.array_equal(np.nonzero(hidden[0])[0], [0, 1, 2, 3])


def test_the_nearest_layer_wins_in_both_views_whatever_the_order_of_painting() -> None:
    ground, near = flat_layer(4.0, 0.2, (0, 0, 80, 20)), flat_layer(10.0, 0.8, (30, 5, 12, 8))
    middle = flat_layer(7.0, 0.5, (25, 0, 20, 20))
    first = compose([ground, middle, near], (64, 20))
    second = compose([ground, near, middle], (64, 20))
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.disparity_px, other.disparity_px)
        assert np.allclose(one.colour, other.colour)
