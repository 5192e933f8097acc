"""What the camera sees first: coarse depth maps made of a scene's points."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

SIDE = 168
# Points of a cell that lie farther behind its first one belong to another surface.
LAYER = 0.04


class SurfaceMap:
    """Depth of the first surface over a square of coordinates, H x W float64.

    places: N x 2, values: N (depth, mm). Cells without a point take their neighbours' values.
    Coordinates beyond the square take the border's.
    """

    def __init__(self, places: np.ndarray, depth_mm: np.ndarray, *, reach: float) -> None:
        self.reach = reach
        cell = np.floor((places / reach + 1) * (SIDE / 2)).astype(np.int32)
        inside = ((cell >= 0) & (cell < SIDE)).all(axis=1) & (depth_mm > 0)
        number = cell[inside, 1] * SIDE + cell[inside, 0]
        depth = depth_mm[inside]
        first = np.full(SIDE * SIDE, np.inf, depth.dtype)
        np.minimum.at(first, number, depth)
        # The mean of the first layer is less biased than its nearest point.
        layer = depth < first[number] * (1 + LAYER)
        count = np.bincount(number[layer], minlength=SIDE * SIDE)
        total = np.bincount(number[layer], depth[layer], minlength=SIDE * SIDE)
        known = (count > 0).reshape(SIDE, SIDE)
        mean = (total / np.maximum(count, 1)).reshape(SIDE, SIDE)
        self.depth_mm = _filled(mean, known)

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Depth at coordinates of any (one) shape, float64, mm."""
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        column = np.clip((x / self.reach + 1) * (SIDE / 2) - 0.5, 0, SIDE - 1.001)
        row = np.clip((y / self.reach + 1) * (SIDE / 2) - 0.5, 0, SIDE - 1.001)
        left, up = column.astype(np.int64), row.astype(np.int64)
        across, down = column - left, row - up
        depth = self.depth_mm
        a, b = depth[up, left], depth[up, left + 1]
        c, d = depth[up + 1, left], depth[up + 1, left + 1]
        mixed = (a * (1 - across) + b * across) * (1 - down) + (
            c * (1 - across) + d * across
        ) * down
        corners = np.stack([a, b, c, d])
        # Nothing is between two surfaces.
        nearest = depth[np.rint(row).astype(np.int64), np.rint(column).astype(np.int64)]
        torn = corners.max(0) > corners.min(0) * (1 + 2 * LAYER)
        return np.where(torn, nearest, mixed)


def seen_from_camera(grids: Sequence[np.ndarray], *, reach: float) -> SurfaceMap:
    """The map over directions x / z, y / z."""
    cell = 2 * reach / SIDE
    points = np.concatenate(
        [_dense(grid, grid[..., :2] / np.maximum(grid[..., 2:], 1.0), cell) for grid in grids]
    )
    points = points[points[:, 2] > 1.0]
    return SurfaceMap(points[:, :2] / points[:, 2:], points[:, 2], reach=reach)


def seen_along_z(grids: Sequence[np.ndarray], *, reach_mm: float) -> SurfaceMap:
    """The map over x and y, mm."""
    cell = 2 * reach_mm / SIDE
    points = np.concatenate([_dense(grid, grid[..., :2], cell) for grid in grids])
    return SurfaceMap(points[:, :2], points[:, 2], reach=reach_mm)


class Crevices:
    """How open points are to light: less, the deeper they are behind what is around them."""

    def __init__(self, surface: SurfaceMap) -> None:
        logs = np.log(surface.depth_mm).astype(np.float32)
        self._reach = surface.reach
        self._levels = [
            (weight, cv2.GaussianBlur(logs, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))
            for sigma, weight in ((1.6, 0.5), (4.0, 0.5), (9.0, 0.35))
        ]

    def __call__(self, grid: np.ndarray) -> np.ndarray:
        """R x C, 0..1, of R x C x 3 points."""
        depth = np.maximum(grid[..., 2], 1.0)
        column, row = (
            ((grid[..., axis] / depth / self._reach + 1) * (SIDE / 2) - 0.5).astype(np.float32)
            for axis in (0, 1)
        )
        behind = np.zeros(depth.shape)
        for weight, level in self._levels:
            around = cv2.remap(
                level, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            behind += weight * np.clip(np.log(depth) - around - 0.004, 0, 0.12) / 0.06
        return np.exp(-1.15 * behind)


def _dense(grid: np.ndarray, places: np.ndarray, cell: float) -> np.ndarray:
    """N x 3: points on a grid's surface, close enough to leave no cell between them empty."""
    factors = []
    for axis in (0, 1):
        step = np.linalg.norm(np.diff(places, axis=axis), axis=-1)
        seen = np.abs(np.delete(places, -1, axis)).max(axis=-1) < 0.8 * SIDE * cell / 2
        wide = np.percentile(step[seen], 92) if seen.any() else 0.0
        factors.append(int(np.clip(np.ceil(wide / (0.95 * cell)), 1, 6)))
    if factors == [1, 1]:
        return grid.reshape(-1, 3).astype(np.float32)
    rows, columns = grid.shape[:2]
    y = np.linspace(0, rows - 1, (rows - 1) * factors[0] + 1, dtype=np.float32)[:, None]
    x = np.linspace(0, columns - 1, (columns - 1) * factors[1] + 1, dtype=np.float32)[None]
    x, y = np.ascontiguousarray(x + 0 * y), np.ascontiguousarray(y + 0 * x)
    return cv2.remap(
        grid.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).reshape(-1, 3)


def _filled(depth: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Give unknown cells the mean of their known neighbours, ring by ring."""
    depth, known = np.where(known, depth, 0.0), known.astype(np.float64)
    for _ in range(SIDE):
        if known.all():
            break
        count = cv2.boxFilter(known, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
        total = cv2.boxFilter(
            depth * known, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        new = (known == 0) & (count > 0.5)
        depth = np.where(new, total / np.maximum(count, 1), depth)
        known = np.where(new, 1.0, known)
    return depth
