"""Is the pair really rectified? The vertical offset of its views, measured on their content."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# Features are found on pictures at most this wide: enough for a tenth of a pixel of the median.
MEASURE_WIDTH = 640
MAX_FEATURES = 1500
RATIO_TEST = 0.75
EPIPOLAR_TOLERANCE_PX = 1.5
MIN_MATCHES = 30


@dataclass(frozen=True)
class VerticalOffset:
    """Row in the left picture minus row in the right one, over matched features.

    median_px: signed median. p95_abs_px: 95th percentile of the absolute offset, px at full size.
    matches: how many features it rests on.
    """

    median_px: float
    p95_abs_px: float
    matches: int


def measure_vertical_offset(left: np.ndarray, right: np.ndarray) -> VerticalOffset | None:
    """Match features of two H x W x 3 uint8 pictures; None where too few agree.

    SIFT (Lowe 2004) with the ratio test, kept by a RANSAC fundamental matrix, so that the rows
    need not be close to each other: it also works for a pair that was never rectified. The cost is
    tens of milliseconds, so call it now and then, not for each frame.
    """
    scale = max(1.0, left.shape[1] / MEASURE_WIDTH)
    found = [_features(picture, scale) for picture in (left, right)]
    (left_points, left_descriptors), (right_points, right_descriptors) = found
    if min(len(left_points), len(right_points)) < MIN_MATCHES:
        return None
    candidates = cv2.BFMatcher(cv2.NORM_L2).knnMatch(left_descriptors, right_descriptors, k=2)
    good = [
        pair[0]
        for pair in candidates
        if len(pair) == 2 and pair[0].distance < RATIO_TEST * pair[1].distance
    ]
    if len(good) < MIN_MATCHES:
        return None
    a = left_points[[match.queryIdx for match in good]]
    b = right_points[[match.trainIdx for match in good]]
    # RANSAC draws from OpenCV's own generator: seeded, so that one pair gives one answer.
    cv2.setRNGSeed(0)
    _, inliers = cv2.findFundamentalMat(a, b, cv2.FM_RANSAC, EPIPOLAR_TOLERANCE_PX, 0.99)
    if inliers is None or np.count_nonzero(inliers) < MIN_MATCHES:
        return None
    offsets = (a[:, 1] - b[:, 1])[inliers.ravel().astype(bool)] * scale
    return VerticalOffset(
        median_px=float(np.median(offsets)),
        p95_abs_px=float(np.percentile(np.abs(offsets), 95)),
        matches=len(offsets),
    )


def _features(picture: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray | None]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if scale > 1:
        grey = cv2.resize(grey, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
    keypoints, descriptors = cv2.SIFT_create(nfeatures=MAX_FEATURES).detectAndCompute(grey, None)
    points = np.array([keypoint.pt for keypoint in keypoints], dtype=np.float32).reshape(-1, 2)
    return points, descriptors
