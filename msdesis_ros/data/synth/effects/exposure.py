"""Automatic exposure, flicker of the light, and the tone curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msdesis_ros.data.synth.effects.pixels import luminance

# Metered on every fourth pixel: the mean of a quarter of a million changes by less than 1 %.
METER_STRIDE = 4
# A pixel is lit where it has 5 % of the mean light; the rest is cavity, or outside of the field.
LIT_SHARE = 0.05
# Highlights count as the 97th percentile: they must not turn the whole picture dark.
HIGHLIGHT_PERCENTILE = 97.0
# Light beyond four times white is white under every knee; the table is fine enough for shadows.
TABLE_LIMIT, TABLE_SIZE = 4.0, 65536


@dataclass(frozen=True)
class ExposureSettings:
    """Of both eyes.

    target: mean linear luminance of the lit area, 1 = white. knee: linear level from which
    highlights are compressed, 1 = they clip hard. flicker: factor minus 1 on the light of this
    frame. bands: amplitude (share of the light) of horizontal bands, from a light that pulses
    while the rows are read; band_rows: their number in a picture; band_phase: 0..1.
    """

    target: float = 0.17
    knee: float = 0.85
    flicker: float = 0.0
    bands: float = 0.0
    band_rows: float = 1.5
    band_phase: float = 0.0


def sample_exposure(rng: np.random.Generator, severity: float) -> ExposureSettings:
    """Draw a target of 0.145 (log-normal, 25 %; ten cholecystectomy frames lie at 0.13..0.15).

    knee: 0.7..1. Flicker: normal, up to 8 % by severity. Bands: in 10 % of the draws, up to 4 %.
    """
    has_bands = rng.random() < 0.1
    return ExposureSettings(
        target=float(np.clip(0.145 * np.exp(rng.normal(0, 0.25)), 0.07, 0.35)),
        knee=float(rng.uniform(0.7, 1.0)),
        flicker=float(np.clip(severity * rng.normal(0, 0.08), -0.3, 0.3)),
        bands=float(severity * rng.uniform(0, 0.04)) * bool(has_bands),
        band_rows=float(rng.uniform(0.5, 4.0)),
        band_phase=float(rng.random()),
    )


def exposure_gain(
    picture: np.ndarray, visible: np.ndarray, depth_mm: np.ndarray, target: float
) -> float:
    """The factor that brings the lit area of a linear picture to its target.

    picture: H x W x 3 float32. visible: H x W bool. depth_mm: NaN where there is no surface,
    which is not metered. 1.0 where nothing is lit.
    """
    stride = METER_STRIDE if min(picture.shape[:2]) >= 8 * METER_STRIDE else 1
    coarse = (slice(None, None, stride), slice(None, None, stride))
    light = luminance(np.ascontiguousarray(picture[coarse]))
    light = light[visible[coarse] & np.isfinite(depth_mm[coarse])]
    if light.size == 0 or not light.max() > 0:
        return 1.0
    light = np.minimum(light, np.percentile(light, HIGHLIGHT_PERCENTILE))
    level = light[light >= LIT_SHARE * light.mean()].mean() if light.any() else 0.0
    return float(target / level) if level > 0 else 1.0


def lit(picture: np.ndarray, gain: float, settings: ExposureSettings) -> np.ndarray:
    """A linear picture (H x W x 3 float32) under the gain and the light of one frame."""
    light = np.float32(gain * (1.0 + settings.flicker))
    if settings.bands == 0:
        return picture * light
    row = np.arange(picture.shape[0]) / picture.shape[0]
    wave = np.sin(2 * np.pi * (settings.band_rows * row + settings.band_phase))
    return picture * (light * (1.0 + settings.bands * wave)).astype(np.float32)[:, None, None]


def tone_curve(linear: np.ndarray, *, knee: float, gamma: float = 1.0) -> np.ndarray:
    """Linear light >= 0 to display values 0..1: highlights compressed above `knee`, then sRGB.

    gamma: exponent on the display value; 1 = sRGB (IEC 61966-2-1).
    """
    room = max(1.0 - knee, 1e-6)
    over = np.maximum(linear - knee, 0.0)
    linear = np.minimum(linear, knee) - room * np.expm1(-over / room)
    display = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return display**gamma


def developed(
    linear: np.ndarray, *, knee: float, gamma: float = 1.0, black: float = 0.0
) -> np.ndarray:
    """The tone curve over a picture, float32, through a table: exact to 0.1 of 255 levels.

    Negative light counts as none. black: display value added at 0 and not at 1.
    """
    light = np.arange(TABLE_SIZE) * (TABLE_LIMIT / TABLE_SIZE)
    table = tone_curve(light, knee=knee, gamma=gamma) * (1.0 - black) + black
    scaled = np.clip(linear, 0.0, TABLE_LIMIT * (1.0 - 0.5 / TABLE_SIZE))
    scaled *= np.float32(TABLE_SIZE / TABLE_LIMIT)
    scaled += np.float32(0.5)  # so that the cut to integers below rounds
    return table.astype(np.float32)[np.minimum(scaled, TABLE_SIZE - 1).astype(np.uint16)]
