"""Parts of a picture that are scored apart, because they are hard for different reasons.

Every region holds pixels with truth only, and a pixel may lie in several of them.
"""

from __future__ import annotations

import cv2
import numpy as np

from msdesis_ros.evaluation.picture_statistics import HIGHLIGHT_LEVEL, HIGHLIGHT_SATURATION

REGIONS = (
    'all',
    'visible',
    'occluded',
    'edges',
    'specular',
    'texture_poor',
    'tool',
    'tissue',
)
# Scharstein and Szeliski, IJCV 2002, table 3: eval_disp_gap and eval_discont_width. The gap is
# twice the steepest slope (1 px a px) at which a surface is still seen by both eyes.
EDGE_GAP_PX, EDGE_WIDTH_PX = 2.0, 9
# Blur and colour subsampling carry a highlight this far over its border.
SPECULAR_RIM_PX = 2
# Rms of the horizontal gradient, grey levels of 255 a px, after a blur of 1.5 px, over 15 x 15
# px. The blur and the window leave 0.27 of sensor noise of 3 levels, which must not pass for
# texture; the limit is about twice that. 5 to 17 % of the lit pixels of public laparoscopy frames
# (Cholec80, 640 px wide) lie below it.
TEXTURE_BLUR_PX, TEXTURE_WINDOW_PX, TEXTURE_LIMIT = 1.5, 15, 0.5


def find_regions(
    left: np.ndarray,
    truth_px: np.ndarray,
    *,
    occluded: np.ndarray | None = None,
    instrument_mask: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The regions of one frame, H x W bool each, by their names in the order of REGIONS.

    left: H x W x 3 uint8 RGB. truth_px: H x W, NaN = no truth. occluded, instrument_mask: H x W
    bool; without them the regions that need them are left out.
    """
    known = np.isfinite(truth_px)
    found = {'all': known}
    if occluded is not None:
        found |= {'visible': ~occluded, 'occluded': occluded}
    found |= {
        'edges': near_edges(truth_px),
        'specular': specular(left),
        'texture_poor': texture_poor(left),
    }
    if instrument_mask is not None:
        found |= {'tool': instrument_mask, 'tissue': ~instrument_mask}
    return {name: region & known for name, region in found.items()}


def near_edges(truth_px: np.ndarray) -> np.ndarray:
    """H x W bool: where two neighbours' disparities differ by more than 2 px, 9 px wide.

    Pixels without truth (NaN) make no edge, so a sparse truth has few.
    """
    edge = np.zeros(truth_px.shape, np.uint8)
    with np.errstate(invalid='ignore'):
        across = np.abs(np.diff(truth_px, axis=1)) > EDGE_GAP_PX
        down = np.abs(np.diff(truth_px, axis=0)) > EDGE_GAP_PX
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return cv2.dilate(edge, np.ones((EDGE_WIDTH_PX, EDGE_WIDTH_PX), np.uint8)) > 0


def specular(left: np.ndarray) -> np.ndarray:
    """H x W bool: nearly white and nearly colourless (as in `picture_statistics`), and the rim."""
    hsv = cv2.cvtColor(left, cv2.COLOR_RGB2HSV)
    bright = (hsv[..., 2] >= HIGHLIGHT_LEVEL) & (hsv[..., 1] <= HIGHLIGHT_SATURATION)
    size = 2 * SPECULAR_RIM_PX + 1
    return cv2.dilate(bright.astype(np.uint8), np.ones((size, size), np.uint8)) > 0


def texture_poor(left: np.ndarray) -> np.ndarray:
    """H x W bool: too little horizontal gradient in the surroundings to match rows by it.

    Only the horizontal gradient counts, as the search goes along the rows (after the textureless
    regions of Scharstein and Szeliski, IJCV 2002).
    """
    grey = cv2.cvtColor(left, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), TEXTURE_BLUR_PX)
    gradient = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=1) / 2
    window = (TEXTURE_WINDOW_PX, TEXTURE_WINDOW_PX)
    return cv2.boxFilter(gradient * gradient, -1, window) < TEXTURE_LIMIT**2
