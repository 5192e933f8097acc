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
    get the rest alike. saturation: highest change of the distance from grey, as a logarithm; hue:
    highest turn of the colours, degrees; blur: highest standard deviation, px; shade: highest
    darkening of patches of the picture, as a logarithm; these four are the same for both views,
    and half of all pairs stay sharp, half without shade. Raises UsageError for values that cannot
    be.
    """

    gain: float = 0.0
    gamma: float = 0.0
    colour: float = 0.0
    offset: float = 0.0
    noise: float = 0.0
    view_share: float = 0.4
    saturation: float = 0.0
    hue: float = 0.0
    blur: float = 0.0
    shade: float = 0.0

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
    'saturation': 3.0,
    'hue': 180.0,
    'blur': 8.0,
    'shade': 4.0,
}
# Cells of the grid that a shade is drawn on, across and down.
SHADE_CELLS = (3, 8)
# How much of the range of its values a shade takes from full light to full dark: from a border to
# a slope.
SHADE_SLOPES = (0.05, 0.8)


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
    if settings.saturation or settings.hue or settings.blur:
        draw = rng.uniform(-1, 1, 3)
        colours = _colour_matrix(settings.saturation * draw[0], settings.hue * draw[1])
        views = [_blurred(cv2.transform(v, colours), settings.blur * draw[2]) for v in views]
    # Drawn last and only where asked for, so that other settings keep their pictures.
    if settings.shade and rng.random() < 0.5:
        light = _light(views[0].shape[:2], rng.uniform(0, settings.shade), rng)
        views = [np.rint(view * light[..., None]).astype(np.uint8) for view in views]
    return views[0], views[1]


def _light(shape: tuple[int, int], depth: float, rng: np.random.Generator) -> np.ndarray:
    """H x W float32, exp(-depth) to 1: patches like dark organs and shadows."""
    cells = rng.integers(*SHADE_CELLS, 2, endpoint=True)
    heights = cv2.resize(
        rng.random(cells, dtype=np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    middle, slope = rng.uniform(0.3, 0.7), rng.uniform(*SHADE_SLOPES)
    share = np.clip((heights - middle) / slope + 0.5, 0, 1)
    return np.exp(-depth * share)


def _colour_matrix(log_saturation: float, hue_deg: float) -> np.ndarray:
    """3 x 3: turn RGB about the axis of greys, and stretch it away from that axis."""
    grey = np.full((3, 3), 1 / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    turn = np.radians(hue_deg)
    across = np.cos(turn) * (np.eye(3) - grey) + np.sin(turn) * cross
    return grey + np.exp(log_saturation) * across


def _blurred(view: np.ndarray, deviation_px: float) -> np.ndarray:
    """Half of all draws are below 0, and leave the picture sharp."""
    if deviation_px < 0.3:
        return view
    return cv2.GaussianBlur(view, (0, 0), deviation_px)


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
