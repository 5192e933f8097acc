"""Smoke of electrocautery: sheets of haze between camera and tissue, each with its parallax."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.data.synth.effects.pixels import luminance, squared_radius, times
from msdesis_ros.data.synth.noise import spectral_noise

TILE_PX = 128
COARSE = 4
# A sheet at a shorter distance than this share of the scene's would be closer than the tip.
MAX_DISPARITY_SHARE = 0.5


@dataclass(frozen=True)
class SmokeSettings:
    """Of both eyes: they look through the same smoke.

    density: mean optical depth of all sheets together, 0 = none, 1 = thick. colour: linear RGB.
    brightness: of thick smoke, times the scene's mean light. distances: of the sheets, as shares
    of the scene's median distance. tile: size of the noise's period, in picture widths.
    contrast: 0 an even veil, 1 separate clouds. drift: (x, y) of the smoke, in picture widths,
    for sequences. seed: of its pattern.
    """

    density: float = 0.0
    colour: tuple[float, float, float] = (0.9, 0.92, 1.0)
    brightness: float = 1.2
    distances: tuple[float, ...] = (0.85, 0.6, 0.35)
    tile: float = 1.0
    contrast: float = 0.7
    drift: tuple[float, float] = (0.0, 0.0)
    seed: int = 0


def sample_smoke(rng: np.random.Generator, severity: float) -> SmokeSettings:
    """Draw smoke: none in 88 % of the draws, otherwise an optical depth of up to 1.4 by severity.

    One to three sheets at 0.3..0.95 of the scene's distance; grey-white, slightly warm or cold.
    """
    is_there = rng.random() < 0.12
    density = float(0.08 + severity * rng.uniform(0.3, 1.4))
    count = int(rng.integers(1, 4))
    distances = sorted((float(d) for d in rng.uniform(0.3, 0.95, count)), reverse=True)
    warmth = float(rng.normal(0, 0.05))
    return SmokeSettings(
        density=density if is_there else 0.0,
        colour=(1.0 + warmth, 1.0, 1.0 - warmth),
        brightness=float(rng.uniform(0.8, 2.0)),
        distances=tuple(distances),
        tile=float(rng.uniform(0.6, 1.8)),
        contrast=float(rng.uniform(0.3, 1.0)),
        drift=(float(rng.random()), float(rng.random())),
        seed=int(rng.integers(2**31)),
    )


def add_smoke(
    left: np.ndarray,
    right: np.ndarray,
    *,
    left_depth_mm: np.ndarray,
    right_depth_mm: np.ndarray,
    geometry: StereoGeometry,
    settings: SmokeSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Veil both linear pictures (H x W x 3 float32); what is nearer than a sheet stays clear."""
    if settings.density == 0:
        return left, right
    coarse_depth = left_depth_mm[::COARSE, ::COARSE]
    lit = coarse_depth[np.isfinite(coarse_depth)]
    if lit.size == 0:
        return left, right
    scene_mm = float(np.median(lit))
    mean_light = float(luminance(np.ascontiguousarray(left[::COARSE, ::COARSE])).mean())
    width = left.shape[1]
    for index, share in enumerate(settings.distances):
        sheet_mm = share * scene_mm
        disparity_px = min(
            geometry.focal_times_baseline * 1e3 / sheet_mm, MAX_DISPARITY_SHARE * width
        )
        tile = spectral_noise(
            np.random.default_rng([settings.seed, index]), TILE_PX, exponent=2.3, high=20
        )
        # Light falls off with the square of the distance: smoke close to the tip is brighter.
        light = mean_light * settings.brightness * min((0.6 / share) ** 2, 3.0)
        colour = tuple(channel * light for channel in settings.colour)
        left, right = (
            _veiled(picture, depth_mm, tile, sheet_mm, shift_px, colour, settings)
            for picture, depth_mm, shift_px in (
                (left, left_depth_mm, 0.0),
                (right, right_depth_mm, disparity_px),
            )
        )
    return left, right


def _veiled(
    picture: np.ndarray,
    depth_mm: np.ndarray,
    tile: np.ndarray,
    sheet_mm: float,
    shift_px: float,
    colour: tuple[float, ...],
    settings: SmokeSettings,
) -> np.ndarray:
    """One picture behind one sheet; `shift_px`: where the left view has what is seen here."""
    haze = _sheet(picture.shape[:2], tile, shift_px, settings)
    # Soft where tissue rises through the sheet: smoke is no plane in truth.
    with np.errstate(invalid='ignore'):
        behind = np.clip((depth_mm - sheet_mm) / (0.5 * sheet_mm) + 0.5, 0.0, 1.0)
    behind = np.nan_to_num(behind, nan=1.0).astype(np.float32)
    clear = np.exp(np.float32(-settings.density / len(settings.distances)) * haze * behind)
    light = 1.0 - clear
    light *= 1.0 - 0.5 * np.minimum(squared_radius(picture.shape[:2], (0.5, 0.5)), 1.0)
    return times(picture, clear) + cv2.merge([light * np.float32(channel) for channel in colour])


def _sheet(
    shape: tuple[int, int], tile: np.ndarray, shift_px: float, settings: SmokeSettings
) -> np.ndarray:
    """H x W float32: how thick the sheet is where a view sees it, mean 1."""
    height, width = shape
    step = TILE_PX / (settings.tile * width)  # of the tile, for a pixel
    # Coarse pixel n has its centre at COARSE * (n + 0.5) - 0.5. One more at each side: the border
    # of what is enlarged below is not interpolated.
    columns, rows = (
        (COARSE * (np.arange(-1, -(-size // COARSE) + 1) + 0.5) - 0.5) for size in (width, height)
    )
    thickness = (1.0 - settings.contrast) + settings.contrast * _clouds(tile)
    coarse = cv2.remap(
        thickness.astype(np.float32),
        *np.meshgrid(
            ((columns + shift_px + settings.drift[0] * width) * step % TILE_PX).astype(np.float32),
            ((rows + settings.drift[1] * width) * step % TILE_PX).astype(np.float32),
        ),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    fine = cv2.resize(coarse, None, fx=COARSE, fy=COARSE, interpolation=cv2.INTER_LINEAR)
    return fine[COARSE : COARSE + height, COARSE : COARSE + width]


def _clouds(tile: np.ndarray) -> np.ndarray:
    """Even noise as clouds with clear air between them, mean 1."""
    clouds = np.clip(tile * 1.25 - 0.1, 0.0, None) ** 1.5
    return clouds / clouds.mean()
