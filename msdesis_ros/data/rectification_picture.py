"""A rectified pair side by side under common rows, for the eye to check."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from msdesis_ros.core.errors import ImageError

VIEW_WIDTH_PX = 640
ROWS = 16
BAND_PX, LINE_PX = 16, 24
BACKGROUND, TEXT = (24, 26, 30), (232, 234, 238)
# Lines of neighbouring colours are told apart when they are followed from one view to the other.
LINE_COLOURS = ((0, 230, 230), (240, 200, 0), (255, 90, 200))
CORNER_COLOUR = (60, 255, 60)


def rectification_picture(
    left_rect: np.ndarray,
    right_rect: np.ndarray,
    *,
    corners: tuple[np.ndarray, np.ndarray] | None = None,
    title_lines: Sequence[str] = (),
) -> np.ndarray:
    """Draw both rectified views side by side with horizontal lines: one point, one line.

    Args:
        left_rect, right_rect: H x W x 3 uint8, RGB.
        corners: of the board in both views, N x 2 px each, drawn as crosses.
        title_lines: ASCII, above the views.

    Returns:
        uint8 RGB, 1280 px wide whatever the size of the views.

    Raises:
        ImageError: the views differ in size.
    """
    if left_rect.shape != right_rect.shape or left_rect.ndim != 3:
        raise ImageError(
            f'the rectified views have the shapes {left_rect.shape} and {right_rect.shape}; '
            'expected one H x W x 3'
        )
    scale = VIEW_WIDTH_PX / left_rect.shape[1]
    height = max(1, round(left_rect.shape[0] * scale))
    views = []
    for number, view in enumerate((left_rect, right_rect)):
        enlarged = cv2.resize(
            view,
            (VIEW_WIDTH_PX, height),
            interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        )
        if corners is not None:
            for x, y in (corners[number] + 0.5) * scale - 0.5:
                if np.isfinite([x, y]).all() and abs(x) < 1e4 and abs(y) < 1e4:
                    at = (round(float(x)), round(float(y)))
                    cv2.drawMarker(enlarged, at, CORNER_COLOUR, cv2.MARKER_CROSS, 9, 1)
        views.append(enlarged)
    sheet = np.hstack(views)
    for number in range(1, ROWS):
        row = round(number * height / ROWS)
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        cv2.line(sheet, (0, row), (sheet.shape[1] - 1, row), colour, 1)
    return np.vstack([_band(title_lines, sheet.shape[1]), sheet])


def _band(lines: Sequence[str], width: int) -> np.ndarray:
    band = np.full((BAND_PX + LINE_PX * len(lines), width, 3), BACKGROUND, np.uint8)
    for number, line in enumerate(lines):
        at = (BAND_PX, BAND_PX + LINE_PX * number + 8)
        cv2.putText(band, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, TEXT, 1, cv2.LINE_AA)
    return band
