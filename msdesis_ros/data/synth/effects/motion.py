"""Movement while the picture is taken: motion blur and, rarely, interlaced fields."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class MotionBlurSettings:
    """length: of the way in the exposure time, in picture widths, 0 = none. angle_deg: of it."""

    length: float = 0.0
    angle_deg: float = 0.0


@dataclass(frozen=True)
class InterlaceSettings:
    """(x, y) px by which the odd rows are late; the same in both eyes, so truth holds."""

    shift_x_px: float = 0.0
    shift_y_px: float = 0.0


def sample_motion_blur(rng: np.random.Generator, severity: float) -> MotionBlurSettings:
    """Draw motion blur: none in 60 % of the draws, otherwise up to 1.2 % of the width."""
    is_there = rng.random() < 0.4
    length = float(severity * rng.uniform(0.001, 0.012))
    return MotionBlurSettings(
        length=length if is_there else 0.0, angle_deg=float(rng.uniform(0, 180))
    )


def sample_interlace(rng: np.random.Generator, severity: float) -> InterlaceSettings:
    """Draw interlacing: in 3 % of the draws, a few pixels."""
    is_there = rng.random() < 0.03
    x, y = rng.normal(0, 0.5 + 3 * severity), rng.normal(0, 0.3 + severity)
    return InterlaceSettings(float(x), float(y)) if is_there else InterlaceSettings()


def blur_motion(picture: np.ndarray, settings: MotionBlurSettings) -> np.ndarray:
    """Smear a linear picture (H x W x 3 float32) along a line centred on each pixel."""
    length_px = settings.length * picture.shape[1]
    if length_px == 0:
        return picture
    kernel = _line(length_px, np.deg2rad(settings.angle_deg))
    return cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REPLICATE)


def interlace(picture: np.ndarray, settings: InterlaceSettings) -> np.ndarray:
    """Replace the odd rows (of H x W x 3, float32 or uint8) by those of the shifted picture."""
    if settings.shift_x_px == 0 and settings.shift_y_px == 0:
        return picture
    height, width = picture.shape[:2]
    matrix = np.array([[1.0, 0, settings.shift_x_px], [0, 1.0, settings.shift_y_px]])
    late = cv2.warpAffine(
        picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    result = picture.copy()
    result[1::2] = late[1::2]
    return result


def _line(length_px: float, angle_rad: float) -> np.ndarray:
    """An anti-aliased line of a length through the middle of an odd kernel, sum 1."""
    reach = int(np.ceil(length_px / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float64)
    way = np.linspace(-length_px / 2, length_px / 2, 8 * reach + 1)
    x, y = reach + way * np.cos(angle_rad), reach + way * np.sin(angle_rad)
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    u, v = x - column, y - row
    for down, right, weight in (
        (0, 0, (1 - u) * (1 - v)),
        (0, 1, u * (1 - v)),
        (1, 0, (1 - u) * v),
        (1, 1, u * v),
    ):
        np.add.at(kernel, (row + down, column + right), weight)
    return (kernel / kernel.sum()).astype(np.float32)
