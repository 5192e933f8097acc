"""Light on the layers: a spot at the endoscope, the slope of surfaces, shadows and glare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.data.synth.layered.layer import Shape
from msdesis_ros.data.synth.layered.noise import fractal

PITCH_PX = 4  # light is smooth: it is worked out on a grid of this pitch


@dataclass(frozen=True)
class Lamp:
    """The light of a scene.

    spot: centre (px) and radius (px) of the brightest place; offset: where the lamp stands beside
    the camera, in units of the distance; ambient: share from everywhere; falloff: exponent of
    (disparity / reference_px); rim: how much darker borders are; shadow, shadow_step: how dark
    shadows are, and where they fall (px per px of disparity between caster and ground).
    """

    spot: tuple[float, float]
    radius_px: float
    offset: tuple[float, float]
    ambient: float
    falloff: float
    reference_px: float
    exposure: float
    rim: float
    shadow: float
    shadow_step: tuple[float, float]


def sample_lamp(
    rng: np.random.Generator, image_size: tuple[int, int], *, reference_px: float, surgical: bool
) -> Lamp:
    """Draw a light; scenes of anything are lit more evenly than those of the body."""
    width, height = image_size
    return Lamp(
        spot=(float(width * rng.normal(0.5, 0.12)), float(height * rng.normal(0.5, 0.12))),
        radius_px=float(width * (rng.uniform(0.4, 0.9) if surgical else rng.uniform(0.7, 3.0))),
        offset=(float(rng.normal(0, 0.25)), float(rng.normal(0, 0.25))),
        ambient=float(rng.uniform(0.1, 0.4) if surgical else rng.uniform(0.3, 0.9)),
        falloff=float(rng.uniform(0.3, 1.3) if surgical else rng.uniform(0, 0.5)),
        reference_px=reference_px,
        exposure=float(np.exp(rng.normal(0.15, 0.25))),
        rim=float(rng.uniform(0, 0.9) if surgical else rng.uniform(0, 0.3)),
        shadow=float(rng.uniform(0.2, 0.75)),
        shadow_step=(float(rng.normal(0, 0.6)), float(rng.normal(0, 0.6))),
    )


def shades(
    shapes: Sequence[Shape], lamp: Lamp, canvas: tuple[int, int], *, focal_px: float
) -> list[np.ndarray]:
    """How bright each layer is, H x W float32 over its box. Layers back to front.

    Shadows lie on the surfaces, so both views agree about them.
    """
    open_sky = np.ones((canvas[1] // PITCH_PX + 1, canvas[0] // PITCH_PX + 1), np.float32)
    answer: list[np.ndarray] = []
    for number in range(len(shapes) - 1, -1, -1):
        shape = shapes[number]
        answer.append(_shade(shape, lamp, open_sky, focal_px=focal_px))
        if number:
            _cast(shape, shapes[0], lamp, open_sky)
    return answer[::-1]


def _grid(shape: Shape) -> tuple[int, int]:
    return max(2, shape.box[2] // PITCH_PX), max(2, shape.box[3] // PITCH_PX)


def _shade(shape: Shape, lamp: Lamp, open_sky: np.ndarray, *, focal_px: float) -> np.ndarray:
    left, top, width, height = shape.box
    columns, rows = _grid(shape)
    disparity = cv2.resize(shape.disparity_px, (columns, rows), interpolation=cv2.INTER_AREA)
    # dZ/dX = -(f / d) dd/dx for a surface given by its disparity.
    lean = np.float32(focal_px) / disparity
    slope_x = cv2.Sobel(disparity, cv2.CV_32F, 1, 0, scale=1 / (8 * PITCH_PX)) * lean
    slope_y = cv2.Sobel(disparity, cv2.CV_32F, 0, 1, scale=1 / (8 * PITCH_PX)) * lean
    facing = 1 - slope_x * np.float32(lamp.offset[0]) - slope_y * np.float32(lamp.offset[1])
    facing /= np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    np.maximum(facing, 0, out=facing)
    # Organs are round at their border, whatever their disparity says.
    cover = cv2.resize(shape.opacity, (columns, rows), interpolation=cv2.INTER_AREA)
    facing *= np.float32(1 - lamp.rim) + cv2.GaussianBlur(cover, (0, 0), 3.0) * np.float32(
        lamp.rim
    )
    x = np.linspace(left, left + width, columns, dtype=np.float32)
    y = np.linspace(top, top + height, rows, dtype=np.float32)
    away = ((x[None] - lamp.spot[0]) ** 2 + (y[:, None] - lamp.spot[1]) ** 2) / lamp.radius_px**2
    spot = 1 / (1 + away)
    near = np.clip(disparity * np.float32(1 / lamp.reference_px), 0.15, 3) ** lamp.falloff
    sky = cv2.remap(
        open_sky,
        np.broadcast_to(x[None] / PITCH_PX, facing.shape).astype(np.float32),
        np.broadcast_to(y[:, None] / PITCH_PX, facing.shape).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    direct = facing * np.float32(1 - lamp.ambient) * sky + np.float32(lamp.ambient) * (sky + 1) / 2
    light = (direct * spot * near * lamp.exposure).astype(np.float32)
    return cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)


def _cast(shape: Shape, ground: Shape, lamp: Lamp, open_sky: np.ndarray) -> None:
    """Darken what lies behind a layer, beside it in the direction away from the lamp."""
    columns, rows = _grid(shape)
    caster = cv2.resize(shape.opacity, (columns, rows), interpolation=cv2.INTER_AREA)
    gap = float(shape.disparity_px[::16, ::16].mean() - ground.disparity_px[::16, ::16].mean())
    gap = float(np.clip(gap, 2, 60))
    place = np.array(
        [
            [1, 0, shape.box[0] / PITCH_PX + lamp.shadow_step[0] * gap / PITCH_PX],
            [0, 1, shape.box[1] / PITCH_PX + lamp.shadow_step[1] * gap / PITCH_PX],
        ]
    )
    size = (open_sky.shape[1], open_sky.shape[0])
    fallen = cv2.warpAffine(caster, place, size, flags=cv2.INTER_LINEAR)
    fallen = cv2.GaussianBlur(fallen, (0, 0), 1.0 + 0.12 * gap)
    open_sky *= 1 - fallen * np.float32(lamp.shadow)


def add_glare(
    rng: np.random.Generator, left: np.ndarray, right: np.ndarray, *, spots: int
) -> None:
    """Add wet highlights to the colours (H x W x 3) that the two eyes see of one surface.

    They are mirror images of the lamp and not marks on the surface: each eye sees them elsewhere
    (some px), of another shape and strength.
    """
    height, width = left.shape[:2]
    for _ in range(spots):
        size = int(np.exp(rng.uniform(np.log(12), np.log(110))))
        field = fractal(
            rng,
            (size, size),
            coarsest_px=rng.choice([4, 8, 16]),
            persistence=rng.uniform(0.3, 0.9),
        )
        ramp = np.linspace(-1, 1, size, dtype=np.float32)
        radius = ramp[None] ** 2 + (ramp * rng.uniform(1, 2.2))[:, None].astype(np.float32) ** 2
        field += 2.2 * (1 - 3 * radius)
        sharpness, threshold = rng.uniform(0.7, 2.5), rng.uniform(1.2, 2.8)
        strength = np.exp(rng.uniform(np.log(0.1), np.log(3)))
        corner = rng.uniform(0, 1, 2) * (width, height) - size / 2
        shift = (rng.normal(0, 5) + rng.normal(0, 2.5), rng.normal(0, 0.4))
        for colour, moved in ((left, (0.0, 0.0)), (right, shift)):
            change = rng.normal(0, 0.2)
            blob = np.clip((field - np.float32(threshold + change)) * np.float32(sharpness), 0, 1)
            blob *= np.float32(strength * np.exp(rng.normal(0, 0.25)))
            _add_patch(colour, blob, corner + moved)


def _add_patch(colour: np.ndarray, patch: np.ndarray, corner: np.ndarray) -> None:
    size = patch.shape[0]
    x, y = (int(v) for v in np.rint(corner))
    left, top = max(0, x), max(0, y)
    right, bottom = min(colour.shape[1], x + size), min(colour.shape[0], y + size)
    if right > left and bottom > top:
        part = patch[top - y : bottom - y, left - x : right - x]
        colour[top:bottom, left:right] += part[..., None]
