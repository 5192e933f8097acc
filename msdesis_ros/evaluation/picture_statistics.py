"""Numbers that tell one kind of picture from another: brightness, colour, edges, highlights.

They compare synthetic pictures with real ones. All are taken at one width, so that pictures of
different sizes can be compared, and outside of a black border.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.core.errors import ImageError

WIDTH_PX = 640
# Of 255: what the border of a round field of view, or of a video frame, stays below.
BORDER_LEVEL = 12
# A highlight is nearly white and nearly saturated.
HIGHLIGHT_LEVEL, HIGHLIGHT_SATURATION = 235, 60


@dataclass(frozen=True)
class PictureStatistics:
    """Of the lit part of one picture, at 640 px width.

    luminance_*: percentiles of CIE L*, 0..100. redness, yellowness: medians of CIE a* and b*;
    *_spread: the distance between their 10th and 90th percentiles. saturation: median, 0..1.
    gradient_*: percentiles of the length of the gradient of L*, per pixel. fine_gradient: mean
    length of what a blur of 2 px takes from the gradient, a measure of grain and sharpness.
    highlight_share: of the lit pixels; highlight_count: of connected ones, per 100,000 lit
    pixels; highlight_area: median, px, 0 without any. dark_share: of lit pixels with L* < 10.
    lit_share: of all pixels.
    """

    luminance_p10: float
    luminance_median: float
    luminance_p90: float
    redness: float
    redness_spread: float
    yellowness: float
    yellowness_spread: float
    saturation: float
    gradient_median: float
    gradient_p90: float
    gradient_p99: float
    fine_gradient: float
    highlight_share: float
    highlight_count: float
    highlight_area: float
    dark_share: float
    lit_share: float


def picture_statistics(picture: np.ndarray) -> PictureStatistics:
    """Measure an H x W x 3 uint8 RGB picture; raises ImageError where nothing of it is lit."""
    height, width = picture.shape[:2]
    if width != WIDTH_PX:
        shrinking = width > WIDTH_PX
        size = (WIDTH_PX, max(1, round(height * WIDTH_PX / width)))
        way = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        picture = cv2.resize(picture, size, interpolation=way)
    lit = ~_border(picture)
    inner = cv2.erode(lit.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    if not inner.any():
        raise ImageError('nothing of the picture is lit, so it has no statistics; leave it out')
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    luminance, a, b = (lab[..., channel][inner] for channel in range(3))
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    gradient = _gradient(lab[..., 0])
    coarse = _gradient(cv2.GaussianBlur(lab[..., 0], (0, 0), 2.0))
    highlight = (hsv[..., 2] >= HIGHLIGHT_LEVEL) & (hsv[..., 1] <= HIGHLIGHT_SATURATION) & inner
    count, _, boxes, _ = cv2.connectedComponentsWithStats(highlight.astype(np.uint8))
    areas = boxes[1:, cv2.CC_STAT_AREA]
    p10, median, p90 = np.percentile(luminance, (10, 50, 90))
    return PictureStatistics(
        luminance_p10=float(p10),
        luminance_median=float(median),
        luminance_p90=float(p90),
        redness=float(np.median(a)),
        redness_spread=_spread(a),
        yellowness=float(np.median(b)),
        yellowness_spread=_spread(b),
        saturation=float(np.median(hsv[..., 1][inner])) / 255,
        gradient_median=float(np.median(gradient[inner])),
        gradient_p90=float(np.percentile(gradient[inner], 90)),
        gradient_p99=float(np.percentile(gradient[inner], 99)),
        fine_gradient=float(np.mean(gradient[inner] - coarse[inner])),
        highlight_share=float(highlight.sum() / inner.sum()),
        highlight_count=float((count - 1) / inner.sum() * 1e5),
        highlight_area=float(np.median(areas)) if len(areas) else 0.0,
        dark_share=float(np.mean(luminance < 10)),
        lit_share=float(lit.mean()),
    )


def _border(picture: np.ndarray) -> np.ndarray:
    """H x W bool: dark areas that touch the picture's edge and are too black for tissue."""
    dark = (cv2.medianBlur(picture, 5).max(axis=2) <= BORDER_LEVEL).astype(np.uint8)
    _, labels = cv2.connectedComponents(dark)
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return np.isin(labels, edge[edge > 0])


def _gradient(plane: np.ndarray) -> np.ndarray:
    across, down = (cv2.Scharr(plane, cv2.CV_32F, *axis) / 32 for axis in ((1, 0), (0, 1)))
    return np.hypot(across, down)


def _spread(values: np.ndarray) -> float:
    low, high = np.percentile(values, (10, 90))
    return float(high - low)
