"""One picture of the result video: the rectified left view beside what was found in it."""

from __future__ import annotations

import numpy as np


def grey_levels(disparity_px: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """Disparities as 8-bit grey: H x W float -> H x W uint8, rounded.

    Black where there is none (NaN, zero or negative); what is too large for 8 bits is white.
    """
    with np.errstate(invalid='ignore', over='ignore'):
        levels = np.rint(disparity_px * np.float32(gain))
        return np.where(levels > 0, np.minimum(levels, 255), 0).astype(np.uint8)


def side_by_side(
    left_rect: np.ndarray,
    disparity_px: np.ndarray | None,
    mask: np.ndarray | None,
    *,
    gain: float = 1.0,
) -> np.ndarray:
    """[left view | result]: H x 2W x 3 uint8 RGB.

    left_rect: H x W x 3 uint8 RGB. disparity_px: H x W, shown as `grey_levels`; None: the model
    finds none, and tools are shown on black. mask: H x W, not 0 = tool; these pixels have no red,
    so that tools are in shades of cyan.
    """
    height, width = left_rect.shape[:2]
    picture = np.zeros((height, 2 * width, 3), np.uint8)
    picture[:, :width] = left_rect
    result = picture[:, width:]
    tool = None if mask is None else mask != 0
    if disparity_px is not None:
        result[:] = grey_levels(disparity_px, gain)[..., None]
    elif tool is not None:
        result[tool] = 255
    if tool is not None:
        result[..., 0][tool] = 0
    return picture
