"""Depth as the left camera itself saw it, lens distortion and all, and its disparity.

The rectified left view is the left camera turned about its optical centre. A ray of one view is
therefore a ray of the other one: nothing hides or appears between them, and each pixel of either
view has exactly one place in the other. So values are looked up where a ray ends, never thrown
from one view into the other, and no holes or doubled pixels arise.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.camera_points import normalised_points, raw_points
from msdesis_ros.core.errors import CalibrationError, ImageError
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.core.surface_sampler import SurfaceSampler

# The distortion is inverted by iteration; what comes back further off than this has no ray.
MAX_RETURN_PX = 0.01
# OpenCV makes a Jacobian of 250 bytes and more for each point that it projects.
CHUNK_POINTS = 1 << 16


class OriginalView:
    """The original left view of a rig that is not rectified, and its rectified left view.

    Disparities are left x minus right x in the pictures that P1 and P2 of the calibration
    describe; where their principal points are apart, that is part of the disparity. Depths are Z
    along the optical axis of the original left camera, in metres. Both are NaN where unknown, and
    what is not positive and finite is taken for unknown.

    Raises CalibrationError for a rig whose pictures arrive rectified; so do the conversions where
    the distortion can be inverted nowhere.
    """

    def __init__(self, rig: StereoRig) -> None:
        if rig.rectified:
            raise CalibrationError(
                'the rig says that its pictures are rectified already, so there is no original '
                'view; give the calibration with K, D, R and P of the cameras'
            )
        self.rig = rig
        self._cx_offset_px = rig.cx_offset_px
        self._focal_times_baseline = float(rig.left.projection[0, 0]) * rig.baseline_m

    def prepare(self, *, to_depth: bool) -> None:
        """Make the maps of one direction now; threads that share a view do so before they start.

        Raises CalibrationError where the distortion can be inverted nowhere.
        """
        _ = self._originals if to_depth else self._rectifieds

    def depth_from_disparity(self, disparity_px: np.ndarray) -> np.ndarray:
        """Depth at every pixel of the original view, H x W float32 m.

        disparity_px: H x W of the rectified left view; it is not written to. Between pixels the
        disparity is interpolated where the four around belong to one surface, and that of the
        nearest is taken otherwise. Raises ImageError for another size than the calibrated one.
        """
        self._require_size(disparity_px, 'disparity')
        sampler, turned_z = self._originals
        seen_px = sampler.sample(_positive(disparity_px, self._cx_offset_px))
        return (self._focal_times_baseline / (seen_px * turned_z)).astype(np.float32)

    def disparity_from_depth(self, depth_m: np.ndarray) -> np.ndarray:
        """Disparity at every pixel of the rectified left view, H x W float32 px.

        depth_m: H x W of the original left view; otherwise as `depth_from_disparity`.
        """
        self._require_size(depth_m, 'depth')
        # The inverse of a plane's depth is linear in the picture, as its disparity is.
        nearness_px = self._focal_times_baseline / _positive(depth_m, 0.0)
        sampler, turned_z = self._rectifieds
        seen_px = sampler.sample(nearness_px)
        return (seen_px * turned_z + self._cx_offset_px).astype(np.float32)

    # Made when first asked for: each inverts the distortion at every pixel, which takes a second
    # at 1280x1024 px, and most users go one way only.
    @cached_property
    def _originals(self) -> tuple[SurfaceSampler, np.ndarray]:
        return _original_pixels_in_rectified(self.rig.left)

    @cached_property
    def _rectifieds(self) -> tuple[SurfaceSampler, np.ndarray]:
        return _rectified_pixels_in_original(self.rig.left)

    def _require_size(self, plane: np.ndarray, what: str) -> None:
        width, height = self.rig.image_size
        if plane.shape != (height, width):
            raise ImageError(
                f'the {what} has the shape {plane.shape}; expected ({height}, {width}), the size '
                'of the calibrated pictures'
            )


def _positive(plane: np.ndarray, offset: float) -> np.ndarray:
    """The plane less an offset, float64; NaN where it is not positive and finite."""
    values = plane.astype(np.float64) - offset
    with np.errstate(invalid='ignore'):
        return np.where((values > 0) & np.isfinite(values), values, np.nan)


def _original_pixels_in_rectified(camera: CameraCalibration) -> tuple[SurfaceSampler, np.ndarray]:
    """Where every original pixel lies in the rectified view, and Z there for 1 m of its depth."""
    width, height = camera.image_size
    rays = _rays_of_pixels(camera)
    turned = rays @ camera.rectification.T
    projection = camera.projection
    ahead = turned[:, 2] > 0
    z = np.where(ahead, turned[:, 2], np.nan)
    x = projection[0, 0] * turned[:, 0] / z + projection[0, 2]
    y = projection[1, 1] * turned[:, 1] / z + projection[1, 2]
    if not np.isfinite(x).any():
        raise CalibrationError(
            'the lens distortion of the left camera can be inverted at no pixel: K and D '
            'contradict each other; calibrate again'
        )
    shape = (height, width)
    sampler = SurfaceSampler(x.reshape(shape), y.reshape(shape), (width, height))
    return sampler, z.reshape(shape)


def _rectified_pixels_in_original(camera: CameraCalibration) -> tuple[SurfaceSampler, np.ndarray]:
    """Where every rectified pixel lies in the original view, and that depth for 1 m of its Z."""
    width, height = camera.image_size
    projection = camera.projection
    columns, rows = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
    rays = np.stack(
        [
            (columns.ravel() - projection[0, 2]) / projection[0, 0],
            (rows.ravel() - projection[1, 2]) / projection[1, 1],
            np.ones(width * height),
        ],
        axis=1,
    )
    turned = rays @ camera.rectification  # the inverse of a rotation is its transpose
    z = np.where(turned[:, 2] > 0, turned[:, 2], np.nan)
    rays = turned[:, :2] / z[:, None]
    pixels = _distorted(camera, rays)
    # The polynomial of a lens folds back outside of the picture; such a ray meets no pixel, though
    # its formula names one, and that pixel belongs to another ray.
    focal_px = camera.camera_matrix[[0, 1], [0, 1]]
    lost = _distance(_undistorted(camera, pixels) * focal_px, rays * focal_px) > MAX_RETURN_PX
    pixels[lost] = np.nan
    x, y = (pixels[:, axis].reshape(height, width) for axis in (0, 1))
    return SurfaceSampler(x, y, (width, height)), z.reshape(height, width)


def _rays_of_pixels(camera: CameraCalibration) -> np.ndarray:
    """The ray of each pixel of the original view as (x, y, 1), N x 3; NaN where there is none."""
    width, height = camera.image_size
    columns, rows = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    rays = _undistorted(camera, pixels)
    rays[_distance(_distorted(camera, rays), pixels) > MAX_RETURN_PX] = np.nan
    return np.concatenate([rays, np.ones((len(rays), 1))], axis=1)


def _undistorted(camera: CameraCalibration, pixels: np.ndarray) -> np.ndarray:
    """Pixels (N x 2) of the original view as x / z, y / z of their rays; of NaN any ray."""
    known = np.nan_to_num(pixels, nan=0.0, posinf=0.0, neginf=0.0)
    return normalised_points(known, camera)


def _distorted(camera: CameraCalibration, rays: np.ndarray) -> np.ndarray:
    """The other way round; NaN where a ray is NaN, and where the lens sends it to infinity."""
    known = np.isfinite(rays).all(axis=1)
    pixels = np.full(rays.shape, np.nan)
    points = rays[known]
    found = np.empty_like(points)
    for start in range(0, len(points), CHUNK_POINTS):
        part = slice(start, start + CHUNK_POINTS)
        found[part] = raw_points(points[part], camera)
    pixels[known] = found
    pixels[~np.isfinite(pixels).all(axis=1)] = np.nan
    return pixels


def _distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of N x 2 points; infinite where either is NaN."""
    apart = np.abs(first - second).max(axis=1)
    return np.where(np.isnan(apart), np.inf, apart)
