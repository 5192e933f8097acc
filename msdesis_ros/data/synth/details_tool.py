"""Detail textures of instruments."""

from __future__ import annotations

import numpy as np

from msdesis_ros.data.synth.details import SIDE_PX, Detail, Maker
from msdesis_ros.data.synth.noise import spectral_noise


def brushed(rng: np.random.Generator) -> Detail:
    """Metal brushed along x."""
    lines = spectral_noise(rng, SIDE_PX, exponent=0.3, low=8, stretch=(40.0, 1.0))
    return Detail(
        mottle=spectral_noise(rng, SIDE_PX, exponent=1.2),
        grain=lines,
        vessels=np.zeros((SIDE_PX, SIDE_PX), np.float32),
        height=lines,
    )


TOOL_DETAILS: dict[str, Maker] = {'brushed': brushed}
