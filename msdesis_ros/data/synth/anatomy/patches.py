"""Solid bodies from their numbers: grids of points at rest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from msdesis_ros.data.synth.anatomy.description import Lobe, Organ, Tube, Wall
from msdesis_ros.data.synth.anatomy.surface import SurfaceMap
from msdesis_ros.data.synth.anatomy.waves import Waves, curve, smoothstep, turned

WALL_REACH = 1.55  # x / z and y / z that a wall covers; a picture shows 0.4 to 0.8
WALL_ROWS, WALL_COLUMNS = 92, 116
LOBE_ROWS, LOBE_COLUMNS = 36, 58
TUBE_POINTS, TUBE_SEGMENTS = 78, 26


@dataclass(frozen=True, eq=False)
class Patch:
    """A grid of points at rest, R x C x 3 float64, mm.

    coords: R x C x 2, mm along the surface. open: R x C, 0..1, less in folds. swell: R x C x 3
    or None: from a tube's axis to its skin; way: R x C, mm along the tube.
    """

    grid: np.ndarray
    coords: np.ndarray
    open: np.ndarray
    closed_rows: bool = False
    inside_out: bool = False
    swell: np.ndarray | None = None
    way: np.ndarray | None = None


def wall_patch(wall: Wall, rng: np.random.Generator) -> Patch:
    """The wall over directions, denser in the middle of the view."""
    v = _spread(WALL_ROWS)[:, None] * WALL_REACH
    u = _spread(WALL_COLUMNS)[None, :] * WALL_REACH
    u, v = np.broadcast_arrays(u, v)
    ray = np.stack([u, v, np.ones_like(u)], axis=-1)
    growth = wall.tilt[0] * u + wall.tilt[1] * v - wall.bowl * np.log1p(u * u + v * v)
    smooth = np.zeros_like(u)  # what the texture follows
    relief = wall.relief * Waves(rng, wall.relief_scale, octaves=3, falloff=0.42)(ray)
    dark = np.zeros_like(u)
    if wall.folds:
        along = np.array([np.cos(wall.fold_angle), np.sin(wall.fold_angle)])
        turn = np.stack([u * along[0] + v * along[1], (v * along[0] - u * along[1]) * 2], axis=-1)
        turn = np.concatenate([turn, np.ones_like(turn[..., :1])], axis=-1)
        crest = Waves(rng, 3 * wall.fold_scale)(turn)
        furrow = np.exp(-((crest / 0.4) ** 2))
        relief = relief + wall.folds * (furrow - 0.4 * crest**2)
        dark += np.clip(wall.folds * 12, 0, 0.6) * furrow
    bend = 0.06 * Waves(rng, 0.5)(ray)
    for x, y, radius, deeper in wall.hollows:
        away = np.hypot(u - x, v - y) / radius + bend * 2
        smooth = smooth + deeper * (1 - smoothstep(0.35, 1.15, away))
    for angle, offset, softness, nearer in wall.cliffs:
        beyond = u * np.cos(angle) + v * np.sin(angle) + bend - offset
        smooth = smooth + nearer * smoothstep(0, softness, beyond)
    for x, y, angle, half_length, half_width, deeper in wall.slits:
        lengthwise = (u - x) * np.cos(angle) + (v - y) * np.sin(angle)
        across = (v - y) * np.cos(angle) - (u - x) * np.sin(angle) + 0.15 * bend
        inside = (1 - smoothstep(0.5, 1.3, np.abs(across) / half_width)) * (
            1 - smoothstep(0.7, 1.1, np.abs(lengthwise) / half_length)
        )
        relief = relief + deeper * inside
        dark += 0.7 * inside
    grid = ray * (wall.distance_mm * np.exp(growth + smooth + relief))[..., None]
    coords = ray[..., :2] * (wall.distance_mm * np.exp(growth + 0.5 * smooth))[..., None]
    return Patch(grid, coords + rng.uniform(0, 500, 2), 1 - np.clip(dark, 0, 0.8), inside_out=True)


def clung(wall: Patch, surface: SurfaceMap, cling: float) -> Patch:
    """The wall drawn up to what stands before it, and smooth where they meet."""
    ray = wall.grid[..., :2] / wall.grid[..., 2:]
    depth = np.log(wall.grid[..., 2])
    ahead = depth - np.log(np.maximum(surface(ray[..., 0], ray[..., 1]), 1.0))
    ahead = np.clip(ahead, 0, 0.35).astype(np.float32)
    close = smoothstep(0.0, 0.06, cv2.GaussianBlur(ahead, (0, 0), 3.5))
    calm = cv2.GaussianBlur(depth, (0, 0), 3.5)
    # Never the whole way, so that it stays behind what is in the middle of a body.
    raised = sum(0.33 * cling * cv2.GaussianBlur(ahead, (0, 0), sigma) for sigma in (2.2, 5.0))
    new = depth * (1 - close) + calm * close - raised
    return replace(wall, grid=wall.grid * np.exp(new - depth)[..., None])


def organ_side(organ: Organ) -> int:
    """Points along a side of its grid: as fine as the organ is large in view."""
    share = max(organ.size_mm[:2]) / max(organ.centre_mm[2], 1.0)
    return int(np.clip(18 + 100 * share, 24, 58))


def organ_patch(organ: Organ, rng: np.random.Generator) -> Patch:
    """The part of a lumpy ellipsoid that is turned to the camera, and some more."""
    size = np.array(organ.size_mm)
    x, y = disc(organ_side(organ))
    radius = np.hypot(x, y)
    angle = radius * np.radians(128)
    scale = np.sin(angle) / np.maximum(radius, 1e-9)
    ball = np.stack([x * scale, y * scale, -np.cos(angle)], axis=-1)
    small = float(size.min())
    shape = ball * size
    waves = Waves(rng, organ.lump_scale * small * 1.6, octaves=3)
    broad = Waves(rng, 3.2 * small, octaves=1)
    lump = (1 - organ.puffy) * waves(shape)
    if organ.puffy:
        lump = lump + organ.puffy * Waves(rng, organ.lump_scale * small * 2.2).puffs(shape)
    shape = (
        shape * (1 + (organ.lumps * lump + 0.10 * broad(shape)) * small / size.max())[..., None]
    )
    grid = shape @ turned(organ.rotation).T + np.array(organ.centre_mm)
    openness = 1 - np.clip(2.0 * organ.lumps, 0, 0.5) * (1 - smoothstep(-0.5, 0.1, lump))
    coords = np.stack([x * size[0], y * size[1]], axis=-1) * np.radians(115)
    return Patch(grid, coords + rng.uniform(0, 500, 2), openness, inside_out=True)


def lobe_patch(lobe: Lobe, rng: np.random.Generator) -> Patch:
    """Both faces of a flap around its edge; the outer face is the one near the camera."""
    columns, rows = LOBE_COLUMNS, LOBE_ROWS
    edge = curve(np.array(lobe.edge_mm), columns)
    inward = np.array(lobe.inward_mm, np.float64)
    length = float(np.linalg.norm(inward))
    inward = inward / length
    along = np.gradient(edge, axis=0)
    out = unit(np.cross(along, inward))
    out[(out * edge).sum(-1) > 0] *= -1  # towards the camera
    wave = Waves(rng, length * 0.55, octaves=2)
    edge = edge + lobe.waviness_mm * wave(edge)[:, None] * inward
    # More rows near the edge, where it bends.
    across = np.linspace(-0.75, 1, rows)
    across = np.sign(across) * np.abs(across) ** 1.7
    into = np.abs(across) ** lobe.sharpness
    nose = lobe.thickness_mm * 0.16
    thick = np.sign(across) * lobe.thickness_mm * np.abs(across) ** 0.8
    bulge = lobe.bulge_mm * np.sin(np.clip(np.abs(across), 0, 1) * np.pi / 1.6) * (across > 0)
    deep = into * length + nose * 0.0
    grid = edge[None] + deep[:, None, None] * inward + (thick + bulge)[:, None, None] * out[None]
    coords = lengths(grid) + rng.uniform(0, 500, 2)
    relief = Waves(rng, length * 0.35, octaves=3)(grid)
    grid = (
        grid
        + (0.035 * length * relief * np.clip(np.abs(across) * 4, 0, 1)[:, None])[..., None] * out
    )
    openness = np.where(across[:, None] < 0, 0.55, 1.0) * np.ones((1, columns))
    return Patch(grid, coords, openness, inside_out=faces_away(grid))


def tube_patch(tube: Tube, rng: np.random.Generator) -> Patch:
    """A tube whose cross-section varies along its way."""
    path = curve(np.array(tube.path_mm), TUBE_POINTS)
    step = np.linalg.norm(np.diff(path, axis=0), axis=1)
    way = np.concatenate([[0], np.cumsum(step)])
    share = way / way[-1]
    knots = np.linspace(0, 1, len(tube.profile))
    radius = smoothed(np.interp(share, knots, tube.profile)) * tube.radius_mm
    if tube.profile[0] < 0.6:
        radius *= np.sqrt(np.clip(way / (0.9 * tube.radius_mm), 0.01, 1))
    if tube.profile[-1] < 0.6:
        radius *= np.sqrt(np.clip((way[-1] - way) / (0.9 * tube.radius_mm), 0.01, 1))
    around, facing = rings(path, TUBE_SEGMENTS)
    lean = Waves(rng, 5 * tube.radius_mm, octaves=2)
    turn = np.linspace(0, 2 * np.pi, len(around))[:, None]
    dark = np.zeros((len(around), len(path)))
    factor = np.ones_like(dark)
    if tube.haustra:
        uneven = 0.9 * lean(path * 1.0) * np.pi
        beat = np.cos(2 * np.pi * way / tube.haustra_mm + uneven)[None] * np.ones_like(turn)
        pinch = np.clip(0.5 - 0.5 * beat, 0, 1) ** 3
        factor -= tube.haustra * pinch * (0.8 + 0.3 * np.sin(turn + uneven[None]))
        dark += 0.5 * min(1.0, 4 * tube.haustra) * pinch
    skin = path[None] + around * tube.radius_mm
    factor += tube.lumps * Waves(rng, 2.2 * tube.radius_mm, octaves=3)(skin)
    swell = around * (radius * factor)[..., None]
    swell -= tube.flat * (swell * facing).sum(-1, keepdims=True) * facing
    grid = path[None] + swell
    coords = np.stack(np.broadcast_arrays(way[None], turn * tube.radius_mm), axis=-1)
    return Patch(
        grid,
        coords + rng.uniform(0, 500, 2),
        1 - np.clip(dark, 0, 0.5),
        closed_rows=True,
        swell=swell,
        way=np.broadcast_to(way[None], dark.shape),
    )


def disc(side: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of a square grid of points that fills the unit disc."""
    step = np.linspace(-1, 1, side)
    a, b = np.meshgrid(step, step)
    return a * np.sqrt(1 - b * b / 2), b * np.sqrt(1 - a * a / 2)


def _spread(count: int) -> np.ndarray:
    """-1..1, closer together about 0."""
    even = np.linspace(-1, 1, count)
    return even * (0.6 + 0.4 * even * even)


def rings(path: np.ndarray, segments: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around a path, without twist, S + 1 x P x 3, starting at the back; and 1 x P
    x 3 unit vectors across the path that point at the camera."""
    ahead = unit(np.gradient(path, axis=0))
    view = unit(path)
    back = view - (view * ahead).sum(-1, keepdims=True) * ahead
    back = back + 1e-3 * np.array([0.3, 0.2, 1.0])
    back = unit(back - (back * ahead).sum(-1, keepdims=True) * ahead)
    side = np.cross(ahead, back)
    turn = np.linspace(0, 2 * np.pi, segments + 1)[:, None, None]
    return np.cos(turn) * back + np.sin(turn) * side, back[None]


def lengths(grid: np.ndarray) -> np.ndarray:
    """R x C x 2: mm along the rows and columns, from the middle of the grid."""
    rows, columns = grid.shape[:2]
    across = np.linalg.norm(np.diff(grid, axis=1), axis=-1)
    down = np.linalg.norm(np.diff(grid, axis=0), axis=-1)
    u = np.concatenate([np.zeros((rows, 1)), np.cumsum(across, axis=1)], axis=1)
    v = np.concatenate([np.zeros((1, columns)), np.cumsum(down, axis=0)], axis=0)
    return np.stack([u - u[:, columns // 2, None], v - v[None, rows // 2]], axis=-1)


def faces_away(grid: np.ndarray) -> bool:
    """Whether d/dc x d/dr points away from the camera on most of what it sees."""
    normal = np.cross(np.gradient(grid, axis=1), np.gradient(grid, axis=0))
    return bool((normal * grid).sum() > 0)


def smoothed(values: np.ndarray, reach: int = 6) -> np.ndarray:
    """A running mean of N values over about `reach` to each side."""
    kernel = np.hanning(2 * reach + 1)
    kernel /= kernel.sum()
    return np.convolve(np.pad(values, reach, mode='edge'), kernel, mode='valid')


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (... x 3) of length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
