"""Detail textures: tileable pictures that a material's colours and bumps are modulated with.

A kind has any number of seeds; a worker makes each picture once and keeps it.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.noise import spectral_noise

SIDE_PX = 1024
# Heights are 0..1 on a tile of unit side; steeper slopes than this are cut.
SLOPE_RANGE = 80.0


@dataclass(frozen=True, eq=False)
class Detail:
    """Four tileable maps, SIDE_PX x SIDE_PX float32 in 0..1.

    mottle: which of the material's two colours (0.5 = neither more). grain: fine light and dark
    (0.5 = neutral). vessels: 1 where a vessel runs. height: of the relief.
    """

    mottle: np.ndarray
    grain: np.ndarray
    vessels: np.ndarray
    height: np.ndarray


Maker = Callable[[np.random.Generator], Detail]


def detail_maps(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The detail picture of a kind and seed, and its relief.

    Returns:
        detail: SIDE x SIDE x 4 uint8 (mottle, grain, vessels, height); relief: SIDE x SIDE x 4
        uint8, the slopes of the height along x and y: 128 = level, SLOPE_RANGE = 255.

    Raises:
        UsageError: unknown kind.
    """
    makers = _makers()
    if kind not in makers:
        raise UsageError(f'unknown detail texture {kind!r}; known are {", ".join(sorted(makers))}')
    made = makers[kind](np.random.default_rng([zlib.crc32(kind.encode()), seed]))
    detail = np.stack([made.mottle, made.grain, made.vessels, made.height], axis=-1)
    side = made.height.shape[0]
    slopes = [
        (np.roll(made.height, -1, axis) - np.roll(made.height, 1, axis)) * (side / 2)
        for axis in (1, 0)
    ]
    relief = np.zeros((side, side, 4), np.uint8)
    for channel, slope in enumerate(slopes):
        relief[..., channel] = np.clip(128 + 127 * slope / SLOPE_RANGE, 0, 255)
    return _to_bytes(detail), relief


def surroundings_picture(seed: int) -> np.ndarray:
    """What metal mirrors: brightness all around, 64 x 128 x 3 float32 (longitude across).

    Tissue in blotches, dark towards the endoscope (longitude pi, behind which nothing is lit).
    """
    rng = np.random.default_rng([7, seed])
    blotches = spectral_noise(rng, 128, exponent=1.6)[:64]
    bright = 0.15 + 1.5 * blotches**2
    longitude = np.abs(np.linspace(-1, 1, 128))[None, :]
    bright = bright * np.clip(1.25 - longitude, 0.1, 1.0)
    tint = 0.75 + 0.5 * spectral_noise(rng, 128, exponent=2.0)[:64, :, None]
    tint = tint ** np.array([0.4, 1.0, 1.2])
    return np.ascontiguousarray(bright[..., None] * tint, np.float32)


def plain(rng: np.random.Generator) -> Detail:
    """No texture at all."""
    neutral = np.full((8, 8), 0.5, np.float32)
    return Detail(neutral, neutral, np.zeros_like(neutral), neutral)


@functools.cache
def _makers() -> dict[str, Maker]:
    """By kind; tissue and tools keep their own."""
    from msdesis_ros.data.synth.details_tissue import TISSUE_DETAILS
    from msdesis_ros.data.synth.details_tool import TOOL_DETAILS

    return {'plain': plain, **TISSUE_DETAILS, **TOOL_DETAILS}


def _to_bytes(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
