from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.data.synth.effects.codec import CodecSettings, coded
from msdesis_ros.data.synth.effects.exposure import (
    ExposureSettings,
    developed,
    exposure_gain,
    lit,
    tone_curve,
)
from msdesis_ros.data.synth.effects.pixels import normal_noise
from msdesis_ros.data.synth.effects.sensor import (
    SensorSettings,
    noisy,
    recoloured,
    sharpened,
    take_picture,
    tilted,
)
from msdesis_ros.data.synth.noise import spectral_noise

SHAPE = (160, 192)


def grey(level: float = 0.2) -> np.ndarray:
    return np.full((*SHAPE, 3), level, np.float32)


def scene() -> np.ndarray:
    """Smooth light with texture, H x W x 3 float32, 0..1."""
    channels = [
        spectral_noise(np.random.default_rng(c), 192, exponent=1.2)[: SHAPE[0]] for c in range(3)
    ]
    return np.stack(channels, axis=-1).astype(np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_at_zero_strength_the_picture_itself_is_returned() -> None:
    picture, none = scene(), SensorSettings(grain_px=0.5, pattern_seed=3, sharpen_px=2.0)
    assert tilted(picture, none) is picture
    assert noisy(picture, none, rng()) is picture
    assert recoloured(picture, none) is picture
    assert sharpened(picture, none) is picture
    bytes_ = (picture * 255).astype(np.uint8)
    assert coded(bytes_, CodecSettings()) is bytes_


def test_an_ideal_sensor_is_the_tone_curve() -> None:
    picture = scene()
    display = take_picture(picture, SensorSettings(), knee=0.9, rng=rng())
    np.testing.assert_array_equal(display, developed(picture, knee=0.9))


def test_the_table_of_the_tone_curve_is_exact_to_a_tenth_of_a_level() -> None:
    light = np.linspace(0, 1.5, 30000, dtype=np.float32).reshape(100, 100, 3)
    for knee, gamma in ((0.7, 1.0), (1.0, 1.15)):
        error = developed(light, knee=knee, gamma=gamma) - tone_curve(
            light, knee=knee, gamma=gamma
        )
        assert np.abs(error).max() < 0.15 / 255


def test_the_tone_curve_is_srgb_below_the_knee_and_saturates_above() -> None:
    assert tone_curve(np.array([0.0, 0.001, 0.2, 0.5]), knee=0.8) == pytest.approx(
        [0, 0.01292, 0.484529, 0.735357], abs=1e-5
    )
    bright = tone_curve(np.linspace(0, 20, 2000), knee=0.8)
    assert (np.diff(bright) >= 0).all()
    assert 0.999 < bright[-1] <= 1.0
    assert tone_curve(np.array([1.0, 3.0]), knee=1.0) == pytest.approx([1.0, 1.0], abs=1e-4)


def test_negative_light_and_very_bright_light_have_a_place() -> None:
    light = np.array([[[-1.0, 100.0, 4.0]]], np.float32)
    np.testing.assert_allclose(developed(light, knee=0.8), [[[0.0, 1.0, 1.0]]], atol=1e-5)


def test_flicker_and_bands_change_the_light_by_their_size() -> None:
    np.testing.assert_allclose(lit(grey(), 2.0, ExposureSettings(flicker=-0.1)), 0.36, rtol=1e-5)
    banded = lit(grey(), 1.0, ExposureSettings(bands=0.1, band_rows=2.0))
    assert banded.dtype == np.float32
    assert banded.max() == pytest.approx(0.22, abs=1e-3)
    assert banded.min() == pytest.approx(0.18, abs=1e-3)
    assert np.ptp(banded[7]) == 0
    np.testing.assert_array_equal(lit(grey(), 1.0, ExposureSettings()), grey())


def test_highlights_do_not_darken_the_exposure() -> None:
    visible, depth_mm = np.ones(SHAPE, bool), np.full(SHAPE, 50.0)
    plain, shiny = grey(), grey()
    shiny[20:40, 20:40] = 80.0  # 1.3 % of the picture
    gains = [exposure_gain(picture, visible, depth_mm, 0.2) for picture in (plain, shiny)]
    assert gains[0] == pytest.approx(1.0, rel=1e-3)
    assert gains[1] == pytest.approx(1.0, rel=0.05)


def test_noise_grows_with_the_root_of_the_light() -> None:
    settings = SensorSettings(shot_noise=0.04, read_noise=0.01)
    for level in (0.0, 0.2, 0.8):
        noise = noisy(grey(level), settings, rng()) - level
        assert noise.dtype == np.float32
        assert noise.std() == pytest.approx(np.sqrt(0.04**2 * level + 0.01**2), rel=0.03)
        assert abs(noise.mean()) < 5e-4


@pytest.mark.parametrize(
    # The correlation of neighbours is that of the sampled Gaussian kernel with itself.
    ('grain_px', 'correlation'),
    [(0.05, 0.0), (0.4, 0.088), (0.8, 0.677), (1.5, 0.895)],
)
def test_grain_keeps_the_strength_of_the_noise(grain_px: float, correlation: float) -> None:
    settings = SensorSettings(read_noise=0.05, grain_px=grain_px)
    noise = noisy(grey(), settings, rng()) - 0.2
    assert noise.std() == pytest.approx(0.05, rel=0.06)
    neighbours = float((noise[:, 1:] * noise[:, :-1]).mean() / noise.var())
    assert neighbours == pytest.approx(correlation, abs=0.03)


def test_normal_noise_is_normal() -> None:
    values = normal_noise(rng(), (400, 500))
    assert values.dtype == np.float32
    assert values.mean() == pytest.approx(0, abs=0.01)
    assert values.std() == pytest.approx(1, abs=0.01)
    assert (np.abs(values) < 1).mean() == pytest.approx(0.6827, abs=0.005)
    assert (np.abs(values) > 3).mean() == pytest.approx(0.0027, abs=0.001)


def test_row_noise_moves_whole_rows() -> None:
    noise = noisy(grey(), SensorSettings(row_noise=0.02), rng()) - 0.2
    assert np.ptp(noise, axis=1).max() < 1e-6
    assert noise[:, 0, 0].std() == pytest.approx(0.02, rel=0.3)


def test_the_fixed_pattern_belongs_to_the_sensor_and_not_to_the_frame() -> None:
    settings = SensorSettings(fixed_pattern=0.02, pattern_seed=1)
    one, next_frame = noisy(grey(), settings, rng(0)), noisy(grey(), settings, rng(1))
    np.testing.assert_array_equal(one, next_frame)
    assert (one / 0.2).std() == pytest.approx(0.02, rel=0.1)
    other = noisy(grey(), SensorSettings(fixed_pattern=0.02, pattern_seed=2), rng(0))
    assert (one != other).any()


def test_gain_white_balance_and_saturation_do_what_they_say() -> None:
    warm = recoloured(grey(), SensorSettings(gain=1.5, red_gain=1.2, blue_gain=0.8))
    np.testing.assert_allclose(warm[0, 0], [0.36, 0.3, 0.24], rtol=1e-5)
    washed_out = recoloured(scene(), SensorSettings(saturation=0.0))
    np.testing.assert_allclose(washed_out[..., 0], washed_out[..., 2], atol=1e-6)
    luma = scene() @ np.array([0.2126, 0.7152, 0.0722])
    np.testing.assert_allclose(washed_out[..., 1], luma, atol=1e-6)


def test_gamma_and_black_act_on_display_values() -> None:
    display = take_picture(grey(), SensorSettings(), knee=1.0, rng=rng())[0, 0, 0]
    darker = take_picture(grey(), SensorSettings(gamma=1.2), knee=1.0, rng=rng())[0, 0, 0]
    assert darker == pytest.approx(display**1.2, abs=1e-3)
    lifted = take_picture(grey(0.0), SensorSettings(black=0.05), knee=1.0, rng=rng())
    np.testing.assert_allclose(lifted, 0.05, atol=1e-6)


def test_sharpening_puts_halos_of_limited_height_at_edges() -> None:
    edge = grey(0.3)
    edge[:, 96:] = 0.6
    halo = sharpened(edge, SensorSettings(sharpen=1.0, sharpen_px=1.5))
    assert halo[80, 94:96].min() < 0.25
    assert halo[80, 96:98].max() > 0.65
    np.testing.assert_allclose(halo[:, :80], edge[:, :80], atol=1e-5)
    strong = edge.copy()
    strong[:, 96:] = 5.0
    assert (sharpened(strong, SensorSettings(sharpen=2.0)) - strong).min() > -0.13


@pytest.mark.parametrize('shift_px', [-0.6, 0.3, 1.0])
def test_a_tilt_moves_rows_and_no_column(shift_px: float) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    rows = np.repeat((y / 200)[..., None], 3, axis=-1)
    moved = tilted(rows, SensorSettings(tilt_shift_px=shift_px, tilt_deg=0.2))
    slope = np.tan(np.deg2rad(0.2))
    expected = y - shift_px - slope * (x - (SHAPE[1] - 1) / 2)
    # Moved down, each place shows what was above it. OpenCV's cubic kernel is good to 0.05 px.
    inner = (slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(moved[inner][..., 0] * 200, expected[inner], atol=0.06)
    columns = np.repeat((x / 200)[..., None], 3, axis=-1)
    np.testing.assert_allclose(
        tilted(columns, SensorSettings(tilt_shift_px=shift_px, tilt_deg=0.2)), columns, atol=1e-4
    )


def test_lower_quality_costs_more_of_the_picture() -> None:
    picture = (scene() * 255).astype(np.uint8)
    errors = [
        np.abs(coded(picture, CodecSettings(jpeg_quality=quality)).astype(int) - picture).mean()
        for quality in (98, 70, 30)
    ]
    assert 0 < errors[0] < errors[1] < errors[2] < 30


def test_colours_survive_the_codec() -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[...] = (200, 60, 30)
    for settings in (CodecSettings(jpeg_quality=90), CodecSettings(video_quality=60)):
        assert np.abs(coded(red, settings).astype(int) - red).max() <= 4


def test_video_has_weaker_block_borders_than_a_jpeg() -> None:
    picture = (scene() * 255).astype(np.uint8)

    def block_edges(result: np.ndarray) -> float:
        step = np.abs(np.diff(result.astype(int), axis=1)).mean(axis=(0, 2))
        return float(step[7::8].mean() / step[3::8].mean())

    jpeg = coded(picture, CodecSettings(jpeg_quality=12))
    video = coded(picture, CodecSettings(video_quality=12))
    assert block_edges(jpeg) > 1.3
    assert block_edges(video) < 0.8 * block_edges(jpeg)
