from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.data.synth.noise import cells, spectral_noise


def seam_step(field: np.ndarray, axis: int) -> tuple[float, float]:
    """The mean step across the tile's edge, and within the tile."""
    rolled = np.abs(field - np.roll(field, 1, axis))
    edge = np.take(rolled, 0, axis)
    return float(edge.mean()), float(rolled.mean())


@pytest.mark.parametrize('axis', [0, 1])
def test_noise_goes_on_across_the_edges_of_its_tile(axis):
    noise = spectral_noise(np.random.default_rng(1), 128, exponent=1.5)
    edge, inside = seam_step(noise, axis)
    assert edge < 1.5 * inside
    cut = noise[:100, :100]
    edge, inside = seam_step(cut, axis)
    assert edge > 1.5 * inside  # the same measure sees a cut tile


def test_noise_covers_a_share_as_large_as_its_threshold():
    noise = spectral_noise(np.random.default_rng(2), 256, exponent=0.7, low=4)
    for share in (0.2, 0.5, 0.8):
        assert np.mean(noise < share) == pytest.approx(share, abs=0.03)
    assert noise.dtype == np.float32


def test_noise_has_no_frequencies_outside_of_its_band():
    noise = spectral_noise(np.random.default_rng(3), 128, low=10, high=20)
    logit = np.log(noise.astype(float) / (1 - noise))
    power = np.abs(np.fft.fft2(logit)) ** 2
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(128) * 128,) * 2))
    outside = power[(frequency < 9) | (frequency > 21)].sum()
    assert outside < 1e-3 * power.sum()


def test_stretched_noise_is_coarser_along_that_axis():
    noise = spectral_noise(np.random.default_rng(4), 256, exponent=0.5, low=4, stretch=(8.0, 1.0))
    along_x, along_y = (np.abs(np.diff(noise, axis=axis)).mean() for axis in (1, 0))
    assert along_y > 3 * along_x


def test_cells_know_their_nearest_points_around_the_edges_too():
    side, count = 60, 25
    nearest, second, owner = cells(np.random.default_rng(5), side, count)
    jitter = np.random.default_rng(5).uniform(0.05, 0.95, (5, 5, 2))
    points = [(c + jitter[r, c, 0], r + jitter[r, c, 1]) for r in range(5) for c in range(5)]
    for y, x in [(0, 0), (3, 59), (30, 31), (59, 59)]:
        at = np.array([x, y]) * 5 / side
        away = np.abs(np.array(points) - at)
        distances = np.hypot(*np.minimum(away, 5 - away).T)
        assert nearest[y, x] == pytest.approx(distances.min(), abs=1e-5)
        assert second[y, x] == pytest.approx(np.sort(distances)[1], abs=1e-5)
        assert owner[y, x] == distances.argmin()
