"""What sticks to the front lens: blood smears, fog and drops, out of focus, by eye."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.data.synth.effects.pixels import blurred, mixed, smooth_step
from msdesis_ros.data.synth.noise import spectral_noise

TILE_PX = 96


@dataclass(frozen=True)
class Drop:
    """A drop of fluid: a small lens on the lens.

    x, y: its middle, as shares of width and height. radius: in picture widths. squeeze: its
    height by its width. bend: > 0 magnifies what lies behind, < 0 turns to shrink it; 0 = it only
    blurs. blur: standard deviation, in picture widths. dark: light lost at its rim, 0..1.
    """

    x: float
    y: float
    radius: float
    squeeze: float = 1.0
    bend: float = 0.5
    blur: float = 0.008
    dark: float = 0.25


@dataclass(frozen=True)
class LensDirtSettings:
    """Of one eye.

    smear: optical depth of the smears where they are thickest, 0 = none. cover: share of the
    picture under them. colour: what they let through of linear RGB at optical depth 1. scatter:
    how far (0..1) they blur and veil what lies behind. fog: share of the light that fogged glass
    spreads over the whole picture, 0..1. seed: of the smears' pattern.
    """

    smear: float = 0.0
    cover: float = 0.3
    colour: tuple[float, float, float] = (0.5, 0.13, 0.1)
    scatter: float = 0.6
    fog: float = 0.0
    drops: tuple[Drop, ...] = ()
    seed: int = 0


def sample_lens_dirt(
    rng: np.random.Generator, severity: float
) -> tuple[LensDirtSettings, LensDirtSettings]:
    """Draw both eyes, each by itself.

    An eye is smeared in 6 % of the draws (two thirds of it blood, the rest clear fluid), fogged
    in 3 %, and has one to four drops in 5 %.
    """
    return _sample_eye(rng, severity), _sample_eye(rng, severity)


def _sample_eye(rng: np.random.Generator, severity: float) -> LensDirtSettings:
    is_smeared, is_foggy, has_drops = rng.random(3) < (0.06, 0.03, 0.05)
    is_blood = rng.random() < 2 / 3
    drops = tuple(_sample_drop(rng, severity) for _ in range(int(rng.integers(1, 5))))
    return LensDirtSettings(
        smear=float(0.15 + severity * rng.uniform(0.3, 1.6)) * bool(is_smeared),
        cover=float(rng.uniform(0.08, 0.3 + 0.3 * severity)),
        colour=(0.5, 0.13, 0.1) if is_blood else (0.93, 0.9, 0.85),
        scatter=float(rng.uniform(0.4, 0.95)),
        fog=float(severity * rng.uniform(0.15, 0.6)) * bool(is_foggy),
        drops=drops if has_drops else (),
        seed=int(rng.integers(2**31)),
    )


def _sample_drop(rng: np.random.Generator, severity: float) -> Drop:
    return Drop(
        x=float(rng.uniform(0, 1)),
        y=float(rng.uniform(0, 1)),
        radius=float(rng.uniform(0.015, 0.04 + 0.08 * severity)),
        squeeze=float(rng.uniform(0.75, 1.35)),
        bend=float(rng.uniform(-0.6, 0.75)),
        blur=float(rng.uniform(0.003, 0.015)),
        dark=float(rng.uniform(0.05, 0.45)),
    )


def dirty_lens(picture: np.ndarray, settings: LensDirtSettings) -> np.ndarray:
    """Look at a linear picture (H x W x 3 float32) through a dirty lens."""
    for drop in settings.drops:
        picture = _behind_drop(picture, drop)
    if settings.smear > 0:
        picture = _smeared(picture, settings)
    if settings.fog > 0:
        wide = blurred(picture, 0.03 * picture.shape[1])
        share = np.float32(settings.fog)
        # Half of the scattered light comes from everywhere: fog lifts the shadows.
        everywhere = picture[::8, ::8].mean(axis=(0, 1)) * share * np.float32(0.5)
        picture = picture * (1 - share) + wide * (share * np.float32(0.5)) + everywhere
    return picture


def _smeared(picture: np.ndarray, settings: LensDirtSettings) -> np.ndarray:
    height, width = picture.shape[:2]
    tile = spectral_noise(np.random.default_rng(settings.seed), TILE_PX, exponent=2.2, high=24)
    edge = 1.0 - settings.cover
    thickness = smooth_step(tile, edge - 0.05, min(edge + 0.25, 1.05))
    # The front lens is far out of focus: nothing on it has an edge.
    thickness = cv2.GaussianBlur(thickness, (0, 0), 2.0)
    absorbed = np.log(np.maximum(np.array(settings.colour, np.float32), 1e-3)) * settings.smear
    # A part of a tile, so that its two borders, which continue each other, are not both seen.
    through = np.exp(thickness[..., None] * absorbed)[:72, :90]
    through = cv2.resize(through.astype(np.float32), (width, height))
    share = cv2.resize(thickness[:72, :90], (width, height))
    share *= np.float32(settings.scatter * min(settings.smear, 1.0))
    return mixed(picture, blurred(picture, 0.012 * width), share) * through


def _behind_drop(picture: np.ndarray, drop: Drop) -> np.ndarray:
    height, width = picture.shape[:2]
    radius_px = drop.radius * width
    x, y = drop.x * width, drop.y * height
    reach = 1.15
    x0, x1 = _span(x, reach * radius_px, width)
    y0, y1 = _span(y, reach * radius_px * drop.squeeze, height)
    if x1 <= x0 or y1 <= y0:
        return picture
    across, down = np.meshgrid(
        np.arange(x0, x1, dtype=np.float32) - np.float32(x),
        np.arange(y0, y1, dtype=np.float32) - np.float32(y),
    )
    r = np.hypot(across, down / np.float32(drop.squeeze)) / np.float32(radius_px)
    # Looking through the drop's middle shows (1 - bend) of the way from it, at the rim all of it.
    pull = 1.0 - np.float32(drop.bend) * np.clip(1.0 - r * r, 0.0, 1.0)
    behind = cv2.remap(
        picture,
        np.float32(x) + across * pull,
        np.float32(y) + down * pull,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    behind = blurred(behind, max(drop.blur * width, 0.3))
    shade = 1.0 - np.float32(drop.dark) * smooth_step(r, 0.45, 1.0)
    behind *= shade[..., None]
    result = picture.copy()
    inside = 1.0 - smooth_step(r, 0.6, reach)
    result[y0:y1, x0:x1] = mixed(picture[y0:y1, x0:x1], behind, inside)
    return result


def _span(middle: float, reach: float, size: int) -> tuple[int, int]:
    return max(int(np.floor(middle - reach)), 0), min(int(np.ceil(middle + reach)) + 1, size)
