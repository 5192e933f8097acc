"""From the depth that a renderer found in both views to disparity and occlusion."""

from __future__ import annotations

import numpy as np

from msdesis_ros.core.errors import ImageError
from msdesis_ros.core.rig import StereoGeometry

# A step of half a pixel of disparity hides a strip half a pixel wide: mostly no pixel's centre.
OCCLUSION_TOLERANCE_PX = 0.5


def disparity_from_depth(depth_mm: np.ndarray, geometry: StereoGeometry) -> np.ndarray:
    """d = f * B / Z, H x W float32 px; NaN where the depth is not positive and finite."""
    disparity = np.full(depth_mm.shape, np.nan, dtype=np.float32)
    seen = np.isfinite(depth_mm) & (depth_mm > 0)
    focal_times_baseline = np.float64(geometry.focal_times_baseline) * 1e3  # px * mm
    disparity[seen] = focal_times_baseline / depth_mm[seen]
    return disparity


def occlusion(
    left_disparity_px: np.ndarray,
    right_disparity_px: np.ndarray,
    *,
    tolerance_px: float = OCCLUSION_TOLERANCE_PX,
) -> np.ndarray:
    """Find the left pixels that the right picture does not show.

    The surface of a left pixel at column x with disparity d lies at x - d in the right view,
    between two of its pixels. It is hidden where

    - x - d lies left of the first or right of the last pixel's centre (outside), or
    - the nearest of the two has no surface (the right picture does not show this place), or
    - the nearest of the two is nearer to the camera by more than `tolerance_px`, and the other
      one is not farther by more than `tolerance_px`.

    The last condition tells a steep surface from an edge. On any slope, however steep, the
    surface of the pixel lies between both neighbours, and as far from the farther one as from the
    nearest at least, so a continuous slope hides nothing of itself. Before an edge the pixel's
    surface is the farther neighbour's, and the nearest one decides: the border of the hidden
    strip is right to half a pixel, without a bias to either side. Known limit: at the foot of a
    step that rises by more than `tolerance_px` within one pixel, one pixel too many may count as
    hidden.

    Args:
        left_disparity_px, right_disparity_px: H x W float32, each at its own view's pixels; NaN
            where there is no surface, or where the picture does not show it.
        tolerance_px: what is nearer by less hides nothing, > 0.

    Returns:
        H x W bool; False where the left disparity is NaN.

    Raises:
        ImageError: the two differ in shape.
    """
    if left_disparity_px.shape != right_disparity_px.shape or left_disparity_px.ndim != 2:
        raise ImageError(
            f'disparities of {left_disparity_px.shape} left and {right_disparity_px.shape} right; '
            'expected two of the same height x width'
        )
    width = left_disparity_px.shape[1]
    known = np.isfinite(left_disparity_px)
    partner = np.arange(width, dtype=np.float32) - np.where(known, left_disparity_px, 0)
    inside = (partner >= 0) & (partner <= width - 1)
    partner = np.clip(partner, 0, width - 1)
    nearest = np.rint(partner).astype(np.intp)
    other = np.clip(nearest + np.where(partner < nearest, -1, 1), 0, width - 1)
    nearest_px = np.take_along_axis(right_disparity_px, nearest, axis=1)
    other_px = np.take_along_axis(right_disparity_px, other, axis=1)
    with np.errstate(invalid='ignore'):
        covered = nearest_px - left_disparity_px > tolerance_px
        # A NaN beside it is no slope: it compares as False.
        sloped = left_disparity_px - other_px > tolerance_px
    hidden = ~inside | np.isnan(nearest_px) | (covered & ~sloped)
    return known & hidden
