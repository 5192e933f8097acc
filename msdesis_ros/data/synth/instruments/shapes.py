"""Closed solids with small bevels: lofts, turned bodies, swept bars.

Vertices at one place share a normal, weighted by the area of the faces around it. With a narrow
bevel along each edge the flats stay flat and the edge catches the light, as on real metal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from msdesis_ros.data.synth.instruments.outlines import chamfered, rectangle, unit
from msdesis_ros.data.synth.mesh import Mesh, plain_paint

AXES = {'x': 0, 'y': 1, 'z': 2}
# Two corners closer than this are one.
WELD_MM = 1e-3


def loft(sections: np.ndarray, *, bevel_mm: float = 0.0, brushed_along: bool = False) -> Mesh:
    """A closed body through rings of points, with flat ends.

    sections: S x K x 3, mm; each ring is seen from its middle without hiding itself, and not
    repeated at its end. bevel_mm: of both ends. A ring may shrink to one point. Texture
    coordinates: along the body, then around it; `brushed_along` exchanges them.
    """
    rings = np.asarray(sections, np.float64)
    if bevel_mm > 0:
        rings = _bevelled_ends(rings, bevel_mm)
    first, last = rings[:1].mean(axis=1, keepdims=True), rings[-1:].mean(axis=1, keepdims=True)
    count = rings.shape[1]
    rings = np.concatenate([np.repeat(first, count, 1), rings, np.repeat(last, count, 1)])
    rings = np.concatenate([rings, rings[:, :1]], axis=1)
    middle = rings.mean(axis=1)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(middle, axis=0), axis=1))])
    # The end caps lie flat: their own extent stands in for the way along the body.
    spread = np.linalg.norm(rings - middle[:, None], axis=-1).mean(axis=1)
    along[0], along[-1] = along[1] - spread[1], along[-2] + spread[-2]
    around = np.linalg.norm(np.diff(rings, axis=1), axis=-1).max(axis=0)
    around = np.concatenate([[0], np.cumsum(around)])
    coords = np.stack(np.broadcast_arrays(along[:, None], around[None, :]), axis=-1)
    if brushed_along:
        coords = coords[..., ::-1]
    lengthwise = np.repeat(np.gradient(middle, axis=0)[:, None], count + 1, 1)
    lengthwise[0], lengthwise[-1] = rings[1] - rings[0], rings[-1] - rings[-2]
    crosswise = np.gradient(rings, axis=1)
    faces = _grid_faces(len(rings), count + 1)
    return solid(
        rings.reshape(-1, 3),
        faces,
        coords=coords.reshape(-1, 2),
        direction=(crosswise if brushed_along else lengthwise).reshape(-1, 3),
    )


def solid(
    positions: np.ndarray, faces: np.ndarray, *, coords: np.ndarray, direction: np.ndarray
) -> Mesh:
    """A mesh of closed surfaces: welded normals, outward faces, no empty triangles.

    positions: N x 3, mm. faces: M x 3. coords: N x 2, mm. direction: N x 3, from which the
    tangents are made.
    """
    keys = np.round(positions / WELD_MM).astype(np.int64)
    _, place = np.unique(keys, axis=0, return_inverse=True)
    place = place.reshape(-1)
    corners = place[faces]
    kept = (
        (corners[:, 0] != corners[:, 1])
        & (corners[:, 1] != corners[:, 2])
        & (corners[:, 2] != corners[:, 0])
    )
    faces = faces[kept]
    a, b, c = (positions[faces[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    if np.einsum('ij,ij->', a, np.cross(b, c)) < 0:
        faces, cross = faces[:, ::-1], -cross
    summed = np.zeros((place.max() + 1, 3))
    for corner in range(3):
        np.add.at(summed, place[faces[:, corner]], cross)
    normals = unit(summed[place])
    used, number = np.unique(faces, return_inverse=True)
    positions, normals = positions[used], normals[used]
    return Mesh(
        positions=positions.astype(np.float32),
        normals=normals.astype(np.float32),
        tangents=_tangents(direction[used], normals).astype(np.float32),
        coords=coords[used].astype(np.float32),
        paint=plain_paint((len(used),)),
        faces=number.reshape(-1, 3).astype(np.int32),
    )


def turned(
    profile: Sequence[tuple[float, float]],
    *,
    segments: int = 24,
    axis: str = 'z',
    bevel_mm: float = 0.12,
) -> Mesh:
    """A closed body of revolution; sharp corners of its profile get a small bevel.

    profile: (radius, place on the axis) in mm, from one end to the other; ends off the axis are
    closed flat.
    """
    points = np.asarray(profile, np.float64)
    if bevel_mm > 0:
        points = chamfered(points, bevel_mm)
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    rings = np.empty((len(points), segments, 3))
    rings[..., 0] = points[:, :1] * np.cos(angle)
    rings[..., 1] = points[:, :1] * np.sin(angle)
    rings[..., 2] = points[:, 1:]
    mesh = loft(rings)
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    place = np.argmin(
        np.abs(mesh.positions[:, 2:3] - points[:, 1])
        + np.abs(np.hypot(mesh.positions[:, :1], mesh.positions[:, 1:2]) - points[:, 0]),
        axis=1,
    )
    mesh = replace(mesh, coords=np.stack([way[place], mesh.coords[:, 1]], 1).astype(np.float32))
    return mesh if axis == 'z' else mesh.transformed(axis_pose(axis))


def block(
    low: Sequence[float], high: Sequence[float], *, bevel_mm: float = 0.2, along: str = 'z'
) -> Mesh:
    """A bevelled box between two corners; `along` is the direction of its texture."""
    order = np.roll([0, 1, 2], -AXES[along] - 1)  # two across, one along
    a, b = np.asarray(low, np.float64), np.asarray(high, np.float64)
    size, middle = b - a, (a + b) / 2
    outline = rectangle(size[order[0]], size[order[1]], bevel_mm)
    rings = np.empty((2, len(outline), 3))
    rings[..., order[0]] = outline[:, 0] + middle[order[0]]
    rings[..., order[1]] = outline[:, 1] + middle[order[1]]
    rings[..., order[2]] = np.array([a[order[2]], b[order[2]]])[:, None]
    return loft(rings, bevel_mm=bevel_mm)


def stacked(outlines: Sequence[np.ndarray], heights: Sequence[float] | np.ndarray) -> np.ndarray:
    """Sections of a loft along z from K x 2 outlines in (x, y): S x K x 3."""
    outline = np.stack(list(outlines))
    z = np.broadcast_to(np.asarray(heights, np.float64)[:, None, None], (*outline.shape[:2], 1))
    return np.concatenate([outline, z], axis=-1)


def bar(
    path: np.ndarray, section: np.ndarray, side: Sequence[float], *, bevel_mm: float = 0.1
) -> Mesh:
    """A section pushed along an open path.

    path: P x 3, mm. section: K x 2 or P x K x 2, (across, up). side: about the direction of
    `up`; it must not run along the path.
    """
    path = np.asarray(path, np.float64)
    ahead = unit(np.gradient(path, axis=0))
    up = np.broadcast_to(np.asarray(side, np.float64), path.shape)
    up = unit(up - (up * ahead).sum(-1, keepdims=True) * ahead)
    across = np.cross(up, ahead)
    outline = np.broadcast_to(section, (len(path), *section.shape[-2:]))
    rings = path[:, None] + outline[..., :1] * across[:, None] + outline[..., 1:] * up[:, None]
    return loft(rings, bevel_mm=bevel_mm)


def hoop(path: np.ndarray, section: np.ndarray, side: Sequence[float]) -> Mesh:
    """A section pushed along a closed path (its end is not repeated); else as `bar`."""
    path = np.asarray(path, np.float64)
    ahead = unit(np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0))
    up = np.broadcast_to(np.asarray(side, np.float64), path.shape)
    up = unit(up - (up * ahead).sum(-1, keepdims=True) * ahead)
    across = np.cross(up, ahead)
    outline = np.broadcast_to(section, (len(path), *section.shape[-2:]))
    rings = path[:, None] + outline[..., :1] * across[:, None] + outline[..., 1:] * up[:, None]
    rings = np.concatenate([rings, rings[:1]])
    rings = np.concatenate([rings, rings[:, :1]], axis=1)
    lengths = np.linalg.norm(np.diff(rings, axis=0), axis=-1).mean(axis=1)
    around = np.linalg.norm(np.diff(rings, axis=1), axis=-1).mean(axis=0)
    along = np.concatenate([[0], np.cumsum(lengths)])
    across_way = np.concatenate([[0], np.cumsum(around)])
    coords = np.stack(np.broadcast_arrays(along[:, None], across_way[None]), axis=-1)
    directions = np.repeat(np.concatenate([ahead, ahead[:1]])[:, None], rings.shape[1], 1)
    return solid(
        rings.reshape(-1, 3),
        _grid_faces(*rings.shape[:2]),
        coords=coords.reshape(-1, 2),
        direction=directions.reshape(-1, 3),
    )


def tube(
    path: Sequence[Sequence[float]] | np.ndarray, radius_mm: float, *, segments: int = 8
) -> Mesh:
    """A round wire along a path, closed at its ends; it must not run along (0.3, 1, 0.2)."""
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    section = radius_mm * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return bar(np.asarray(path), section, (0.3, 1.0, 0.2), bevel_mm=0.3 * radius_mm)


def moved(mesh: Mesh, x_mm: float = 0.0, y_mm: float = 0.0, z_mm: float = 0.0) -> Mesh:
    """The mesh at another place."""
    shift = np.array([x_mm, y_mm, z_mm], np.float32)
    return replace(mesh, positions=mesh.positions + shift)


def mirrored(mesh: Mesh, axis: str) -> Mesh:
    """The mirror image across the plane through the origin that an axis stands on."""
    sign = np.ones(3, np.float32)
    sign[AXES[axis]] = -1
    return replace(
        mesh,
        positions=mesh.positions * sign,
        normals=mesh.normals * sign,
        tangents=mesh.tangents * sign,
        faces=np.ascontiguousarray(mesh.faces[:, ::-1]),
    )


def axis_pose(axis: str) -> np.ndarray:
    """4 x 4 that turns z into an axis, and keeps the handedness."""
    pose = np.eye(4)
    pose[:3, :3] = np.roll(np.eye(3), AXES[axis] + 1, axis=0)
    return pose


def _bevelled_ends(rings: np.ndarray, size_mm: float) -> np.ndarray:
    """Add to each end a smaller ring, so that the end's rim is cut off."""
    out = rings.copy()
    caps = []
    for end, inner in ((0, 1), (-1, -2)):
        ring = rings[end]
        middle = ring.mean(axis=0)
        outward = unit(middle - rings[inner].mean(axis=0))
        away = ring - middle
        far = np.linalg.norm(away, axis=1, keepdims=True)
        cut = min(size_mm, 0.3 * float(np.linalg.norm(middle - rings[inner].mean(axis=0))))
        caps.append(middle + away * (1 - np.minimum(cut / np.maximum(far, 1e-9), 0.6)))
        out[end] = ring - outward * cut
    return np.concatenate([caps[0][None], out, caps[1][None]])


def _grid_faces(rows: int, columns: int) -> np.ndarray:
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1)
    first = np.stack([corner, corner + 1, corner + columns], axis=-1)
    second = np.stack([corner + 1, corner + columns + 1, corner + columns], axis=-1)
    return np.concatenate([first, second])


def _tangents(direction: np.ndarray, normals: np.ndarray) -> np.ndarray:
    flat = direction - (direction * normals).sum(-1, keepdims=True) * normals
    other = np.eye(3)[np.argmin(np.abs(normals), axis=1)]
    other = other - (other * normals).sum(-1, keepdims=True) * normals
    lost = np.linalg.norm(flat, axis=1) < 1e-6
    flat[lost] = other[lost]
    return unit(flat)
