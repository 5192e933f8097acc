from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from msdesis_ros.core.errors import ImageError, UsageError
from msdesis_ros.data.synth.effects.apply import PicturePair, apply_effects
from msdesis_ros.data.synth.effects.exposure import ExposureSettings
from msdesis_ros.data.synth.effects.field_of_view import FieldOfViewSettings
from msdesis_ros.data.synth.effects.lens_dirt import Drop, LensDirtSettings
from msdesis_ros.data.synth.effects.sensor import SensorSettings
from msdesis_ros.data.synth.effects.settings import (
    CLEAN,
    STRENGTHS,
    EffectSettings,
    at_time,
    sample_effects,
)
from msdesis_ros.data.synth.effects.smoke import SmokeSettings
from msdesis_ros.data.synth.noise import spectral_noise
from msdesis_ros.data.synth.rigs import EndoscopeRig


def light(width: int = 96, height: int = 80, seed: int = 0) -> np.ndarray:
    """Linear radiance of a textured red scene, H x W x 3 float32, dim."""
    noise = spectral_noise(np.random.default_rng(seed), 128)[:height, :width]
    return (0.02 + 0.05 * noise[..., None] * np.array([1.0, 0.5, 0.4])).astype(np.float32)


def effects(
    settings: EffectSettings,
    *,
    left: np.ndarray | None = None,
    right: np.ndarray | None = None,
    depth_mm: np.ndarray | None = None,
    seed: int = 0,
) -> PicturePair:
    left = light() if left is None else left
    right = left if right is None else right
    height, width = left.shape[:2]
    if depth_mm is None:
        depth_mm = np.full((height, width), 80.0, np.float32)
    rig = EndoscopeRig((width, height), 0.8 * width, width / 2, height / 2, 4.3)
    return apply_effects(
        left,
        right,
        left_depth_mm=depth_mm,
        right_depth_mm=depth_mm,
        geometry=rig.geometry,
        settings=settings,
        rng=np.random.default_rng(seed),
    )


def srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_clean_is_exposure_and_tone_curve_alone() -> None:
    radiance = light()
    pair = effects(CLEAN)
    gains = np.geomspace(0.2, 50, 4000)
    # Below the knee the picture must be sRGB of the light times one number.
    first = pair.left[40, 40, 0] / 255
    gain = gains[np.argmin(np.abs(srgb(gains * radiance[40, 40, 0]) - first))]
    expected = srgb(gain * radiance)
    below = expected < 0.85
    assert below.mean() > 0.9
    assert np.abs(pair.left / 255 - expected)[below].max() < 1.5 / 255 + 0.004
    np.testing.assert_array_equal(pair.left, pair.right)
    assert pair.visible_left.all()
    assert pair.visible_right.all()


def test_the_scale_of_the_radiance_does_not_matter() -> None:
    one, other = effects(CLEAN), effects(CLEAN, left=light() * np.float32(64))
    np.testing.assert_array_equal(one.left, other.left)


def test_the_lit_area_gets_the_target_luminance() -> None:
    for target in (0.1, 0.25):
        settings = replace(CLEAN, exposure=ExposureSettings(target=target, knee=1.0))
        display = effects(settings).left / 255.0
        linear = np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)
        assert (linear @ [0.2126, 0.7152, 0.0722]).mean() == pytest.approx(target, rel=0.06)


def test_what_has_no_surface_is_not_metered() -> None:
    radiance = light()
    bright = radiance.copy()
    bright[:, :30] = 3.0
    depth_mm = np.full(radiance.shape[:2], 80.0, np.float32)
    depth_mm[:, :30] = np.nan
    plain = effects(CLEAN, left=radiance, depth_mm=depth_mm)
    with_bright = effects(CLEAN, left=bright, depth_mm=depth_mm)
    np.testing.assert_array_equal(plain.left[:, 30:], with_bright.left[:, 30:])


def test_a_black_scene_stays_black() -> None:
    pair = effects(CLEAN, left=np.zeros((40, 48, 3), np.float32))
    assert not pair.left.any()


def test_both_eyes_get_the_exposure_of_the_left_one() -> None:
    dim = effects(CLEAN, right=light() * np.float32(0.5))
    assert dim.right.mean() < 0.8 * dim.left.mean()
    # Half of the light on the right changes nothing on the left.
    np.testing.assert_array_equal(dim.left, effects(CLEAN).left)


def test_a_brighter_right_eye_is_its_own_gain() -> None:
    settings = replace(CLEAN, right_sensor=SensorSettings(gain=1.3))
    pair = effects(settings)
    np.testing.assert_array_equal(pair.left, effects(CLEAN).left)
    assert pair.right.mean() > 1.08 * pair.left.mean()


def test_what_the_camera_cuts_below_black_is_black() -> None:
    radiance = light()
    radiance[:, :20] = 0.0
    settings = replace(CLEAN, left_sensor=SensorSettings(black=-0.2))
    assert effects(settings, left=radiance).left[:, :20].max() == 0


def test_the_same_generator_state_gives_the_same_bytes() -> None:
    settings = sample_effects(np.random.default_rng(4), strength='heavy')
    one, again, other = (effects(settings, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.left, again.left)
    np.testing.assert_array_equal(one.right, again.right)
    assert (one.left != other.left).any()  # the noise


def test_the_given_light_stays_unchanged() -> None:
    for seed in range(8):
        settings = sample_effects(np.random.default_rng(seed), strength='heavy')
        radiance = light()
        effects(settings, left=radiance, right=radiance.copy())
        np.testing.assert_array_equal(radiance, light())


@pytest.mark.parametrize('size', [(96, 80), (97, 83), (33, 32)])
def test_every_drawn_setting_makes_a_picture_of_any_size(size: tuple[int, int]) -> None:
    radiance = light(*size)
    depth_mm = np.linspace(15, 150, size[0], dtype=np.float32)[None].repeat(size[1], 0)
    depth_mm[:5, :5] = np.nan
    for seed in range(25):
        settings = sample_effects(np.random.default_rng(seed), strength='heavy')
        pair = effects(settings, left=radiance, depth_mm=depth_mm)
        for picture, visible in ((pair.left, pair.visible_left), (pair.right, pair.visible_right)):
            assert picture.shape == (size[1], size[0], 3)
            assert picture.dtype == np.uint8
            assert visible.shape == picture.shape[:2]
            assert visible.dtype == bool
            assert 25 < picture[visible].mean() < 230


def test_a_picture_is_visible_except_outside_of_a_round_field() -> None:
    view = FieldOfViewSettings(radius=0.7, softness=0.01, centre=(0.45, 0.5))
    pair = effects(replace(CLEAN, left_view=view))
    assert pair.visible_right.all()
    assert not pair.visible_left[0, 0]
    assert pair.visible_left[40, 43]
    y, x = np.nonzero(~pair.visible_left)
    radius_px = 0.7 * np.hypot(96, 80) / 2
    assert (np.hypot(x + 0.5 - 0.45 * 96, y + 0.5 - 40) > radius_px).all()
    assert pair.left[0, 0].max() == 0


def test_settings_are_json_and_differ_between_seeds() -> None:
    drawn = [sample_effects(np.random.default_rng(seed)) for seed in (1, 1, 2)]
    text = json.dumps(asdict(drawn[0]))
    assert json.loads(text)['smoke']['density'] == drawn[0].smoke.density
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_an_unknown_strength_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match='mild, default, heavy'):
        sample_effects(np.random.default_rng(0), strength='strong')


def test_most_default_frames_are_mild_and_few_are_heavy() -> None:
    severity = np.random.default_rng(0).beta(*STRENGTHS['default'], 20000)
    assert severity.mean() == pytest.approx(0.19, abs=0.01)
    assert (severity > 0.5).mean() == pytest.approx(0.04, abs=0.01)
    noise = {
        strength: np.mean(
            [
                sample_effects(
                    np.random.default_rng(seed), strength=strength
                ).left_sensor.shot_noise
                for seed in range(200)
            ]
        )
        for strength in STRENGTHS
    }
    assert noise['mild'] < noise['default'] < noise['heavy']


def test_effects_occur_as_often_as_stated() -> None:
    drawn = [sample_effects(np.random.default_rng(seed)) for seed in range(800)]
    for share, stated in (
        (np.mean([s.left_view.radius > 0 for s in drawn]), 0.25),
        (np.mean([s.smoke.density > 0 for s in drawn]), 0.12),
        (np.mean([s.left_dirt.smear > 0 for s in drawn]), 0.06),
        (np.mean([bool(s.right_dirt.drops) for s in drawn]), 0.05),
        (np.mean([s.interlace.shift_x_px != 0 for s in drawn]), 0.03),
        (np.mean([s.codec.jpeg_quality > 0 for s in drawn]), 0.30),
    ):
        assert share == pytest.approx(stated, abs=0.025)
    tilt = np.array([s.right_sensor.tilt_shift_px for s in drawn])
    assert tilt.std() == pytest.approx(0.25, abs=0.03)
    assert np.abs(tilt).max() <= 1.0
    assert all(s.left_sensor.tilt_shift_px == 0 for s in drawn)


def test_in_a_sequence_smoke_drifts_and_dirt_stays() -> None:
    dirt = LensDirtSettings(smear=1.0, drops=(Drop(0.5, 0.5, 0.1),))
    settings = replace(CLEAN, smoke=SmokeSettings(density=1.0), left_dirt=dirt)
    start, later = (at_time(settings, time, rng=np.random.default_rng(0)) for time in (0.0, 2.0))
    assert later.left_dirt == start.left_dirt == dirt
    assert start.smoke.drift == settings.smoke.drift
    assert np.hypot(*np.subtract(later.smoke.drift, start.smoke.drift)) == pytest.approx(0.3)
    assert (effects(start).left != effects(later).left).any()
    assert at_time(CLEAN, 5.0, rng=np.random.default_rng(0)).exposure.flicker == 0


@pytest.mark.parametrize(
    ('left', 'match'),
    [
        (light().astype(np.float64), 'float64'),
        (light()[..., 0], 'H x W x 3 float32'),
        (np.full((80, 96, 3), np.nan, np.float32), 'not finite'),
    ],
)
def test_unsuitable_light_is_refused(left: np.ndarray, match: str) -> None:
    with pytest.raises(ImageError, match=match):
        effects(CLEAN, left=left, right=light(), depth_mm=np.ones((80, 96), np.float32))


def test_views_of_different_size_are_refused() -> None:
    with pytest.raises(ImageError, match='differ in shape'):
        effects(CLEAN, right=light(64, 64))
    with pytest.raises(ImageError, match='depth'):
        effects(CLEAN, depth_mm=np.ones((10, 10), np.float32))
