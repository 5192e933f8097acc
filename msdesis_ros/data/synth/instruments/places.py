"""Places on the tissue, and what lies there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msdesis_ros.data.synth.instruments.catalogue import ENTRIES
from msdesis_ros.data.synth.instruments.clearance import SurfaceMm
from msdesis_ros.data.synth.instruments.description import InstrumentScene, Vector, Wave
from msdesis_ros.data.synth.instruments.looks import sample_surface
from msdesis_ros.data.synth.rigs import EndoscopeRig
from msdesis_ros.data.synth.stereo_frame import ToolType

CLIPS_SHARE, NEEDLE_SHARE = 0.12, 0.04


def sample_lying(
    rng: np.random.Generator, rig: EndoscopeRig, surface_mm: SurfaceMm
) -> list[InstrumentScene]:
    """Clips and needles on the tissue."""
    names = []
    if rng.random() < CLIPS_SHARE:
        names += ['clip'] * int(rng.integers(1, 4))
    if rng.random() < NEEDLE_SHARE:
        names.append('needle')
    out = []
    known = ENTRIES['dv_clip_applier']
    surface = sample_surface(rng, known)
    for name in names:
        place = tissue_in_view(rng, rig, surface_mm)
        if place is None:
            continue
        kind = ToolType.CLIP if name == 'clip' else ToolType.NEEDLE
        size = rng.uniform(5.0, 9.0) if name == 'clip' else rng.uniform(6.5, 11.0)
        out.append(
            InstrumentScene(
                name=name,
                type=kind,
                family='lying',
                shaft_radius_mm=0.0,
                trocar_mm=vector(place),
                tip_mm=vector(place),
                roll_rad=Wave(float(rng.uniform(0, 2 * np.pi))),
                contact='lie',
                bloodiness=float(rng.uniform(0, 0.5)),
                surface=surface,
                normal=_normal(surface_mm, place),
                size_mm=float(size),
                seed=int(rng.integers(2**31)),
            )
        )
    return out


def tissue_in_view(
    rng: np.random.Generator, rig: EndoscopeRig, surface_mm: SurfaceMm
) -> np.ndarray | None:
    """A point of the tissue under a pixel of the picture's inner part, mm; None = not found."""
    width, height = rig.image_size
    u = width * float(np.clip(rng.normal(0.5, 0.19), 0.1, 0.9))
    v = height * float(np.clip(rng.normal(0.5, 0.17), 0.12, 0.88))
    ray = np.array([(u - rig.cx_px) / rig.focal_px, (v - rig.cy_px) / rig.focal_px, 1.0])
    # The first place along the ray that lies below the surface.
    z = np.geomspace(10.0, 400.0, 160)
    height_mm = np.asarray(surface_mm(ray[0] * z, ray[1] * z), np.float64)
    with np.errstate(invalid='ignore'):
        below = np.flatnonzero(height_mm <= z)
    if below.size == 0 or z[below[0]] < 1.2 * rig.nearest_mm or below[0] == 0:
        return None
    last = below[0]
    before, after = z[last - 1] - height_mm[last - 1], z[last] - height_mm[last]
    if not np.isfinite(before):
        return None
    share = before / (before - after) if before != after else 1.0
    return ray * (z[last - 1] + share * (z[last] - z[last - 1]))


def _normal(surface_mm: SurfaceMm, place: np.ndarray) -> Vector:
    """Of the tissue, towards the camera."""
    x = place[0] + np.array([-0.8, 0.8, 0.0, 0.0])
    y = place[1] + np.array([0.0, 0.0, -0.8, 0.8])
    z = np.asarray(surface_mm(x, y), np.float64)
    slope = np.array([z[1] - z[0], z[3] - z[2], -1.6])
    slope = slope if np.isfinite(slope).all() else np.array([0.0, 0.0, -1.0])
    return vector(slope / np.linalg.norm(slope))


def vector(values: Sequence[float] | np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
