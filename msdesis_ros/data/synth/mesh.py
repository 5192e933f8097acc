"""Triangle meshes with what the renderer needs at each vertex, and how to build them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface in its own frame, mm.

    positions: N x 3 float32. normals: N x 3 float32, unit, outwards. tangents: N x 3 float32,
    unit, along the first texture coordinate; a highlight on brushed metal is long along them, so
    the brushing runs across. coords: N x 2
    float32, millimetres along the surface, so that a texture has one size on every body.
    paint: N x 4 float32 in 0..1: how much of the material's second colour, how bloody, how
    charred, and how open to the light (1 = open, less in folds and gaps). faces: M x 3 int32.
    """

    positions: np.ndarray
    normals: np.ndarray
    tangents: np.ndarray
    coords: np.ndarray
    paint: np.ndarray
    faces: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.positions)
        for name, width in (('positions', 3), ('normals', 3), ('tangents', 3), ('coords', 2)):
            _require_shape(name, getattr(self, name), (count, width))
        _require_shape('paint', self.paint, (count, 4))
        _require_shape('faces', self.faces, (len(self.faces), 3))

    def transformed(self, pose: np.ndarray) -> Mesh:
        """The mesh moved by a rigid 4 x 4 pose."""
        rotation = pose[:3, :3].astype(np.float32)
        return replace(
            self,
            positions=self.positions @ rotation.T + pose[:3, 3].astype(np.float32),
            normals=self.normals @ rotation.T,
            tangents=self.tangents @ rotation.T,
        )


def _require_shape(name: str, array: np.ndarray, shape: tuple[int, int]) -> None:
    if array.shape != shape:
        raise ValueError(f'{name} of a mesh has the shape {array.shape}; expected {shape}')


def merged(meshes: Sequence[Mesh]) -> Mesh:
    """All meshes as one."""
    offsets = np.cumsum([0, *(len(mesh.positions) for mesh in meshes[:-1])])
    return Mesh(
        *(
            np.concatenate([getattr(mesh, name) for mesh in meshes])
            for name in ('positions', 'normals', 'tangents', 'coords', 'paint')
        ),
        faces=np.concatenate(
            [mesh.faces + offset for mesh, offset in zip(meshes, offsets, strict=True)]
        ).astype(np.int32),
    )


def grid_mesh(
    positions: np.ndarray,
    *,
    coords: np.ndarray | None = None,
    paint: np.ndarray | None = None,
    closed_rows: bool = False,
    closed_columns: bool = False,
    inside_out: bool = False,
) -> Mesh:
    """A surface through a grid of points, with smooth normals.

    positions: R x C x 3, mm. A closed direction is one whose last row (or column) is at the same
    place as its first: normals are made alike there. Normals point along columns x rows
    (d/dc x d/dr), the other way if `inside_out`. coords: R x C x 2, mm; by default the length of
    the way along each direction. paint: R x C x 4, by default plain and open.
    """
    grid = positions.astype(np.float64)
    along_rows, along_columns = _slope(grid, 0, closed_rows), _slope(grid, 1, closed_columns)
    normals = _unit(np.cross(along_columns, along_rows))
    if inside_out:
        normals = -normals
    tangents = along_columns - (along_columns * normals).sum(-1, keepdims=True) * normals
    rows, columns = grid.shape[:2]
    if coords is None:
        coords = np.stack([_way(grid, 1), _way(grid, 0)], axis=-1)
    if paint is None:
        paint = plain_paint((rows, columns))
    return Mesh(
        positions=grid.reshape(-1, 3).astype(np.float32),
        normals=normals.reshape(-1, 3).astype(np.float32),
        tangents=_unit(tangents).reshape(-1, 3).astype(np.float32),
        coords=coords.reshape(-1, 2).astype(np.float32),
        paint=paint.reshape(-1, 4).astype(np.float32),
        faces=_grid_faces(rows, columns),
    )


def plain_paint(shape: Sequence[int]) -> np.ndarray:
    """shape x 4 float32: first colour, no blood, no char, fully open."""
    return np.broadcast_to(np.array([0, 0, 0, 1], np.float32), (*shape, 4)).copy()


def revolved(profile: np.ndarray, *, segments: int = 24) -> Mesh:
    """A body of revolution about the z axis.

    profile: P x 2 float, (radius, z) in mm, from one end to the other; a sharp edge needs its
    point twice. Texture coordinates: along the axis first (the direction of `tangents`).
    """
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    radius, z = profile[:, 0], profile[:, 1]
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    positions = np.concatenate(
        [
            ring[:, None] * radius[None, :, None],
            np.broadcast_to(z[None, :, None], (segments + 1, len(z), 1)),
        ],
        axis=-1,
    )
    slope = _profile_normals(profile)
    normals = np.concatenate(
        [
            ring[:, None] * slope[None, :, :1],
            np.broadcast_to(slope[None, :, 1:], (segments + 1, len(z), 1)),
        ],
        axis=-1,
    )
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    around = angle * max(float(radius.max()), 1e-3)
    coords = np.stack(np.broadcast_arrays(way[None, :], around[:, None]), axis=-1)
    tangents = np.concatenate(
        [
            -ring[:, None] * slope[None, :, 1:],
            np.broadcast_to(slope[None, :, :1], (segments + 1, len(z), 1)),
        ],
        axis=-1,
    )
    count = (segments + 1) * len(z)
    return Mesh(
        positions=positions.reshape(count, 3).astype(np.float32),
        normals=normals.reshape(count, 3).astype(np.float32),
        tangents=tangents.reshape(count, 3).astype(np.float32),
        coords=coords.reshape(count, 2).astype(np.float32),
        paint=plain_paint((count,)),
        faces=_grid_faces(segments + 1, len(z)),
    )


def swept(path: np.ndarray, radius: np.ndarray | float, *, segments: int = 10) -> Mesh:
    """A tube along a path, without twist: vessels, threads, needles, cables.

    path: P x 3, mm. radius: P or one number, mm.
    """
    path = np.asarray(path, np.float64)
    ahead = _unit(np.gradient(path, axis=0))
    side = np.empty_like(ahead)
    start = np.eye(3)[np.argmin(np.abs(ahead[0]))]
    for number, direction in enumerate(ahead):
        start = start - (start @ direction) * direction
        start = start / max(float(np.linalg.norm(start)), 1e-9)
        side[number] = start
    other = np.cross(ahead, side)
    angle = np.linspace(0, 2 * np.pi, segments + 1)[:, None, None]
    around = np.cos(angle) * side + np.sin(angle) * other
    radii = np.broadcast_to(np.asarray(radius, np.float64), (len(path),))
    grid = path + around * radii[None, :, None]
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    coords = np.stack(
        np.broadcast_arrays(length[None, :], (angle[:, :, 0] * radii.mean())), axis=-1
    )
    mesh = grid_mesh(grid, coords=coords, closed_rows=True)
    return replace(mesh, normals=around.reshape(-1, 3).astype(np.float32))


def _grid_faces(rows: int, columns: int) -> np.ndarray:
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1)
    first = np.stack([corner, corner + 1, corner + columns], axis=-1)
    second = np.stack([corner + 1, corner + columns + 1, corner + columns], axis=-1)
    return np.concatenate([first, second]).astype(np.int32)


def _profile_normals(profile: np.ndarray) -> np.ndarray:
    """P x 2 unit normals (radius, z) of a profile whose doubled points are sharp edges."""
    step = np.diff(profile, axis=0)
    length = np.linalg.norm(step, axis=1, keepdims=True)
    normal = np.stack([step[:, 1], -step[:, 0]], axis=-1) / np.maximum(length, 1e-12)
    normal[length[:, 0] < 1e-9] = 0  # a doubled point takes part on neither side
    summed = np.zeros_like(profile, dtype=np.float64)
    summed[:-1] += normal
    summed[1:] += normal
    return _unit(summed)


def _slope(grid: np.ndarray, axis: int, closed: bool) -> np.ndarray:
    slope = np.gradient(grid, axis=axis)
    if closed:
        ends = np.take(grid, 1, axis) - np.take(grid, -2, axis)
        index: list[slice | int] = [slice(None)] * grid.ndim
        for end in (0, -1):
            index[axis] = end
            slope[tuple(index)] = ends / 2
    return slope


def _way(grid: np.ndarray, axis: int) -> np.ndarray:
    """R x C: the mean length of the way along an axis."""
    steps = np.linalg.norm(np.diff(grid, axis=axis), axis=-1).mean(axis=1 - axis)
    way = np.concatenate([[0], np.cumsum(steps)])
    shape = grid.shape[:2]
    return np.broadcast_to(way[:, None] if axis == 0 else way[None, :], shape)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
