"""Many clouds in one: a grid of small cubes, each with the mean of the points in it."""

from __future__ import annotations

import math

import numpy as np

from msdesis_ros.core.errors import UsageError

# Three indices of 21 bits share an int64.
_BITS = 21
_HALF = 1 << (_BITS - 1)


class VoxelCloud:
    """Collects coloured, labelled points; memory is bounded by `max_voxels`, not by their number.

    `size_m`: edge of a voxel, metres. Where more than `max_voxels` would be occupied, the edge is
    doubled: nothing is lost but detail. Raises UsageError for values that are not positive.
    """

    def __init__(self, size_m: float, *, max_voxels: int = 5_000_000) -> None:
        if not 0 < size_m < math.inf:
            raise UsageError(f'the edge of a voxel is {size_m:g} m; expected more than 0')
        if max_voxels < 1:
            raise UsageError(f'max_voxels is {max_voxels}; expected 1 or more')
        self.size_m = float(size_m)
        self.max_voxels = max_voxels
        self._keys = np.zeros(0, np.int64)
        # Count, x, y, z (m), red, green, blue, label: sums over the points of a voxel.
        self._sums = np.zeros((0, 8))

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, points_m: np.ndarray, colours: np.ndarray, labels: np.ndarray) -> None:
        """Add N points: N x 3 floats (m, finite), N x 3 uint8 RGB, N uint8 labels.

        Raises UsageError for points that are not finite, or over a million voxels away.
        """
        if not np.isfinite(points_m).all():
            raise UsageError('points_m has NaN or infinite points; add the valid points only')
        index = np.floor(np.asarray(points_m, np.float64) / self.size_m)
        if index.size and (np.abs(index) >= _HALF).any():
            raise UsageError(
                f'points lie {np.abs(points_m).max():g} m from the origin, too far for voxels of '
                f'{self.size_m * 1000:g} mm; check the poses and their unit'
            )
        sums = np.column_stack([np.ones(len(points_m)), points_m, colours, labels])
        self._merge(_packed(index.astype(np.int64)), sums)
        while len(self._keys) > self.max_voxels:
            self.size_m *= 2
            keys, sums = _packed(_unpacked(self._keys) >> 1), self._sums
            self._keys, self._sums = self._keys[:0], self._sums[:0]
            self._merge(keys, sums)

    def cloud(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """points_m (N x 3 float32), colours (N x 3 uint8) and labels (N uint8, by majority)."""
        mean = self._sums[:, 1:] / self._sums[:, :1]
        points_m = mean[:, :3].astype(np.float32)
        return (
            points_m,
            np.rint(mean[:, 3:6]).astype(np.uint8),
            (mean[:, 6] > 0.5).astype(np.uint8),
        )

    def _merge(self, keys: np.ndarray, sums: np.ndarray) -> None:
        keys = np.concatenate([self._keys, keys])
        sums = np.concatenate([self._sums, sums])
        if not len(keys):
            return
        order = np.argsort(keys, kind='stable')
        keys = keys[order]
        first = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
        self._keys = keys[first]
        self._sums = np.add.reduceat(sums[order], first, axis=0)


def _packed(index: np.ndarray) -> np.ndarray:
    x, y, z = (index + _HALF).T
    return (x << 2 * _BITS) | (y << _BITS) | z


def _unpacked(keys: np.ndarray) -> np.ndarray:
    mask = (1 << _BITS) - 1
    index = np.stack([keys >> 2 * _BITS, (keys >> _BITS) & mask, keys & mask], axis=1)
    return index - _HALF
