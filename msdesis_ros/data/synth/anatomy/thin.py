"""Thin structures and drops, laid onto the surfaces that are already there."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from msdesis_ros.data.synth.anatomy.description import Drops, Sheet, Strands
from msdesis_ros.data.synth.anatomy.patches import Patch, disc, lengths, rings, smoothed
from msdesis_ros.data.synth.anatomy.surface import SurfaceMap
from msdesis_ros.data.synth.anatomy.waves import Waves, curve, smoothstep

LINE_POINTS = 30
DROP_SIDE, SMALL_DROP_SIDE = 26, 9


def strand_segments(radius_mm: float, depth_mm: float) -> int:
    """Sides of a strand."""
    return 5 if radius_mm < 0.012 * depth_mm else 12


def on_surface(points: np.ndarray, surface: SurfaceMap) -> np.ndarray:
    """Points moved along their directions onto the surface, N x 3."""
    ray = points / points[:, 2:]
    return ray * surface(ray[:, 0], ray[:, 1])[:, None]


def strand_patches(strands: Strands, surface: SurfaceMap, rng: np.random.Generator) -> list[Patch]:
    """One patch a line."""
    lines = [curve(np.array(line), LINE_POINTS) for line in strands.lines_mm]
    radii = list(strands.radii_mm)
    if strands.hold == 'ends':
        # Strands bridge gaps: leave out those that would only lie there.
        gaps = [_gap(line, surface) for line in lines]
        kept = [k for k, gap in enumerate(gaps) if gap > 0.03] or [int(np.argmax(gaps))]
        lines, radii = [lines[k] for k in kept], [radii[k] for k in kept]
    return [
        _strand(strands, line, radius, surface, rng)
        for line, radius in zip(lines, radii, strict=True)
    ]


def _gap(path: np.ndarray, surface: SurfaceMap) -> float:
    """How far a stretched line stands off the surface, a share of its depth."""
    held = held_line(path, surface, bury_mm=0.0)
    return float(np.max(np.log(on_surface(held, surface)[:, 2] / held[:, 2])))


def _strand(
    strands: Strands,
    path: np.ndarray,
    radius_mm: float,
    surface: SurfaceMap,
    rng: np.random.Generator,
) -> Patch:
    share = np.linspace(0, 1, len(path))
    segments = strand_segments(radius_mm, float(path[0, 2]))
    if strands.hold == 'ends':
        path = held_line(path, surface, bury_mm=2.0 * strands.flare * radius_mm)
    elif strands.hold == 'draped':
        path = _without_jumps(on_surface(path, surface))
        # Across a furrow it is stretched; on a bulge it lies.
        depth = np.minimum(path[:, 2], smoothed(path[:, 2], 2))
        path = path * (depth / path[:, 2])[:, None]
    radius = radius_mm * (1 - strands.taper * share)
    if strands.hold == 'ends':
        radius = radius * (1 + (strands.flare - 1) * (np.abs(2 * share - 1) ** 5))
    if strands.hold == 'draped':
        radius = radius * np.sqrt(np.clip(np.minimum(share, 1 - share) / 0.07, 0.02, 1))
        lift = np.maximum(strands.lift * radius, 0.003 * path[:, 2])
        path = path * (1 - lift / path[:, 2])[:, None]
    around, facing = rings(path, segments)
    swell = around * radius[None, :, None]
    swell -= strands.flat * (swell * facing).sum(-1, keepdims=True) * facing
    grid = path[None] + swell
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    turn = np.linspace(0, 2 * np.pi, len(around))[:, None] * radius_mm
    coords = np.stack(np.broadcast_arrays(way[None], turn), axis=-1) + rng.uniform(0, 500, 2)
    return Patch(grid, coords, np.ones(grid.shape[:2]), closed_rows=True)


def drop_side(drops: Drops) -> int:
    """Points along a side of a drop's grid."""
    return DROP_SIDE if len(drops.radii_mm) <= 3 else SMALL_DROP_SIDE


def held_line(path: np.ndarray, surface: SurfaceMap, *, bury_mm: float) -> np.ndarray:
    """P x 3: both ends buried in the surface, the rest stretched between them before it."""
    share = np.linspace(0, 1, len(path))
    ends = on_surface(path[[0, -1]], surface)
    scale = (ends[:, 2] + bury_mm) / path[[0, -1], 2]
    path = path * (scale[0] * (1 - share) + scale[1] * share)[:, None]
    hit = on_surface(path, surface)
    # What would run behind a surface lies before it instead.
    lift = (bury_mm + 0.01 * path[:, 2]) * np.sin(np.pi * share)
    depth = np.minimum(path[:, 2], hit[:, 2] - lift + bury_mm)
    smooth = np.minimum(smoothed(depth), depth)
    inner = smoothstep(0.0, 0.15, share) * smoothstep(0.0, 0.15, 1 - share)
    depth = depth * (1 - inner) + smooth * inner
    return path * (depth / path[:, 2])[:, None]


def held_sheet(sheet: Sheet, surface: SurfaceMap) -> Sheet:
    """The sheet with its edges stretched between the surfaces that it is held by."""
    edges = []
    for edge in (sheet.first_edge_mm, sheet.second_edge_mm):
        line = curve(np.array(edge), LINE_POINTS)
        line = held_line(line, surface, bury_mm=0.02 * float(line[0, 2]))
        edges.append(tuple((float(x), float(y), float(z)) for x, y, z in line[::3]))
    return replace(sheet, first_edge_mm=edges[0], second_edge_mm=edges[1])


def laid_over(patch: Patch, surface: SurfaceMap) -> Patch:
    """A loose sheet brought to the front of what it would cut through."""
    grid = patch.grid
    ground = surface(grid[..., 0] / grid[..., 2], grid[..., 1] / grid[..., 2])
    over = np.clip(np.log(grid[..., 2] / ground) + 0.02, 0, None)
    over = np.maximum(over, cv2.GaussianBlur(over, (0, 0), 1.5))
    return replace(patch, grid=grid * np.exp(-over)[..., None])


def _without_jumps(path: np.ndarray) -> np.ndarray:
    """The longest piece that does not leap to another surface, as many points."""
    leaps = np.flatnonzero(np.abs(np.diff(np.log(path[:, 2]))) > 0.06)
    if not len(leaps):
        return path
    ends = np.concatenate([[0], leaps + 1, [len(path)]])
    longest = int(np.argmax(np.diff(ends)))
    piece = path[ends[longest] : ends[longest + 1]]
    if len(piece) == 1:
        piece = np.concatenate([piece, piece * 1.002])
    return curve(piece, len(path))


def drop_patches(drops: Drops, surface: SurfaceMap, rng: np.random.Generator) -> list[Patch]:
    """One dome a drop, irregular in outline; it follows the ground and its rim is buried."""
    places = on_surface(np.array(drops.places_mm), surface)
    patches = []
    for place, radius in zip(places, drops.radii_mm, strict=True):
        x, y = disc(drop_side(drops))
        turn = np.arctan2(y, x)
        outline = 1 + sum(
            rng.uniform(0.1, 0.35) / np.sqrt(k) * np.sin(k * turn + rng.uniform(0, 6.3))
            for k in (1, 2, 3)
        )
        stretch = rng.uniform(0.75, 1.3)
        flat = np.stack([x * outline * stretch, y * outline / stretch], axis=-1) * radius
        away = np.hypot(x, y)
        dome = np.sqrt(np.clip(1 - away**2, 0, 1)) - 0.5 * smoothstep(0.8, 1.0, away)
        lateral = place[:2] + flat
        ground = surface(lateral[..., 0] / place[2], lateral[..., 1] / place[2])
        ground = np.clip(ground, place[2] - 1.5 * radius, place[2] + 1.5 * radius)
        if drop_side(drops) == DROP_SIDE:
            bumps = Waves(rng, 0.8 * radius, octaves=2)
            dome = dome + 0.35 * bumps(np.concatenate([flat, 0 * flat[..., :1]], axis=-1)) * (
                1 - smoothstep(0.7, 1.0, away)
            )
        depth = ground - drops.height * radius * dome
        grid = np.concatenate([lateral, depth[..., None]], axis=-1)
        coords = lengths(grid) + rng.uniform(0, 500, 2)
        patches.append(Patch(grid, coords, np.ones(x.shape), inside_out=True))
    return patches
