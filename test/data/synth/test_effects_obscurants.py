from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.data.synth.effects.lens_dirt import (
    Drop,
    LensDirtSettings,
    dirty_lens,
    sample_lens_dirt,
)
from msdesis_ros.data.synth.effects.smoke import SmokeSettings, add_smoke

SHAPE = (128, 256)
# 20 mm * px of focal length times baseline: a sheet at 40 mm has 24 px of disparity.
GEOMETRY = StereoGeometry((256, 128), 240.0, 240.0, 127.5, 63.5, 0.004)
ONE_SHEET = SmokeSettings(density=1.0, distances=(0.5,), seed=5)


def grey(level: float = 0.2) -> np.ndarray:
    return np.full((*SHAPE, 3), level, np.float32)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((*SHAPE, 3), dtype=np.float32)


def smoky(
    settings: SmokeSettings, picture: np.ndarray, depth_mm: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    depth_mm = np.full(SHAPE, 80.0, np.float32) if depth_mm is None else depth_mm
    return add_smoke(
        picture,
        picture,
        left_depth_mm=depth_mm,
        right_depth_mm=depth_mm,
        geometry=GEOMETRY,
        settings=settings,
    )


def test_at_zero_strength_the_picture_itself_is_returned() -> None:
    picture = noise()
    left, right = smoky(replace(ONE_SHEET, density=0.0), picture)
    assert left is picture
    assert right is picture
    assert dirty_lens(picture, LensDirtSettings(cover=0.9, scatter=1.0)) is picture


def test_smoke_has_the_parallax_of_its_own_distance() -> None:
    # Without own light the smoke is a shadow mask, whose pattern can be compared between views.
    left, right = smoky(replace(ONE_SHEET, brightness=0.0), grey())
    assert left.std() > 0.01
    shift = 24  # 240 px * 4 mm / (0.5 * 80 mm)
    difference = {
        d: np.abs(left[:, d:] - right[:, : 256 - d]).mean() for d in (0, 12, shift, 36, 48)
    }
    assert min(difference, key=difference.get) == shift
    assert difference[shift] < 1e-4


def test_smoke_absorbs_by_its_mean_density_and_shines_by_its_brightness() -> None:
    even = replace(ONE_SHEET, contrast=0.0, brightness=0.0)
    left, _ = smoky(even, grey())
    np.testing.assert_allclose(left, 0.2 * np.exp(-1.0), rtol=1e-4)
    bright, _ = smoky(replace(even, brightness=2.0), grey())
    assert (bright > left).all()


def test_smoke_greys_colours_out() -> None:
    red = noise() * np.float32(0.01) + np.array([0.3, 0.05, 0.05], np.float32)
    left, _ = smoky(replace(ONE_SHEET, density=3.0, contrast=0.0), red)
    assert left[..., 1].mean() / left[..., 0].mean() > 0.6


def test_what_is_nearer_than_the_smoke_stays_clear() -> None:
    depth_mm = np.full(SHAPE, 80.0, np.float32)
    depth_mm[:, :60] = 20.0
    depth_mm[:, 200:] = np.nan
    picture = noise()
    left, right = smoky(replace(ONE_SHEET, contrast=0.0), picture, depth_mm)
    for result in (left, right):
        np.testing.assert_allclose(result[:, :60], picture[:, :60], atol=1e-6)
        assert np.abs(result[:, 60:200] - picture[:, 60:200]).mean() > 0.05
        # Where there is no surface, the view goes on behind the smoke.
        assert np.abs(result[:, 200:] - picture[:, 200:]).mean() > 0.05


def test_smoke_before_nothing_at_all_is_left_out() -> None:
    picture = noise()
    left, _ = smoky(ONE_SHEET, picture, np.full(SHAPE, np.nan, np.float32))
    np.testing.assert_array_equal(left, picture)


def test_smoke_differs_by_seed_and_drifts_on() -> None:
    base, _ = smoky(ONE_SHEET, grey())
    np.testing.assert_array_equal(base, smoky(ONE_SHEET, grey())[0])
    assert np.abs(base - smoky(replace(ONE_SHEET, seed=6), grey())[0]).max() > 0.01
    dark = replace(ONE_SHEET, brightness=0.0)
    still, _ = smoky(dark, grey())
    moved, _ = smoky(replace(dark, drift=(32 / 256, 0.0)), grey())
    np.testing.assert_allclose(still[:, 32:], moved[:, :-32], atol=1e-4)


@pytest.mark.parametrize(
    'dirt',
    [
        LensDirtSettings(smear=1.0),
        LensDirtSettings(fog=0.5),
        LensDirtSettings(drops=(Drop(0.5, 0.5, 0.1),)),
    ],
)
def test_dirt_changes_the_picture_keeps_float32_and_leaves_its_input_alone(
    dirt: LensDirtSettings,
) -> None:
    picture = noise()
    dirty = dirty_lens(picture, dirt)
    assert dirty.dtype == np.float32
    assert dirty.shape == picture.shape
    assert np.abs(dirty - picture).max() > 0.1
    assert dirty.min() >= 0
    np.testing.assert_array_equal(picture, noise())
    np.testing.assert_array_equal(dirty, dirty_lens(picture, dirt))


def test_blood_lets_red_through_and_covers_about_its_share() -> None:
    dirt = LensDirtSettings(smear=2.0, cover=0.3, scatter=0.0)
    dirty = dirty_lens(grey(), dirt)
    covered = dirty[..., 1] < 0.15
    assert 0.1 < covered.mean() < 0.5
    assert dirty[covered][:, 0].mean() > 2 * dirty[covered][:, 1].mean()
    assert np.abs(dirty[~covered] - 0.2).mean() < 0.02


def test_smears_have_no_sharp_edge() -> None:
    dirty = dirty_lens(grey(), LensDirtSettings(smear=2.0, scatter=0.0))[..., 1]
    contrast = dirty.max() - dirty.min()
    assert np.abs(np.diff(dirty, axis=1)).max() < 0.12 * contrast


def test_a_drop_changes_its_own_place_only() -> None:
    picture = noise()
    wet = dirty_lens(picture, LensDirtSettings(drops=(Drop(0.25, 0.5, 0.08),)))
    changed = np.abs(wet - picture).max(axis=-1) > 1e-6
    y, x = np.nonzero(changed)
    assert np.hypot(x - 64, y - 64).max() < 1.2 * 0.08 * 256
    assert changed[64, 64]


def test_a_drop_magnifies_what_lies_behind() -> None:
    # A smooth ramp shows in its slope where the light comes from.
    ramp = np.broadcast_to(
        np.arange(256, dtype=np.float32)[None, :, None] / 256, (*SHAPE, 3)
    ).copy()
    wet = dirty_lens(
        ramp, LensDirtSettings(drops=(Drop(0.5, 0.5, 0.2, bend=0.5, blur=0.002, dark=0.0),))
    )
    slope = (wet[64, 132, 0] - wet[64, 124, 0]) / (ramp[64, 132, 0] - ramp[64, 124, 0])
    assert slope == pytest.approx(0.5, abs=0.05)


def test_a_drop_outside_of_the_picture_does_nothing() -> None:
    picture = noise()
    dirt = LensDirtSettings(drops=(Drop(3.0, 0.5, 0.1), Drop(0.5, -2.0, 0.1)))
    np.testing.assert_array_equal(dirty_lens(picture, dirt), picture)


def test_fog_lifts_shadows_and_lowers_contrast() -> None:
    picture = noise()
    picture[:, :128] *= np.float32(0.1)
    foggy = dirty_lens(picture, LensDirtSettings(fog=0.5))
    assert foggy[:, :100].mean() > picture[:, :100].mean()
    assert foggy.std() < 0.8 * picture.std()


def test_each_eye_has_its_own_dirt() -> None:
    for seed in range(20):
        left, right = sample_lens_dirt(np.random.default_rng(seed), 0.5)
        assert left.seed != right.seed
        assert left.cover != right.cover
