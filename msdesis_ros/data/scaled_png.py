"""Disparities and depths as 16-bit grey PNG: the form of KITTI, SCARED and the MSDESIS release.

A stored sample is value x scale, rounded to the nearest whole number; 0 means unknown. The file
does not hold its scale: whoever writes one says beside it which it was.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.images import read_plane, write_image

DEFAULT_SCALE = 128.0
_LARGEST = int(np.iinfo(np.uint16).max)


def encode_scaled(values: np.ndarray, scale: float = DEFAULT_SCALE) -> tuple[np.ndarray, int]:
    """Turn values into samples of a 16-bit PNG.

    Args:
        values: H x W floats, px or mm; NaN, infinite, zero and negative ones are unknown.
        scale: stored for one unit, above 0.

    Returns:
        H x W uint16, 0 where unknown, and how many values were too large for 16 bits: those are
        stored as the largest sample, never wrapped around. What is within the range comes back
        within 1 / (2 scale); a value below that is stored as unknown.

    Raises:
        UsageError: the scale is not a positive number.
    """
    _require_scale(scale)
    values = np.asarray(values)
    known = np.isfinite(values) & (values > 0)
    samples = np.rint(np.where(known, values, 0).astype(np.float64) * scale)
    too_large = samples > _LARGEST
    return np.minimum(samples, _LARGEST).astype(np.uint16), int(too_large.sum())


def decode_scaled(samples: np.ndarray, scale: float = DEFAULT_SCALE) -> np.ndarray:
    """H x W uint16 -> H x W float32 in the unit of the values, NaN where 0 says unknown.

    Raises UsageError where the scale is not a positive number.
    """
    _require_scale(scale)
    values = samples.astype(np.float32) / np.float32(scale)
    values[samples == 0] = np.nan
    return values


def write_scaled(
    path: str | os.PathLike[str], values: np.ndarray, scale: float = DEFAULT_SCALE
) -> int:
    """Write values as a 16-bit PNG, whole or not at all; how many were too large for it.

    Raises as `encode_scaled` and `data.images.write_image`.
    """
    samples, too_large = encode_scaled(values, scale)
    write_image(path, samples)
    return too_large


def read_scaled(path: str | os.PathLike[str], scale: float = DEFAULT_SCALE) -> np.ndarray:
    """Read a 16-bit PNG as H x W float32, NaN where unknown.

    Raises:
        FileFormatError: the file is missing, damaged, or not one grey channel of 16 bits.
        UsageError: the scale is not a positive number.
    """
    _require_scale(scale)
    samples = read_plane(path, remedy='write or copy it again')
    if samples.dtype != np.uint16 or samples.ndim != 2:
        raise FileFormatError(
            f'{Path(path)} holds {samples.dtype} of the shape {samples.shape}; expected one grey '
            'channel of 16 bits (value x scale, 0 = unknown)'
        )
    return decode_scaled(samples, scale)


def _require_scale(scale: float) -> None:
    if not 0 < scale < float('inf'):
        raise UsageError(f'the scale factor is {scale}; expected a number above 0, usually 128')
