"""Small operations on float32 pictures that several effects share."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # linear RGB, ITU-R BT.709
QUANTILES = 4096


def luminance(picture: np.ndarray) -> np.ndarray:
    """H x W float32 of H x W x 3 linear RGB."""
    return cv2.transform(picture, LUMA[None])


def times(picture: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """H x W x 3 times H x W; merging first is faster than NumPy's broadcast."""
    return picture * cv2.merge([factor] * 3)


def mixed(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`first` where share (H x W) is 0, `second` where it is 1, H x W x 3 float32."""
    difference = second - first
    difference *= cv2.merge([share] * 3)
    difference += first
    return difference


def blurred(picture: np.ndarray, sigma_px: float) -> np.ndarray:
    """A Gaussian blur; wide ones are computed on a smaller picture, where they cost little."""
    height, width = picture.shape[:2]
    factor = 1
    while sigma_px / factor > 3.0 and min(height, width) // factor >= 32:
        factor *= 2
    if factor == 1:
        return cv2.GaussianBlur(picture, (0, 0), sigma_px)
    small = cv2.resize(picture, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / factor)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def normal_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal noise, float32, of 4096 quantiles (to 3.7 sigma): 2.5 times as fast as NumPy's."""
    codes = np.frombuffer(rng.bytes(2 * math.prod(shape)), '<u2') & (QUANTILES - 1)
    return _normal_quantiles()[codes].reshape(shape)


@lru_cache(maxsize=1)
def _normal_quantiles() -> np.ndarray:
    normal = NormalDist()
    levels = [normal.inv_cdf((step + 0.5) / QUANTILES) for step in range(QUANTILES)]
    return np.array(levels, np.float32)


def smooth_step(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to `low`, 1 from `high` on, smooth between."""
    t = np.clip((values - low) / max(high - low, 1e-6), 0.0, 1.0).astype(np.float32)
    return t * t * (3.0 - 2.0 * t)


def squared_radius(shape: tuple[int, int], centre: tuple[float, float]) -> np.ndarray:
    """H x W float32: squared distance from a centre in half diagonals of the picture.

    centre: (x, y) as shares of the width and the height; (0.5, 0.5) is the middle.
    """
    height, width = shape
    half_diagonal = np.hypot(width, height) / 2
    x = (np.arange(width) - (centre[0] * width - 0.5)) / half_diagonal
    y = (np.arange(height) - (centre[1] * height - 0.5)) / half_diagonal
    return np.add.outer((y * y).astype(np.float32), (x * x).astype(np.float32))
