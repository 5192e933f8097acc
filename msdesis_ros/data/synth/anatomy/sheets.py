"""Thin and fluid bodies from their numbers: wrinkled sheets and pools, at rest."""

from __future__ import annotations

import numpy as np

from msdesis_ros.data.synth.anatomy.description import Pool, Sheet
from msdesis_ros.data.synth.anatomy.patches import Patch, disc, faces_away, lengths, unit
from msdesis_ros.data.synth.anatomy.surface import SurfaceMap
from msdesis_ros.data.synth.anatomy.waves import Waves, curve, smoothstep

SHEET_ROWS, SHEET_COLUMNS = 30, 58
POOL_SIDE = 36


def sheet_patch(sheet: Sheet, rng: np.random.Generator) -> Patch:
    """A wrinkled sheet between two curves."""
    columns, rows = SHEET_COLUMNS, SHEET_ROWS
    first = curve(np.array(sheet.first_edge_mm), columns)
    second = curve(np.array(sheet.second_edge_mm), columns)
    if sheet.ragged:
        reach = (second - first) * 0.5
        second = second + sheet.ragged * reach * Waves(
            rng, float(np.linalg.norm(second[-1] - second[0])) * 0.4, octaves=3, falloff=0.4
        )(second)[:, None]  # fmt: skip
    share = np.linspace(0, 1, rows)[:, None, None]
    grid = first[None] * (1 - share) + second[None] * share
    grid = grid + np.sin(np.pi * share) * np.array(sheet.sag_mm)
    flat = np.stack(
        np.broadcast_arrays(
            np.linalg.norm(second - first, axis=1).mean() * share[..., 0] * 0.35,
            np.linspace(0, np.linalg.norm(np.diff(first, axis=0), axis=1).sum(), columns)[None],
            0.0,
        ),
        axis=-1,
    )
    normal = unit(np.cross(np.gradient(grid, axis=1), np.gradient(grid, axis=0)))
    wave = Waves(rng, sheet.wrinkle_scale_mm, octaves=3)(flat)
    grid = grid + normal * (sheet.wrinkle_mm * wave)[..., None]
    facing = np.sign((normal * grid).sum(-1).mean()) or 1.0
    openness = 1 - 0.45 * smoothstep(0.1, 0.9, facing * wave)
    coords = flat[..., 1::-1] * np.array([1.0, 1 / 0.35]) + rng.uniform(0, 500, 2)
    return Patch(grid, coords, openness, inside_out=faces_away(grid))


def pool_patch(pool: Pool, surface: SurfaceMap, rng: np.random.Generator) -> Patch:
    """A level disc above the ground, whose rim dips below it."""
    x, y = disc(POOL_SIDE)
    centre = _hollow(np.array(pool.centre_mm), 1.2 * pool.radius_mm, surface)
    flat = np.stack([x, y, pool.tilt[0] * x + pool.tilt[1] * y], axis=-1) * pool.radius_mm
    away = np.hypot(x, y) + 0.22 * Waves(rng, 1.2 * pool.radius_mm)(flat)
    grid = flat + centre - np.array([0, 0, pool.depth * pool.radius_mm])
    ground = surface(grid[..., 0] / grid[..., 2], grid[..., 1] / grid[..., 2])
    # A film that follows the ground takes over towards the rim, and ends below it.
    edge = smoothstep(0.35, 1.0, away)
    film = ground + pool.radius_mm * (0.22 * smoothstep(0.55, 0.95, away) - 0.05)
    level = np.minimum(grid[..., 2], ground + 0.1 * pool.radius_mm)
    grid[..., 2] = level * (1 - edge) + film * edge
    grid[..., 2] += 0.004 * pool.radius_mm * Waves(rng, pool.radius_mm)(flat)
    return Patch(grid, lengths(grid), np.ones(x.shape), inside_out=True)


def _hollow(about_mm: np.ndarray, reach_mm: float, surface: SurfaceMap) -> np.ndarray:
    """The point of the surface near another that lies deepest in what is around it."""
    x, y = disc(9)
    share = reach_mm / about_mm[2]
    u, v = about_mm[0] / about_mm[2] + share * x, about_mm[1] / about_mm[2] + share * y
    ring = np.linspace(0, 2 * np.pi, 9)[:-1]
    around = surface(
        u[..., None] + 0.6 * share * np.cos(ring), v[..., None] + 0.6 * share * np.sin(ring)
    )
    deep = np.log(surface(u, v)) - np.log(around).max(axis=-1)
    best = np.unravel_index(int(np.argmax(deep)), deep.shape)
    ray = np.array([u[best], v[best], 1.0])
    return ray * float(surface(ray[0], ray[1]))
