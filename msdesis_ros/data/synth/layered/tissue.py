"""Textures of tissue: mottle, lobules, fibres, vessel trees and stains over a palette."""

from __future__ import annotations

import cv2
import numpy as np

from msdesis_ros.data.synth.layered.colours import (
    LOWEST_LEVEL,
    TISSUES,
    VESSEL_LEVEL,
    tissue_ramp,
)
from msdesis_ros.data.synth.layered.noise import cells, fractal, stretched
from msdesis_ros.data.synth.layered.silhouettes import SHIFT

# How likely each structure is: lobules, fibres, vessels, and the range of the contrast.
HABITS = {
    'fat': (0.7, 0.1, 0.5),
    'gallbladder': (0.1, 0.1, 0.9),
    'peritoneum': (0.15, 0.3, 0.8),
    'bowel': (0.1, 0.2, 0.8),
    'muscle': (0.0, 0.8, 0.2),
    'ligament': (0.0, 0.7, 0.4),
}


def tissue_colour(
    rng: np.random.Generator, shape: tuple[int, int], tissue: str, *, contrast: float
) -> np.ndarray:
    """H x W x 3 float32 linear RGB. contrast: 1 ordinary, 0.1 as poor as wet liver."""
    lobules, fibres, vessels = HABITS.get(tissue, (0.0, 0.15, 0.3))
    level = fractal(
        rng, shape, coarsest_px=rng.choice([32, 64, 128]), persistence=rng.uniform(0.4, 0.8)
    )
    if rng.random() < fibres:
        level += stretched(rng, shape, length=rng.uniform(4, 14)) * np.float32(
            rng.uniform(0.5, 1.5)
        )
    if rng.random() < lobules:
        size = rng.uniform(14, 60)
        level += cells(rng, shape, size_px=size) * np.float32(rng.uniform(1.5, 3.5))
    grain = rng.uniform(0.1, 0.5)
    level += fractal(rng, shape, coarsest_px=8, persistence=0.9) * np.float32(grain)
    middle = rng.uniform(LOWEST_LEVEL + 50, 200)
    level *= np.float32(22 * contrast)
    level += np.float32(middle)
    np.maximum(level, LOWEST_LEVEL, out=level)
    if tissue == 'gauze':
        level = _woven(rng, level)
    elif rng.random() < vessels:
        _add_vessels(rng, level, strength=min(1.0, rng.uniform(0.3, 1.0) * (0.4 + contrast)))
    index = np.clip(level, 0, 255).astype(np.uint8)
    return cv2.LUT(cv2.merge([index] * 3), tissue_ramp(rng, tissue))


def any_tissue(rng: np.random.Generator) -> str:
    """The name of a tissue; those of organs are more frequent than blood, char and gauze."""
    names = list(TISSUES)
    weights = np.array([0.4 if n in ('blood', 'char', 'gauze') else 1.0 for n in names])
    return names[rng.choice(len(names), p=weights / weights.sum())]


def _woven(rng: np.random.Generator, level: np.ndarray) -> np.ndarray:
    pitch = rng.uniform(5, 11)
    angle = rng.uniform(0, np.pi)
    y, x = (np.arange(n, dtype=np.float32) for n in level.shape)
    turns = (np.cos(angle) * 2 * np.pi / pitch, np.sin(angle) * 2 * np.pi / pitch)
    warp = np.sin(turns[0] * x[None] + turns[1] * y[:, None])
    weft = np.sin(-turns[1] * x[None] + turns[0] * y[:, None])
    return level + (warp + weft) * np.float32(rng.uniform(12, 30))


def _add_vessels(rng: np.random.Generator, level: np.ndarray, *, strength: float) -> None:
    """Draw branching vessels into the level, which falls to the vessels' part of the ramp."""
    height, width = level.shape
    drawn = np.zeros((height, width), np.uint8)
    for _ in range(1 + int(rng.integers(0, 3) + height * width / 150_000)):
        start = rng.uniform(0, 1, 2) * (width, height)
        _draw_branch(rng, drawn, start, rng.uniform(0, 6.3), rng.uniform(1.5, 5.5), depth=0)
    cover = cv2.GaussianBlur(drawn, (5, 5), 0.9).astype(np.float32)
    cover *= np.float32(strength / 255)
    level += cover * (np.float32(VESSEL_LEVEL) - level)


def _draw_branch(
    rng: np.random.Generator,
    drawn: np.ndarray,
    start: np.ndarray,
    heading: float,
    width_px: float,
    *,
    depth: int,
) -> None:
    count = int(rng.integers(14, 40))
    headings = heading + np.cumsum(rng.normal(0, 0.22, count))
    steps = np.stack([np.cos(headings), np.sin(headings)], 1) * rng.uniform(3, 8)
    path = start + np.cumsum(steps, axis=0)
    points = np.rint(path * 2**SHIFT).astype(np.int32)
    # Thin vessels fade because a line is never thinner than a pixel.
    strength = int(255 * min(1.0, 0.35 + 0.3 * width_px))
    cv2.polylines(drawn, [points], False, strength, max(1, round(width_px)), cv2.LINE_AA, SHIFT)
    if depth < 3 and width_px > 0.7:
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(count // 3, count))
            turn = rng.choice([-1, 1]) * rng.uniform(0.3, 1.1)
            _draw_branch(
                rng,
                drawn,
                path[at],
                headings[at] + turn,
                width_px * rng.uniform(0.45, 0.8),
                depth=depth + 1,
            )
