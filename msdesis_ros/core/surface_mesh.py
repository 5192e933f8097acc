"""Triangles over the organised surface: neighbouring pixels are joined, depth edges are not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.rig import StereoGeometry


@dataclass(frozen=True, eq=False)
class SurfaceMesh:
    """A coloured triangle mesh in the rectified left optical frame, metres.

    points_m, normals: N x 3 float32, finite; normals have length 1 and look towards the camera.
    colours: N x 3 uint8 RGB. labels: N uint8 (0 tissue, 1 instrument). faces: M x 3 int32,
    indices of points, counter-clockwise as the camera sees them. Every point belongs to a face.
    Raises UsageError for arrays that do not fit together.
    """

    points_m: np.ndarray
    normals: np.ndarray
    colours: np.ndarray
    labels: np.ndarray
    faces: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.points_m)
        for name, shape, dtype in (
            ('points_m', (count, 3), np.float32),
            ('normals', (count, 3), np.float32),
            ('colours', (count, 3), np.uint8),
            ('labels', (count,), np.uint8),
            ('faces', (len(self.faces), 3), np.int32),
        ):
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise UsageError(
                    f'{name} of a mesh is {array.dtype} of shape {array.shape}, expected '
                    f'{np.dtype(dtype)} of shape {shape}'
                )
        if not (np.isfinite(self.points_m).all() and np.isfinite(self.normals).all()):
            raise UsageError('a mesh has NaN or infinite points; leave the invalid pixels out')
        if self.faces.size and not (self.faces.min() >= 0 and self.faces.max() < count):
            raise UsageError(f'a face of a mesh names a point that is not there ({count} are)')


@dataclass(frozen=True)
class EdgeLimits:
    """When two neighbouring pixels lie on one surface.

    A plane whose normal is turned by a from the line of sight changes its disparity d by
    d tan(a) / f from one pixel to the next: its inverse depth is linear in the pixel. (So in the
    middle of the picture; 30 degrees off the axis the figure means an angle 3 degrees larger.)
    Two pixels are joined where their disparities differ by no more than

        d tan(max_slant_deg) / focal_px * distance_px + min(noise_px, uncertainty_px)

    with the smaller d of the two. The step from an instrument to the tissue behind it is far more;
    a surface that is seen at a more grazing angle than `max_slant_deg` is torn. `noise_px` is
    what a matcher wavers by between neighbours. A model's own uncertainty can only lower it:
    that grows at depth edges, where it must not allow more.
    """

    max_slant_deg: float = 80.0
    noise_px: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.max_slant_deg < 90:
            raise UsageError(
                f'the largest slant of a surface is {self.max_slant_deg:g} degrees; expected more '
                'than 0 and less than 90'
            )
        if not 0 <= self.noise_px < math.inf:
            raise UsageError(f'the noise is {self.noise_px:g} px; expected 0 or more')


def surface_mesh(
    points_m: np.ndarray,
    colours: np.ndarray,
    labels: np.ndarray,
    *,
    geometry: StereoGeometry,
    stride: int = 1,
    uncertainty_px: np.ndarray | None = None,
    limits: EdgeLimits | None = None,
) -> SurfaceMesh:
    """Join the pixels of an organised surface (as `core.surface.unpack` gives it).

    points_m: H x W x 3 float32, NaN where invalid: those never become points. colours:
    H x W x 3 uint8 RGB. labels: H x W uint8. uncertainty_px: H x W float32, 1 sigma of the
    disparity. `stride`: pixels of the rectified picture between two rows or columns.

    A cell of four pixels gets two triangles along the diagonal with the smaller step, one where
    only three of them are joined. Normals are the mean of the faces' normals by area.
    """
    limits = limits or EdgeLimits()
    steps = _Steps(points_m[..., 2], geometry, stride, uncertainty_px, limits)
    faces = _faces(steps)
    flat = np.ascontiguousarray(points_m).reshape(-1, 3)
    used = np.zeros(len(flat), bool)
    used[faces] = True
    number = np.cumsum(used, dtype=np.int64) - 1
    kept = np.flatnonzero(used)
    faces = number[faces].astype(np.int32)
    points = flat[kept]
    return SurfaceMesh(
        points_m=points,
        normals=vertex_normals(points, faces),
        colours=colours.reshape(-1, 3)[kept],
        labels=labels.reshape(-1)[kept],
        faces=faces,
    )


def vertex_normals(points_m: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """N x 3 float32 of length 1: the mean of the normals of a point's faces, by their area.

    Zero where a point has no face, or where its faces cancel each other out.
    """
    corners = points_m[faces].astype(np.float64)
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros((len(points_m), 3))
    for axis in range(3):
        spread = np.repeat(area[:, axis], 3)
        total[:, axis] = np.bincount(faces.ravel(), weights=spread, minlength=len(points_m))
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.divide(total, length, out=np.zeros_like(total), where=length > 0).astype(np.float32)


class _Steps:
    """How far neighbours of a disparity picture differ, and whether that joins them."""

    def __init__(
        self,
        depth_m: np.ndarray,
        geometry: StereoGeometry,
        stride: int,
        uncertainty_px: np.ndarray | None,
        limits: EdgeLimits,
    ) -> None:
        with np.errstate(divide='ignore', invalid='ignore'):
            self.disparity_px = geometry.focal_times_baseline / depth_m.astype(np.float64)
        noise_px = np.full(depth_m.shape, limits.noise_px)
        if uncertainty_px is not None:
            # fmin: an unknown uncertainty lowers nothing.
            noise_px = np.fmin(noise_px, uncertainty_px)
        self._noise_px = noise_px
        tangent = math.tan(math.radians(limits.max_slant_deg))
        self.across = tangent * stride / geometry.focal_px
        self.down = tangent * stride / geometry.focal_y_px
        self.diagonal = math.hypot(self.across, self.down)

    def of(
        self, one: tuple[slice, slice], other: tuple[slice, slice], slope: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The step in px (infinite where one is invalid) and bool: joined."""
        a, b = self.disparity_px[one], self.disparity_px[other]
        step = np.abs(a - b)
        limit = np.minimum(a, b) * slope + np.maximum(self._noise_px[one], self._noise_px[other])
        joined = step <= limit  # NaN compares False
        return np.where(np.isnan(step), np.inf, step), joined


def _faces(steps: _Steps) -> np.ndarray:
    """M x 3 int64 indices into the flattened picture."""
    height, width = steps.disparity_px.shape
    if height < 2 or width < 2:
        return np.zeros((0, 3), np.int64)
    top, bottom, left, right = slice(0, -1), slice(1, None), slice(0, -1), slice(1, None)
    every = slice(None)
    _, across = steps.of((every, left), (every, right), steps.across)
    _, down = steps.of((top, every), (bottom, every), steps.down)
    main_px, main = steps.of((top, left), (bottom, right), steps.diagonal)
    anti_px, anti = steps.of((top, right), (bottom, left), steps.diagonal)
    along_main = main_px <= anti_px
    main &= along_main
    anti &= ~along_main
    upper, lower = across[top], across[bottom]
    west, east = down[:, left], down[:, right]
    a = np.arange(height * width).reshape(height, width)[top, left]
    b, c, d = a + 1, a + width, a + width + 1
    # y points down, so these are counter-clockwise as the camera sees them.
    chosen = (
        (main & west & lower, (a, c, d)),
        (main & upper & east, (a, d, b)),
        (anti & west & upper, (a, c, b)),
        (anti & east & lower, (b, c, d)),
    )
    return np.concatenate(
        [np.stack([corner[where] for corner in corners], axis=1) for where, corners in chosen]
    )
