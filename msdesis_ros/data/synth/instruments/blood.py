"""Blood on instruments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from msdesis_ros.data.synth.mesh import Mesh


def bloodied(mesh: Mesh, bloodiness: float, seed: int, tip_mm: float) -> Mesh:
    """Blood in `paint[1]`: most near the tip and in gaps, in smears that fade along the shaft."""
    if bloodiness <= 0:
        return mesh
    rng = np.random.default_rng([seed, 11])
    places = mesh.positions.astype(np.float32)
    smear = np.zeros(len(places), np.float32)
    for period_mm, weight in ((18.0, 0.4), (7.0, 0.35), (3.0, 0.35)):
        for _ in range(2):
            wave = rng.normal(size=3) / period_mm * 2 * np.pi / np.sqrt(3)
            smear += 0.5 * weight * np.sin(places @ wave.astype(np.float32) + rng.uniform(0, 6.3))
    behind = np.maximum(tip_mm - places[:, 2], 0.0)
    near = np.exp(-behind / (10.0 + 45.0 * bloodiness))
    gaps = 0.35 * (1.0 - mesh.paint[:, 3])
    level = 0.62 * bloodiness**0.7 * near + bloodiness**0.5 * (0.8 * smear + gaps) * (0.2 + near)
    paint = mesh.paint.copy()
    paint[:, 1] = np.clip(level, 0, 0.95)
    return replace(mesh, paint=paint)
