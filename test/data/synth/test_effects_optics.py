from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.data.synth.effects.field_of_view import (
    FieldOfViewSettings,
    limit_field_of_view,
    visible_area,
)
from msdesis_ros.data.synth.effects.lens import (
    OpticsSettings,
    bloom,
    defocus,
    defocus_px,
    shift_colours,
)
from msdesis_ros.data.synth.effects.motion import (
    InterlaceSettings,
    MotionBlurSettings,
    blur_motion,
    interlace,
)

SHAPE = (96, 128)


def dot(y: int = 48, x: int = 64, value: float = 1.0) -> np.ndarray:
    picture = np.zeros((*SHAPE, 3), np.float32)
    picture[y, x] = value
    return picture


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((*SHAPE, 3), dtype=np.float32)


def centroid(channel: np.ndarray) -> tuple[float, float]:
    y, x = np.mgrid[: channel.shape[0], : channel.shape[1]]
    return float((channel * x).sum() / channel.sum()), float((channel * y).sum() / channel.sum())


def test_at_zero_strength_the_picture_itself_is_returned() -> None:
    picture = noise()
    depth_mm = np.full(SHAPE, 30.0, np.float32)
    optics = OpticsSettings(focus_mm=100.0, bloom_width=0.05)
    assert defocus(picture, depth_mm, focal_px=100.0, settings=optics) is picture
    assert bloom(picture, optics) is picture
    assert shift_colours(picture, optics) is picture
    assert limit_field_of_view(picture, FieldOfViewSettings(softness=0.1)) is picture
    assert blur_motion(picture, MotionBlurSettings(angle_deg=30.0)) is picture
    assert interlace(picture, InterlaceSettings()) is picture


def test_each_effect_keeps_float32_and_leaves_its_input_alone() -> None:
    picture, depth_mm = noise(), np.linspace(20, 200, SHAPE[1], dtype=np.float32)
    depth_mm = np.broadcast_to(depth_mm, SHAPE)
    optics = OpticsSettings(0.01, -0.01, aperture_mm=2.0, bloom=0.1)
    for result in (
        defocus(picture, depth_mm, focal_px=100.0, settings=optics),
        bloom(picture, optics),
        shift_colours(picture, optics),
        limit_field_of_view(picture, FieldOfViewSettings(vignette=0.5, radius=0.7)),
        blur_motion(picture, MotionBlurSettings(length=0.05)),
        interlace(picture, InterlaceSettings(2.0)),
    ):
        assert result.dtype == np.float32
        assert result.shape == picture.shape
        assert np.abs(result - picture).max() > 0.01
        np.testing.assert_array_equal(picture, noise())


def test_the_vignette_takes_the_stated_light_at_the_corner() -> None:
    white = np.ones((*SHAPE, 3), np.float32)
    dark = limit_field_of_view(white, FieldOfViewSettings(vignette=0.4))
    assert dark[0, 0, 1] == pytest.approx(0.6, abs=0.01)
    assert dark[48, 64, 1] == pytest.approx(1.0, abs=0.001)


def test_a_round_field_has_a_soft_border_where_visibility_ends() -> None:
    white = np.ones((*SHAPE, 3), np.float32)
    view = FieldOfViewSettings(radius=0.6, softness=0.1)
    limited, visible = limit_field_of_view(white, view), visible_area(SHAPE, view)
    border = np.abs(limited[..., 0] - 0.5) < 0.3
    assert border.sum() > 50
    np.testing.assert_array_equal(limited[..., 0] > 0.5, visible)
    assert limited[0, 0].max() == 0


def test_without_a_round_field_everything_is_visible() -> None:
    assert visible_area(SHAPE, FieldOfViewSettings(vignette=0.9)).all()


def test_a_large_round_field_darkens_the_corners_only() -> None:
    visible = visible_area(SHAPE, FieldOfViewSettings(radius=0.9))
    assert not visible[0, 0]
    assert not visible[-1, -1]
    assert visible[0, 64]
    assert visible[48, 0]


def test_colours_move_along_the_radius_and_green_stays() -> None:
    picture = dot(48, 113)
    shifted = shift_colours(picture, OpticsSettings(red_scale=0.02, blue_scale=-0.02))
    np.testing.assert_array_equal(shifted[..., 1], picture[..., 1])
    away = 113 - 63.5
    assert centroid(shifted[..., 0])[0] == pytest.approx(63.5 + away * 1.02, abs=0.1)
    assert centroid(shifted[..., 2])[0] == pytest.approx(63.5 + away * 0.98, abs=0.1)


@given(depth_mm=st.floats(15, 300), focus_mm=st.floats(30, 150), aperture_mm=st.floats(0.05, 0.5))
@settings(max_examples=30, deadline=None)
def test_defocus_follows_the_thin_lens(
    depth_mm: float, focus_mm: float, aperture_mm: float
) -> None:
    optics = OpticsSettings(aperture_mm=aperture_mm, focus_mm=focus_mm)
    diameter = aperture_mm * 500 * abs(1 / depth_mm - 1 / focus_mm)
    sigma = defocus_px(np.array([[depth_mm, np.nan]], np.float32), 500.0, optics)
    assert sigma[0, 0] == pytest.approx(diameter / 4, abs=1e-4)
    assert sigma[0, 1] == pytest.approx(aperture_mm * 500 / focus_mm / 4, abs=1e-4)


def test_what_lies_at_the_focus_stays_sharp_and_the_rest_does_not() -> None:
    picture = noise()
    depth_mm = np.full(SHAPE, 80.0, np.float32)
    depth_mm[:, 64:] = 25.0
    optics = OpticsSettings(aperture_mm=2.0, focus_mm=80.0)
    blurred = defocus(picture, depth_mm, focal_px=150.0, settings=optics)
    np.testing.assert_allclose(blurred[:, :48], picture[:, :48], atol=0.02)
    assert blurred[:, 80:].std() < 0.5 * picture[:, 80:].std()


def test_defocus_of_one_depth_is_a_blur_of_its_size_that_moves_nothing() -> None:
    optics = OpticsSettings(aperture_mm=4.0, focus_mm=80.0)
    depth_mm = np.full(SHAPE, 25.0, np.float32)
    sigma = float(defocus_px(depth_mm, 100.0, optics)[0, 0])
    blurred = defocus(dot(), depth_mm, focal_px=100.0, settings=optics)[..., 0]
    x, y = centroid(blurred)
    assert (x, y) == pytest.approx((64, 48), abs=0.02)
    spread = (blurred * (np.arange(128) - x) ** 2).sum() / blurred.sum()
    assert np.sqrt(spread) == pytest.approx(sigma, rel=0.1)


def test_bloom_spreads_the_stated_share_around() -> None:
    glowing = bloom(dot(value=100.0), OpticsSettings(bloom=0.1, bloom_width=0.03))
    assert glowing[48, 64, 0] == pytest.approx(90, abs=2)
    assert glowing[48, 70, 0] > 0.005
    assert glowing.sum() == pytest.approx(300, rel=0.02)


@given(length=st.floats(0.002, 0.15), angle_deg=st.floats(0, 180))
@settings(max_examples=40, deadline=None)
def test_motion_blur_spreads_along_its_direction_and_moves_nothing(
    length: float, angle_deg: float
) -> None:
    blurred = blur_motion(dot(), MotionBlurSettings(length, angle_deg))[..., 0]
    assert blurred.sum() == pytest.approx(1.0, abs=1e-4)
    assert centroid(blurred) == pytest.approx((64, 48), abs=1e-3)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    angle = np.deg2rad(angle_deg)
    along = (x - 64) * np.cos(angle) + (y - 48) * np.sin(angle)
    across = (x - 64) * np.sin(angle) - (y - 48) * np.cos(angle)
    extent = (blurred * along**2).sum() - (blurred * across**2).sum()
    # A line of length L has the variance L^2 / 12; interpolation adds up to 1 / 4.
    assert extent == pytest.approx((length * 128) ** 2 / 12, abs=0.27 + 0.15 * extent)


def test_interlacing_moves_the_odd_rows_only() -> None:
    picture = noise()
    late = interlace(picture, InterlaceSettings(shift_x_px=3.0))
    np.testing.assert_array_equal(late[::2], picture[::2])
    np.testing.assert_allclose(late[1::2, 3:], picture[1::2, :-3], atol=1e-5)
