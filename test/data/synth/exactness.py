"""How well a pair without faults agrees with its disparity."""

from __future__ import annotations

import cv2
import numpy as np

from msdesis_ros.data.synth.stereo_frame import StereoFrame

# Beside an edge a pixel shows both surfaces, and the warp mixes two places.
EDGE_PX = 2
JUMP_PX = 1.0


def away_from_edges(frame: StereoFrame) -> np.ndarray:
    """H x W bool: not occluded, and EDGE_PX from every jump of the disparity in either view."""
    disparity = np.nan_to_num(frame.disparity_px, nan=-100.0)
    kernel = np.ones((3, 3), np.uint8)
    jump = cv2.dilate(disparity, kernel) - cv2.erode(disparity, kernel) > JUMP_PX
    near = jump | frame.occluded | (disparity < 0)
    return cv2.dilate(near.astype(np.uint8), np.ones((2 * EDGE_PX + 1,) * 2, np.uint8)) == 0


def warp_errors(frame: StereoFrame) -> np.ndarray:
    """N uint8: the greatest difference of a channel between the left picture and the right one
    warped by the disparity, of all pixels away from edges, 0..255.
    """
    height, width = frame.disparity_px.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    there = x - np.nan_to_num(frame.disparity_px)
    warped = cv2.remap(frame.right, there, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return cv2.absdiff(warped, frame.left).max(axis=2)[away_from_edges(frame)]
