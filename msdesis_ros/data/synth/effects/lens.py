"""What the objective does to a sharp view: colour fringes, defocus with depth, bloom."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.data.synth.effects.pixels import blurred, mixed

MAX_DEFOCUS_PX = 16.0
# Below a standard deviation of 0.2 px a blur changes a picture less than its own noise.
MIN_DEFOCUS_PX = 0.2
MAX_LAYERS = 3


@dataclass(frozen=True)
class OpticsSettings:
    """Of both eyes.

    red_scale, blue_scale: magnification of red and blue against green, minus 1. aperture_mm: of
    the entrance pupil, 0 = everything is sharp; focus_mm: the sharp distance. bloom: share of the
    light that is spread over bloom_width (standard deviation, share of the picture's width).
    """

    red_scale: float = 0.0
    blue_scale: float = 0.0
    aperture_mm: float = 0.0
    focus_mm: float = 80.0
    bloom: float = 0.0
    bloom_width: float = 0.01


def sample_optics(rng: np.random.Generator, severity: float) -> OpticsSettings:
    """Draw colour fringes up to 2 px at the corner of 1280, pupils of 0..0.5 mm, bloom to 6 %.

    The focus lies at 40..120 mm, log-uniform. Endoscopes are built for depth of field: at
    severity 0.3 the pupil is 0.15 mm, whose blur at 30 mm (focus 80 mm, focal length 530 px) has
    a diameter of 1.7 px.
    """
    return OpticsSettings(
        red_scale=float(severity * rng.normal(0, 0.0012)),
        blue_scale=float(severity * rng.normal(0, 0.0018)),
        aperture_mm=float(severity * rng.uniform(0.2, 0.8)),
        focus_mm=float(np.exp(rng.uniform(np.log(40), np.log(120)))),
        bloom=float(rng.uniform(0.005, 0.02) + 0.04 * severity * rng.random()),
        bloom_width=float(rng.uniform(0.006, 0.03)),
    )


def shift_colours(picture: np.ndarray, settings: OpticsSettings) -> np.ndarray:
    """Magnify red and blue about the middle of an H x W x 3 float32 picture; green stays."""
    if settings.red_scale == 0 and settings.blue_scale == 0:
        return picture
    height, width = picture.shape[:2]
    channels = list(cv2.split(picture))
    for index, scale in ((0, settings.red_scale), (2, settings.blue_scale)):
        inverse = 1.0 / (1.0 + scale)
        matrix = np.array(
            [
                [inverse, 0, (1 - inverse) * (width - 1) / 2],
                [0, inverse, (1 - inverse) * (height - 1) / 2],
            ]
        )
        channels[index] = cv2.warpAffine(
            channels[index],
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return cv2.merge(channels)


def defocus_px(depth_mm: np.ndarray, focal_px: float, settings: OpticsSettings) -> np.ndarray:
    """Standard deviation of the blur by a thin lens, px, as `depth_mm`; NaN is infinitely far.

    The circle of confusion has the diameter aperture * focal_px * |1 / Z - 1 / focus|; a disc's
    standard deviation along an axis is a quarter of its diameter.
    """
    with np.errstate(divide='ignore', invalid='ignore'):
        nearness = np.nan_to_num(1.0 / depth_mm, nan=0.0, posinf=0.0)
    diameter = settings.aperture_mm * focal_px * np.abs(nearness - 1.0 / settings.focus_mm)
    return np.minimum(diameter / 4.0, MAX_DEFOCUS_PX).astype(np.float32)


def defocus(
    picture: np.ndarray, depth_mm: np.ndarray, *, focal_px: float, settings: OpticsSettings
) -> np.ndarray:
    """Blur a linear picture (H x W x 3 float32) by its depth (H x W, mm), in up to 3 layers."""
    if settings.aperture_mm == 0:
        return picture
    height, width = picture.shape[:2]
    # The amount of blur is smooth, also over an edge: what is near and blurred spreads over it.
    coarse = depth_mm[1::4, 1::4] if min(height, width) >= 64 else depth_mm
    sigma = defocus_px(coarse, focal_px, settings)
    most = float(np.percentile(sigma, 99.5))
    if most < MIN_DEFOCUS_PX:
        return picture
    sigma = cv2.GaussianBlur(sigma, (0, 0), max(most / 4, 0.7))
    sigma = cv2.resize(sigma, (width, height), interpolation=cv2.INTER_LINEAR)
    result, before = picture, 0.0
    # Between blurs that differ by less than a pixel nobody sees which way they are mixed.
    layers = min(math.ceil(most), MAX_LAYERS)
    for sigma_px in np.linspace(0, most, layers + 1)[1:]:
        share = np.clip((sigma - before) / (sigma_px - before), 0.0, 1.0)
        result = mixed(result, blurred(picture, float(sigma_px)), share)
        before = sigma_px
    return result


def bloom(picture: np.ndarray, settings: OpticsSettings) -> np.ndarray:
    """Spread a share of the light around, as scratched and wet glass does; highlights glow."""
    if settings.bloom == 0:
        return picture
    glow = blurred(picture, max(settings.bloom_width * picture.shape[1], 0.5))
    return cv2.addWeighted(picture, 1 - settings.bloom, glow, settings.bloom, 0)
