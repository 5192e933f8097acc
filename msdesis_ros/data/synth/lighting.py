"""The light at an endoscope's tip, and how it varies from one scene to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msdesis_ros.data.synth.assembly import Light
from msdesis_ros.data.synth.rigs import EndoscopeRig


@dataclass(frozen=True)
class Lighting:
    """Two fibre ends beside the lenses, and how much the cavity throws back.

    ambient, surroundings_seed: see `Assembly`.
    """

    lights: tuple[Light, Light]
    ambient: float
    surroundings_seed: int


def sample_lighting(rng: np.random.Generator, rig: EndoscopeRig) -> Lighting:
    """Draw the light.

    The fibres end 2.5 to 5 mm from the middle of the tip, opposite of each other, level with the
    lenses or up to 1 mm behind; one is at most 2.5 times as bright as the other. After the
    camera's white balance the light is within some 8 % of white in red, 10 % in blue.
    """
    angle, away_mm = rng.uniform(0, 2 * np.pi), rng.uniform(2.5, 5.0)
    back_mm, share = rng.uniform(-1.0, 0.0), rng.uniform(0.29, 0.71)
    cone = float(rng.uniform(0.6, 5.0))
    tint = (float(rng.normal(1, 0.04)), 1.0, float(rng.normal(1, 0.05)))
    lights = tuple(
        Light(
            position_mm=(
                float(rig.baseline_mm / 2 + side * away_mm * np.cos(angle)),
                float(side * away_mm * np.sin(angle)),
                float(back_mm),
            ),
            power=float(power),
            colour=tint,
            cone=cone,
        )
        for side, power in ((-1, share), (1, 1 - share))
    )
    return Lighting(
        lights=(lights[0], lights[1]),
        ambient=float(0.02 + 0.33 * rng.beta(1.3, 2.2)),
        surroundings_seed=int(rng.integers(0, 12)),
    )
