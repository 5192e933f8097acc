"""Smooth disparity functions: a plane, low-frequency relief and a dome."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.data.synth.layered.layer import Box
from msdesis_ros.data.synth.layered.noise import (
    coarse_axes,
    coarse_shape,
    enlarged,
    fractal,
)

# d(disparity)/dx: at 1 the right camera would look along the surface. 0.4 leaves 0.6 of a
# pixel for each, so that the right view does not alias what the left one shows.
STEEPEST_RISE = 0.4
STEEPEST_FALL = 0.7
STEEPEST_ACROSS = 1.0  # along y nothing folds, but a surface is never a wall


@dataclass(frozen=True)
class Relief:
    """How a surface deviates from its mean disparity.

    slope_x, slope_y: px per px. amplitude_px: standard deviation of the relief, whose largest
    features measure `feature_px`. dome_px: how much nearer its middle is than its border.
    """

    slope_x: float = 0.0
    slope_y: float = 0.0
    amplitude_px: float = 0.0
    feature_px: float = 200.0
    dome_px: float = 0.0


def smooth_disparity(
    rng: np.random.Generator,
    box: Box,
    relief: Relief,
    *,
    mean_px: float,
    limits_px: tuple[float, float],
    opacity: np.ndarray,
) -> np.ndarray:
    """H x W float32 disparity over a box, within the limits and not steeper than allowed.

    opacity: H x W float32 of the support, which the dome follows.
    """
    shape = (box[3], box[2])
    x, y = coarse_axes(box)
    middle_x, middle_y = box[0] + box[2] / 2, box[1] + box[3] / 2
    field = (relief.slope_x * (x - middle_x) + relief.slope_y * (y - middle_y)).astype(np.float32)
    grid = coarse_shape(shape)
    if relief.amplitude_px:
        noise = fractal(rng, grid, coarsest_px=max(2.0, relief.feature_px / 8), persistence=0.35)
        noise = cv2.GaussianBlur(noise, (0, 0), 0.8)
        field += noise * np.float32(relief.amplitude_px)
    if relief.dome_px:
        field += dome(opacity, grid) * np.float32(relief.dome_px)
    field *= np.float32(min(1.0, 1 / steepness(field, pitch=8)))
    low, high = limits_px
    lowest, highest = float(field.min()), float(field.max())
    field *= np.float32(min(1.0, 0.9 * (high - low) / max(highest - lowest, 1e-6)))
    lowest, highest = float(field.min()), float(field.max())
    field += np.float32(np.clip(mean_px, low - lowest, high - highest))
    # Cubic interpolation may swing beyond the coarse values a little.
    return np.clip(enlarged(field, shape), np.float32(low), np.float32(high))


def dome(opacity: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """A smooth hill over a support, 0..1, on the coarse grid of its box."""
    rows, columns = grid
    inner = cv2.resize(opacity, (columns - 2, rows - 2), interpolation=cv2.INTER_AREA)
    inside = cv2.copyMakeBorder(inner, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    hill = cv2.GaussianBlur(inside, (0, 0), max(1.5, min(grid) / 8))
    return hill * np.float32(1 / max(float(hill.max()), 1e-6))


def steepness(field: np.ndarray, *, pitch: int) -> float:
    """How many times steeper than allowed a field of one value every `pitch` px is."""
    along = np.diff(field, axis=1) / pitch
    across = np.diff(field, axis=0) / pitch
    return max(
        float(along.max()) / STEEPEST_RISE,
        float(-along.min()) / STEEPEST_FALL,
        float(np.abs(across).max()) / STEEPEST_ACROSS,
        1e-6,
    )
