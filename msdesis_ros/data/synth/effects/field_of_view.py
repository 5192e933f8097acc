"""Vignette and the round field of view that the endoscope's optics leave of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msdesis_ros.data.synth.effects.pixels import smooth_step, squared_radius, times


@dataclass(frozen=True)
class FieldOfViewSettings:
    """Of one eye.

    vignette: how much of the light is lost at the picture's corner, 0..1 (at radius r the factor
    is (1 - vignette) ** r^2). radius: of the round field in half diagonals of the picture, 0 =
    not round. softness: width of its border, in half diagonals. centre: (x, y) of both, as shares
    of width and height.
    """

    vignette: float = 0.0
    radius: float = 0.0
    softness: float = 0.008
    centre: tuple[float, float] = (0.5, 0.5)


def sample_field_of_view(
    rng: np.random.Generator, severity: float
) -> tuple[FieldOfViewSettings, FieldOfViewSettings]:
    """Draw both eyes.

    Vignette: up to 0.6 by severity. Round in 25 % of the draws, radius uniform in 0.6..0.98 half
    diagonals (below 0.62 the whole circle lies in a 5:4 picture, above 0.78 only the corners are
    black). Centres: normal, 0.02 about the middle, and 0.004 between the eyes.
    """
    vignette = float(severity * rng.uniform(0.2, 0.6))
    is_round = rng.random() < 0.25
    radius, softness = float(rng.uniform(0.6, 0.98)), float(rng.uniform(0.003, 0.02))
    middle = 0.5 + rng.normal(0, 0.02, 2)
    centres = middle + rng.normal(0, 0.004, (2, 2))
    left, right = (
        FieldOfViewSettings(
            vignette=vignette,
            radius=radius if is_round else 0.0,
            softness=softness,
            centre=(float(x), float(y)),
        )
        for x, y in centres
    )
    return left, right


def visible_area(shape: tuple[int, int], settings: FieldOfViewSettings) -> np.ndarray:
    """H x W bool, False outside of a round field of view and nowhere else."""
    if settings.radius == 0:
        return np.ones(shape, dtype=bool)
    return squared_radius(shape, settings.centre) <= settings.radius**2


def limit_field_of_view(picture: np.ndarray, settings: FieldOfViewSettings) -> np.ndarray:
    """Darken a linear picture (H x W x 3 float32) towards the border, to black outside."""
    if settings.vignette == 0 and settings.radius == 0:
        return picture
    squared = squared_radius(picture.shape[:2], settings.centre)
    light = np.exp(np.float32(np.log(max(1.0 - settings.vignette, 1e-3))) * squared)
    if settings.radius > 0:
        half = settings.softness / 2
        light *= 1.0 - smooth_step(
            np.sqrt(squared), settings.radius - half, settings.radius + half
        )
    return times(picture, light)
