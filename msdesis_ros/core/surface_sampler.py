"""Values between the pixels of a plane, without mixing two surfaces at their edge."""

from __future__ import annotations

import numpy as np

# The disparity of a surface that both eyes see changes by less than this from one pixel to the
# next. Where it changes by more there is an edge, and the mean of its two sides lies on neither.
MAX_STEP_PX = 1.0


class SurfaceSampler:
    """Looks up a plane of values at fixed places between its pixels.

    x, y: H x W float, px in the plane; NaN = nowhere. source_size: (width, height) of the plane.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, source_size: tuple[int, int]) -> None:
        width, height = source_size
        # A pixel reaches half a pixel to each side.
        with np.errstate(invalid='ignore'):
            self._inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
        x, y = np.where(self._inside, x, 0.0), np.where(self._inside, y, 0.0)
        column = np.clip(np.floor(x).astype(np.intp), 0, max(width - 2, 0))
        row = np.clip(np.floor(y).astype(np.intp), 0, max(height - 2, 0))
        right, below = (1 if width > 1 else 0), (width if height > 1 else 0)
        corner = row * width + column
        self._corners = (corner, corner + right, corner + below, corner + right + below)
        self._along = np.clip(x - column, 0, 1).astype(np.float32)
        self._down = np.clip(y - row, 0, 1).astype(np.float32)
        nearest_column = np.clip(np.floor(x + 0.5).astype(np.intp), 0, width - 1)
        nearest_row = np.clip(np.floor(y + 0.5).astype(np.intp), 0, height - 1)
        self._nearest = nearest_row * width + nearest_column

    def sample(self, plane: np.ndarray, *, max_step: float = MAX_STEP_PX) -> np.ndarray:
        """Values at the places, float64, NaN where unknown.

        Bilinear where the four pixels around are known and differ by at most `max_step`, else that
        of the nearest pixel.
        """
        values = plane.ravel()
        four = [values[corner] for corner in self._corners]
        lowest, highest = four[0], four[0]
        for other in four[1:]:  # NaN stays NaN in both
            lowest, highest = np.minimum(lowest, other), np.maximum(highest, other)
        with np.errstate(invalid='ignore'):
            one_surface = highest - lowest <= max_step
        top = four[0] + self._along * (four[1] - four[0])
        bottom = four[2] + self._along * (four[3] - four[2])
        between = top + self._down * (bottom - top)
        found = np.where(one_surface, between, values[self._nearest])
        return np.where(self._inside, found, np.nan)
