from __future__ import annotations

from dataclasses import asdict

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import ImageError
from msdesis_ros.evaluation.picture_statistics import picture_statistics


def flat(colour: tuple[int, int, int], size: tuple[int, int] = (640, 480)) -> np.ndarray:
    return np.full((size[1], size[0], 3), colour, np.uint8)


def test_a_red_picture_is_red_saturated_and_without_edges():
    found = picture_statistics(flat((180, 30, 30)))
    assert found.redness > 50 and found.yellowness > 20
    assert found.saturation == pytest.approx(150 / 180, abs=0.01)
    assert found.gradient_p99 == pytest.approx(0, abs=1e-4)
    assert found.luminance_p10 == found.luminance_p90
    assert found.lit_share == 1.0


def test_a_ramp_has_the_gradient_it_was_made_with():
    lab = np.zeros((480, 640, 3), np.float32)
    # Up and down between 20 and 80, half a unit a pixel.
    lab[..., 0] = 20 + 0.5 * np.abs((np.arange(640) + 120) % 240 - 120)
    rgb = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255
    found = picture_statistics(np.round(rgb).astype(np.uint8))
    assert found.gradient_median == pytest.approx(0.5, abs=0.06)


def test_highlights_are_counted_and_measured():
    picture = flat((120, 40, 40))
    for x in (100, 300, 500):
        cv2.circle(picture, (x, 200), 5, (255, 250, 250), -1)
    found = picture_statistics(picture)
    inner = 634 * 474
    assert found.highlight_count == pytest.approx(3 / inner * 1e5, rel=0.05)
    assert found.highlight_area == pytest.approx(np.pi * 25, rel=0.15)
    assert found.highlight_share == pytest.approx(3 * found.highlight_area / inner, rel=0.05)


def test_the_black_around_a_round_field_of_view_does_not_count():
    picture = flat((0, 0, 0))
    cv2.circle(picture, (320, 240), 220, (150, 60, 60), -1)
    found, whole = picture_statistics(picture), picture_statistics(flat((150, 60, 60)))
    assert found.lit_share == pytest.approx(np.pi * 220**2 / (640 * 480), rel=0.02)
    assert found.luminance_median == pytest.approx(whole.luminance_median, abs=0.1)
    assert found.gradient_p99 == pytest.approx(0, abs=1e-3)
    assert found.dark_share == 0


def test_a_dark_place_inside_the_tissue_does_count():
    picture = flat((150, 60, 60))
    cv2.circle(picture, (320, 240), 100, (0, 0, 0), -1)
    found = picture_statistics(picture)
    assert found.lit_share == 1.0
    assert found.dark_share == pytest.approx(np.pi * 100**2 / (634 * 474), rel=0.05)


def test_grain_shows_in_the_fine_gradient():
    rng = np.random.default_rng(1)
    noisy = np.clip(flat((120, 60, 60)) + rng.normal(0, 8, (480, 640, 3)), 0, 255)
    smooth = cv2.GaussianBlur(noisy, (0, 0), 3)
    one, other = (picture_statistics(p.astype(np.uint8)) for p in (noisy, smooth))
    assert one.fine_gradient > 4 * other.fine_gradient


def test_a_larger_picture_has_about_the_same_statistics():
    rng = np.random.default_rng(2)
    small = cv2.resize(
        rng.uniform(30, 220, (24, 32, 3)), (640, 480), interpolation=cv2.INTER_CUBIC
    )
    small = np.clip(small, 0, 255).astype(np.uint8)
    large = cv2.resize(small, (1280, 960), interpolation=cv2.INTER_LINEAR)
    one, other = asdict(picture_statistics(small)), asdict(picture_statistics(large))
    for name in ('luminance_median', 'redness', 'yellowness', 'gradient_median', 'gradient_p90'):
        assert one[name] == pytest.approx(other[name], rel=0.1, abs=0.1), name


def test_a_black_picture_has_none():
    with pytest.raises(ImageError, match='nothing of the picture is lit'):
        picture_statistics(flat((0, 0, 0)))
