"""True disparities and masks as data sets store them: TIFF, PNG, PFM."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.images import read_plane
from msdesis_ros.data.layouts.pfm import read_pfm

DISPARITY_SUFFIXES = ('.tif', '.tiff', '.png', '.pfm')


def read_disparity_truth(path: Path, *, scale: float = 1.0) -> np.ndarray:
    """Read true disparities: H x W float32 px, NaN where there is no truth.

    scale: what the file stores for one pixel of disparity (256 for KITTI's PNG, 4 for
    Middlebury's quarter-size ones, -1 where the sign is the other way). What is not finite or not
    positive after the division is no truth. A PFM's own scale gives the order of its bytes only.

    Raises:
        UsageError: another suffix, or a scale of 0 or not finite.
        FileFormatError: the file is missing, damaged, has colours, or holds no truth at all.
    """
    if not (math.isfinite(scale) and scale):
        raise UsageError(f'--truth-scale is {scale:g}; expected a number other than 0')
    suffix = path.suffix.lower()
    if suffix not in DISPARITY_SUFFIXES:
        raise UsageError(f'{path}: a truth ends in {", ".join(DISPARITY_SUFFIXES)}')
    stored = read_pfm(path) if suffix == '.pfm' else read_plane(path)
    if stored.ndim != 2:
        raise FileFormatError(
            f'{path} has {stored.shape[2]} channels; expected one, with the disparity: a picture '
            'with colours for people holds no numbers'
        )
    disparity_px = (stored.astype(np.float64) / scale).astype(np.float32)
    known = np.isfinite(disparity_px) & (disparity_px > 0)
    if not known.any():
        raise FileFormatError(
            f'{path} holds no disparity above 0; check that it is one, and its --truth-scale '
            '(negative where the file counts the other way)'
        )
    return np.where(known, disparity_px, np.float32(np.nan))


def read_mask_truth(path: Path) -> np.ndarray:
    """Read a mask: H x W bool, True where any channel of the picture is above 0.

    Raises FileFormatError for a file that is missing or damaged.
    """
    picture = read_plane(path)
    return picture > 0 if picture.ndim == 2 else (picture[..., :3] > 0).any(axis=2)
