"""A picture for people: the left view, its disparity in colours, the instruments outlined."""

from __future__ import annotations

import cv2
import numpy as np

from msdesis_ros.core.surface import TOOL_CYAN, tint

# How strongly the colours of the disparity cover the picture.
OPACITY = 0.45
# Near and far end of the colours: percentiles of every eighth row and column.
RANGE_PERCENTILES = (2.0, 98.0)
SAMPLE_STEP = 8


def overlay_picture(
    left_rect: np.ndarray,
    disparity_px: np.ndarray,
    valid: np.ndarray,
    *,
    instrument_mask: np.ndarray | None = None,
    tool_colour: tuple[int, int, int] = TOOL_CYAN,
) -> np.ndarray:
    """Mix picture and colours: H x W x 3 uint8 RGB, for display only.

    left_rect: H x W x 3 uint8 RGB. disparity_px: H x W float32; where `valid` (bool) is False the
    picture shows as it is. Red is near, blue is far, in the range of this very picture.
    instrument_mask: H x W bool; tinted and outlined with `tool_colour` (RGB).
    """
    picture = left_rect
    sampled = disparity_px[::SAMPLE_STEP, ::SAMPLE_STEP]
    known = sampled[valid[::SAMPLE_STEP, ::SAMPLE_STEP]]
    if known.size:
        far, near = (float(value) for value in np.percentile(known, RANGE_PERCENTILES))
        # NaN becomes 0 here and is not shown, because it is never valid.
        level = cv2.convertScaleAbs(
            np.nan_to_num(np.clip(disparity_px, far, near)) - np.float32(far),
            alpha=255 / max(near - far, 1e-6),
        )
        colours = cv2.applyColorMap(level, cv2.COLORMAP_TURBO)
        cv2.cvtColor(colours, cv2.COLOR_BGR2RGB, dst=colours)
        mixed = cv2.addWeighted(left_rect, 1 - OPACITY, colours, OPACITY, 0)
        picture = cv2.copyTo(mixed, valid.view(np.uint8), left_rect.copy())
    if instrument_mask is None:
        return picture
    tinted = tint(left_rect, instrument_mask, tool_colour)
    picture = cv2.copyTo(tinted, instrument_mask.view(np.uint8), picture.copy())
    outlines, _ = cv2.findContours(
        instrument_mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(picture, outlines, -1, tool_colour, max(1, left_rect.shape[1] // 640))
    return picture
