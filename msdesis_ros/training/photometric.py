"""Changes of the colours, of each view by itself as two cameras differ, and of both alike."""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np

from msdesis_ros.core.errors import UsageError


@dataclass(frozen=True)
class PhotometricSettings:
    """How far colours go; the defaults change nothing.

    gain, gamma, colour: highest change of all values, of the exponent, and of each channel, as
    natural logarithms: 0.2 means factors from 0.82 to 1.22. offset, noise: levels of 255; noise is
    the highest standard deviation. view_share: how much of these each view gets of its own; both
    get the rest alike. Raises UsageError for values that cannot be.
    """

    gain: float = 0.0
    gamma: float = 0.0
    colour: float = 0.0
    offset: float = 0.0
    noise: float = 0.0
    view_share: float = 0.4

    def __post_init__(self) -> None:
        for field in fields(self):
            value, most = getattr(self, field.name), PHOTOMETRIC_LIMITS[field.name]
            if not 0 <= value <= most:
                raise UsageError(f'{field.name} is {value}; expected 0 to {most:g}')


PHOTOMETRIC_LIMITS = {
    'gain': 2.0,
    'gamma': 2.0,
    'colour': 2.0,
    'offset': 128.0,
    'noise': 128.0,
    'view_share': 1.0,
}


def jittered(
    left: np.ndarray, right: np.ndarray, settings: PhotometricSettings, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Both views, H x W x 3 uint8, with other colours."""
    # Gain, gamma, offset, and the channels: for both views, for the left one, for the right one.
    draws = rng.uniform(-1, 1, (3, 6))
    noises = rng.uniform(0, 1, 3)
    shares = (1 - settings.view_share, settings.view_share)
    views = []
    for number, view in enumerate((left, right), start=1):
        draw = shares[0] * draws[0] + shares[1] * draws[number]
        deviation = settings.noise * (shares[0] * noises[0] + shares[1] * noises[number])
        views.append(
            _noisy(cv2.LUT(np.ascontiguousarray(view), _table(draw, settings)), deviation, rng)
        )
    return views[0], views[1]


def _table(draw: np.ndarray, settings: PhotometricSettings) -> np.ndarray:
    """What each level becomes in each channel, 256 x 1 x 3 uint8."""
    gain = np.exp(draw[0] * settings.gain + draw[3:] * settings.colour)
    gamma = np.exp(draw[1] * settings.gamma)
    levels = (np.arange(256) / 255)[:, None] ** gamma * gain * 255 + draw[2] * settings.offset
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)[:, None]


def _noisy(view: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    if deviation < 0.25:  # less than rounding does
        return view
    noise = rng.standard_normal(view.shape, dtype=np.float32)
    noise *= np.float32(deviation)
    noise += view
    return np.clip(np.rint(noise, out=noise), 0, 255, out=noise).astype(np.uint8)
