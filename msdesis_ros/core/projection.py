"""Points of a scene as one view sees them: where each falls, and which of them is in front."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# OpenCV's order k1 k2 p1 p2 k3 k4 k5 k6 s1..s4 tx ty: all but the k are no part of the radius.
_NOT_RADIAL = [2, 3, 8, 9, 10, 11, 12, 13]
_RADIUS_SAMPLES = 4096
# OpenCV makes derivatives as well, 240 bytes and more for each point that it projects.
_CHUNK_POINTS = 1 << 16


@dataclass(frozen=True, eq=False)
class View:
    """A pinhole view, with or without the distortion of its lens.

    image_size: (width, height) px. camera_matrix: 3 x 3, px, without skew. rotation: 3 x 3, from
    the frame of the points to that of the view (one optical centre). distortion: coefficients in
    OpenCV order (4, 5, 8, 12 or 14), None for a view without distortion.
    """

    image_size: tuple[int, int]
    camera_matrix: np.ndarray
    rotation: np.ndarray
    distortion: np.ndarray | None = None


# Tangents of angles at which no lens has turned back, and differences drown in rounding.
_STRAIGHT = 1e-6


def project(points: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Where points fall: N x 2 float64 px (u, v), and their N depths along the view's axis.

    `points`: N x 3, any unit of length, which is the unit of the depths. The pixel is NaN for a
    point that is not in front of the camera, and for one so far aside that the polynomial of the
    lens has turned back there: it would fall into the picture a second time.
    """
    with np.errstate(invalid='ignore'):  # infinity times zero
        seen = np.asarray(points, np.float64) @ np.asarray(view.rotation, np.float64).T
    depth = seen[:, 2]
    pixels = np.full((len(seen), 2), np.nan)
    usable = np.isfinite(seen).all(axis=1) & (depth > 0)
    distortion = np.zeros(5) if view.distortion is None else np.asarray(view.distortion, float)
    bent = bool(distortion.any())
    if bent:
        radius = np.full(len(seen), np.inf)
        radius[usable] = np.hypot(*seen[usable, :2].T) / depth[usable]
        usable &= radius < _largest_radius(distortion, radius[usable])
    if not usable.any():
        return pixels, depth
    if bent:
        pixels[usable] = _bent(seen[usable], view.camera_matrix, distortion)
    else:
        k = view.camera_matrix
        slopes = seen[usable, :2] / depth[usable, None]
        pixels[usable] = slopes * [k[0, 0], k[1, 1]] + [k[0, 2], k[1, 2]]
    return pixels, depth


def front_points(pixels: np.ndarray, depth: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Which point each pixel shows: H x W int64, an index into the points, -1 where none falls.

    A point counts for the pixel whose centre is nearest to it. Of several points on one pixel the
    nearest to the camera is kept, for it hides the others. Arguments as `project` returns them.
    """
    width, height = image_size
    with np.errstate(invalid='ignore'):
        cells = np.floor(pixels + 0.5)
        inside = ((cells >= 0) & (cells < [width, height])).all(axis=1)  # NaN compares False
    points = np.flatnonzero(inside)
    columns, rows = cells[points].astype(np.int64).T
    places = rows * width + columns
    nearest = np.full(height * width, np.inf)
    np.minimum.at(nearest, places, depth[points])
    front = np.full(height * width, -1, dtype=np.int64)
    shown = depth[points] == nearest[places]
    front[places[shown]] = points[shown]
    return front.reshape(height, width)


def depth_map(points: np.ndarray, view: View) -> np.ndarray:
    """Depths of a cloud at the pixels of a view: H x W float32, NaN where no point falls.

    `points` as for `project`; of those on one pixel the nearest counts, see `front_points`.
    """
    pixels, depth = project(points, view)
    front = front_points(pixels, depth, view.image_size)
    found = np.full(front.shape, np.nan, dtype=np.float32)
    found[front >= 0] = depth[front[front >= 0]]
    return found


def _bent(points: np.ndarray, camera_matrix: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """N x 3 in the view's frame -> N x 2 px through the lens."""
    still = np.zeros(3)
    pixels = np.empty((len(points), 2))
    for start in range(0, len(points), _CHUNK_POINTS):
        chunk = slice(start, start + _CHUNK_POINTS)
        found, _ = cv2.projectPoints(points[chunk], still, still, camera_matrix, distortion)
        pixels[chunk] = found.reshape(-1, 2)
    return pixels


def _largest_radius(distortion: np.ndarray, radii: np.ndarray) -> float:
    """Where the distorted radius stops growing, in tangents of the angle; inf if nowhere."""
    largest = float(radii.max(initial=0.0))
    if largest < _STRAIGHT:
        return np.inf
    radial = distortion.ravel().copy()
    radial[[index for index in _NOT_RADIAL if index < len(radial)]] = 0
    # Evenly in angle: a point at 89 degrees must not coarsen the steps in the middle.
    samples = np.tan(np.linspace(0, np.arctan(largest), _RADIUS_SAMPLES))
    rays = np.stack([samples, np.zeros_like(samples), np.ones_like(samples)], axis=1)
    back = np.flatnonzero(np.diff(_bent(rays, np.eye(3), radial)[:, 0]) <= 0)
    return float(samples[back[0]]) if back.size else np.inf
