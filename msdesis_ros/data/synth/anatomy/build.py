"""From the numbers of an anatomy to bodies at a time, and the surface that tools can touch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from msdesis_ros.data.synth.anatomy import patches as solid
from msdesis_ros.data.synth.anatomy.description import (
    FARTHEST_MM,
    AnatomyScene,
    Drops,
    Lobe,
    Motion,
    Organ,
    Pool,
    Shape,
    Sheet,
    Stains,
    Strands,
    Tube,
    Wall,
)
from msdesis_ros.data.synth.anatomy.patches import Patch
from msdesis_ros.data.synth.anatomy.sheets import pool_patch, sheet_patch
from msdesis_ros.data.synth.anatomy.surface import (
    Crevices,
    SurfaceMap,
    seen_along_z,
    seen_from_camera,
)
from msdesis_ros.data.synth.anatomy.thin import drop_patches, held_sheet, laid_over, strand_patches
from msdesis_ros.data.synth.anatomy.waves import Waves, smoothstep
from msdesis_ros.data.synth.assembly import Body, Material
from msdesis_ros.data.synth.mesh import grid_mesh, merged

# Of x / z, y / z: somewhat more than a picture shows, for lines that begin outside of it.
VIEW_REACH = 1.3
# x and y that `surface_of` knows, in units of the scene's distance.
TOUCH_REACH = 1.2


def build_anatomy(scene: AnatomyScene, time_s: float) -> list[Body]:
    """The bodies of a scene at a time, in the order of its description.

    Meshes deform smoothly with time; their normals follow. All have the parts and types of
    background. What stays the same (shapes at rest, colours) is kept between calls.
    """
    bodies = []
    for rest in _at_rest(scene):
        meshes = [
            grid_mesh(
                _moved(piece, scene, time_s),
                coords=piece.patch.coords,
                paint=piece.paint,
                closed_rows=piece.patch.closed_rows,
                inside_out=piece.patch.inside_out,
            )
            for piece in rest.pieces
        ]
        bodies.append(Body(merged(meshes), rest.material))
    return bodies


def surface_of(
    scene: AnatomyScene, time_s: float
) -> Callable[[np.ndarray | float, np.ndarray | float], np.ndarray]:
    """The tissue's surface at a time, as a function surface_mm(x_mm, y_mm) -> z_mm.

    z_mm is where a line along z meets the first surface, for arrays of any shape, float64; within
    about 1 % of the distance on smooth surfaces. Beyond 1.2 distances from the axis it is that
    of the border. Thin structures and drops do not count.
    """
    grids = [
        _moved(piece, scene, time_s)
        for rest, body in zip(_at_rest(scene), scene.bodies, strict=True)
        for piece in rest.pieces
        if not isinstance(body.shape, (Strands, Drops))
    ]
    return seen_along_z(grids, reach_mm=TOUCH_REACH * scene.distance_mm)


@dataclass(frozen=True, eq=False)
class _Piece:
    """A patch with its paint and with what its motion needs at each point."""

    patch: Patch
    paint: np.ndarray
    lag: np.ndarray
    beat: np.ndarray


@dataclass(frozen=True, eq=False)
class _RestBody:
    material: Material
    pieces: tuple[_Piece, ...]


@functools.lru_cache(maxsize=4)
def _at_rest(scene: AnatomyScene) -> tuple[_RestBody, ...]:
    shaped, surface = _shapes(scene)
    crevices = Crevices(surface)
    motion_rng = np.random.default_rng([scene.seed, 1])
    lag = Waves(motion_rng, 1.5 * scene.distance_mm, octaves=1)
    rest = []
    for body, group in zip(scene.bodies, shaped, strict=True):
        rng = np.random.default_rng([body.seed, 2])
        painter = _painter(body.stains, rng)
        pieces = []
        for patch in group:
            light = patch.open * crevices(patch.grid)
            pieces.append(
                _Piece(
                    patch,
                    painter(patch.grid, light),
                    lag(patch.grid),
                    _heart_share(scene.motion, patch.grid),
                )
            )
        rest.append(_RestBody(body.material, tuple(pieces)))
    return tuple(rest)


def _shapes(scene: AnatomyScene) -> tuple[list[list[Patch]], SurfaceMap]:
    """Solid bodies first; then what is laid onto their surface."""
    shaped: list[list[Patch] | None] = []
    for body in scene.bodies:
        rng = np.random.default_rng([body.seed, 0])
        shaped.append(_solid(body.shape, rng))
    wall, group = scene.bodies[0].shape, shaped[0]
    bulky = [
        patch.grid
        for body, group in zip(scene.bodies[1:], shaped[1:], strict=True)
        if group and not isinstance(body.shape, Sheet)
        for patch in group
    ]
    if isinstance(wall, Wall) and group and wall.cling and bulky:
        front = seen_from_camera([group[0].grid, *bulky], reach=VIEW_REACH)
        shaped[0] = [solid.clung(group[0], front, wall.cling)]
    grids = [patch.grid for group in shaped if group for patch in group]
    surface = seen_from_camera(grids, reach=VIEW_REACH)
    groups = [
        group
        if group is not None
        else _laid(body.shape, surface, np.random.default_rng([body.seed, 0]))
        for body, group in zip(scene.bodies, shaped, strict=True)
    ]
    return groups, surface


def _solid(shape: Shape, rng: np.random.Generator) -> list[Patch] | None:
    if isinstance(shape, Wall):
        return [solid.wall_patch(shape, rng)]
    if isinstance(shape, Organ):
        return [solid.organ_patch(shape, rng)]
    if isinstance(shape, Lobe):
        return [solid.lobe_patch(shape, rng)]
    if isinstance(shape, Tube):
        return [solid.tube_patch(shape, rng)]
    if isinstance(shape, Sheet) and not (shape.held or shape.loose):
        return [sheet_patch(shape, rng)]
    return None


def _laid(shape: Shape, surface: SurfaceMap, rng: np.random.Generator) -> list[Patch]:
    if isinstance(shape, Strands):
        return strand_patches(shape, surface, rng)
    if isinstance(shape, Drops):
        return drop_patches(shape, surface, rng)
    if isinstance(shape, Sheet):
        held = held_sheet(shape, surface) if shape.held else shape
        patch = sheet_patch(held, rng)
        return [patch if shape.held else laid_over(patch, surface)]
    assert isinstance(shape, Pool)
    return [pool_patch(shape, surface, rng)]


def _painter(
    stains: Stains, rng: np.random.Generator
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    second, blood, char = (Waves(rng, stains.scale_mm * size) for size in (2.0, 1.0, 0.8))

    def paint(grid: np.ndarray, light: np.ndarray) -> np.ndarray:
        layers = [
            np.clip(stains.second + stains.second_spread * second(grid), 0, 1),
            _covered(stains.blood, blood, grid),
            _covered(stains.char, char, grid),
            np.clip(light, 0.05, 1),
        ]
        return np.stack(layers, axis=-1)

    return paint


def _covered(share: float, waves: Waves, grid: np.ndarray) -> np.ndarray:
    """0..1, above a half on about `share` of the surface."""
    if share <= 0:
        return np.zeros(grid.shape[:2])
    # Waves have a deviation of about 0.6; this is the logistic stand-in for its quantile.
    level = 0.6 / 1.702 * np.log((1 - share) / share) if share < 1 else -9.0
    return 0.65 * smoothstep(level - 0.7, level + 0.7, waves(grid))


def _heart_share(motion: Motion, grid: np.ndarray) -> np.ndarray:
    away = np.linalg.norm(grid - np.array(motion.heart_mm), axis=-1)
    return np.exp(-((away / motion.heart_radius_mm) ** 2))


def _moved(piece: _Piece, scene: AnatomyScene, time_s: float) -> np.ndarray:
    """The patch's points at a time, R x C x 3."""
    motion, patch = scene.motion, piece.patch
    breath = np.sin(2 * np.pi * motion.breathing_hz * time_s + motion.phase + 0.5 * piece.lag)
    grid = patch.grid + breath[..., None] * np.array(motion.breathing_mm)
    if motion.heartbeat_mm:
        turn = 2 * np.pi * motion.heartbeat_hz * time_s + motion.phase - 0.8 * piece.lag
        pulse = np.sin(turn) + 0.35 * np.sin(2 * turn + 0.6)
        grid = grid - (motion.heartbeat_mm * pulse * piece.beat)[..., None] * np.array(
            [0.25, 0.15, 1.0]
        )
    if motion.peristalsis and patch.swell is not None and patch.way is not None:
        wave = np.sin(
            2 * np.pi * (patch.way / motion.peristalsis_mm - motion.peristalsis_hz * time_s)
        )
        grid = grid + motion.peristalsis * wave[..., None] * patch.swell
    return _kept_in_range(grid, scene.nearest_mm)


def _kept_in_range(grid: np.ndarray, nearest_mm: float) -> np.ndarray:
    """Bend what would come too near or be too far; what is well within stays where it is."""
    depth = grid[..., 2]
    soft = 0.08 * nearest_mm
    if depth.min() < nearest_mm + 6 * soft:
        depth = nearest_mm + soft * np.logaddexp(0, (depth - nearest_mm) / soft)
    if depth.max() > FARTHEST_MM - 30:
        depth = FARTHEST_MM - 5 * np.logaddexp(0, (FARTHEST_MM - depth) / 5)
    if depth is grid[..., 2]:
        return grid
    return np.concatenate([grid[..., :2], depth[..., None]], axis=-1)


def triangle_count(bodies: Sequence[Body]) -> int:
    """Triangles of all bodies."""
    return sum(len(body.mesh.faces) for body in bodies)
