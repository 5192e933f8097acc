"""Detail textures of tissue."""

from __future__ import annotations

import numpy as np

from msdesis_ros.data.synth.details import SIDE_PX, Detail, Maker
from msdesis_ros.data.synth.noise import cells, spectral_noise


def smooth_tissue(rng: np.random.Generator) -> Detail:
    """Wet, poor in texture, faintly lobular: liver and the like."""
    nearest, second, _ = cells(rng, SIDE_PX, 40 * 40)
    lobules = np.clip((second - nearest) * 2.0, 0, 1)
    return Detail(
        mottle=spectral_noise(rng, SIDE_PX, exponent=1.5),
        grain=np.clip(0.35 * lobules + 0.65 * spectral_noise(rng, SIDE_PX, exponent=0.8), 0, 1),
        vessels=np.zeros((SIDE_PX, SIDE_PX), np.float32),
        height=spectral_noise(rng, SIDE_PX, exponent=1.8, low=3),
    )


TISSUE_DETAILS: dict[str, Maker] = {'smooth': smooth_tissue}
