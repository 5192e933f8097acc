"""Tileable random fields: what textures, smoke and deformations are made of."""

from __future__ import annotations

import numpy as np


def spectral_noise(
    rng: np.random.Generator,
    side: int,
    *,
    exponent: float = 1.0,
    low: float = 1.0,
    high: float | None = None,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """Noise whose amplitude falls as 1 / frequency ** exponent, side x side float32, in 0..1.

    Frequencies are in periods a tile; those outside of `low`..`high` are left out. `stretch`
    (x, y) makes it coarser along an axis. It is continuous across the tile's edges. Its values
    are spread evenly (by rank), so that a threshold at q covers the share q.
    """
    fy = np.fft.fftfreq(side)[:, None] * side * stretch[1]
    fx = np.fft.rfftfreq(side)[None, :] * side * stretch[0]
    frequency = np.hypot(fx, fy)
    high = side / 2 if high is None else high
    with np.errstate(divide='ignore'):
        amplitude = np.where(frequency > 0, frequency**-exponent, 0.0)
    amplitude = amplitude * ((frequency >= low) & (frequency <= high))
    phase = rng.uniform(0, 2 * np.pi, amplitude.shape)
    field = np.fft.irfft2(amplitude * np.exp(1j * phase), s=(side, side))
    return to_even(field)


def to_even(field: np.ndarray) -> np.ndarray:
    """Map values to 0..1 by a normal distribution's ranks, float32; cheap and smooth."""
    deviation = float(field.std())
    if deviation == 0:
        return np.full(field.shape, 0.5, np.float32)
    z = (field - field.mean()) / deviation
    # The logistic curve is within 0.01 of the normal distribution's.
    return (1.0 / (1.0 + np.exp(-1.702 * z))).astype(np.float32)


def cells(
    rng: np.random.Generator, side: int, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances to the nearest and second nearest of `count` random points, on a torus.

    Returns:
        nearest, second: side x side float32, as a share of the mean spacing; and the number of
        the nearest point, side x side int32.
    """
    grid = max(1, round(np.sqrt(count)))
    spacing = side / grid
    jitter = rng.uniform(0.05, 0.95, (grid, grid, 2))
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / np.float32(spacing)
    column, row = x.astype(np.int32), y.astype(np.int32)
    nearest = np.full((side, side), np.inf, np.float32)
    second, owner = nearest.copy(), np.zeros((side, side), np.int32)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            r, c = row + down, column + across
            point = jitter[r % grid, c % grid].astype(np.float32)
            away = np.hypot(c + point[..., 0] - x, r + point[..., 1] - y)
            closer = away < nearest
            second = np.where(closer, nearest, np.minimum(second, away))
            owner = np.where(closer, (r % grid) * grid + c % grid, owner)
            nearest = np.where(closer, away, nearest)
    return nearest, second, owner
