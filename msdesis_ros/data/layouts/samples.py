"""One sample of a data set: its files as a checked record, and its content as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError, shown
from msdesis_ros.data.images import read_plane, read_rgb
from msdesis_ros.data.layouts.pfm import read_pfm

Split = Literal['train', 'validation', 'test']
SPLITS: tuple[Split, ...] = ('train', 'validation', 'test')
MASK_VALUES = (0, 255)
_REMEDY = 'check the data set again'


@dataclass(frozen=True, kw_only=True)
class SampleFiles:
    """The files of one sample; whether they are there and fit is not known yet.

    name: of the sample, in words of the data set, e.g. `dataset_8/keyframe_0/000000`.
    split: as published, None where the data set defines none.
    left, right: 8-bit pictures; right is None in monocular data.
    disparity: `.pfm` with float px of either sign, or a 16-bit grey PNG of px * disparity_scale.
    instrument_mask: 8-bit grey PNG, 0 or 255 (instrument).
    calibration: of the pair, for `data.calibration_files`.
    """

    name: str
    split: Split | None
    left: Path
    right: Path | None = None
    disparity: Path | None = None
    disparity_scale: float = 128.0
    instrument_mask: Path | None = None
    calibration: Path | None = None

    def __post_init__(self) -> None:
        if self.split is not None and self.split not in SPLITS:
            raise UsageError(
                f'{self.name}: the split {shown(self.split)} is unknown; known are '
                f'{", ".join(SPLITS)} and None'
            )
        if not self.disparity_scale > 0:
            raise UsageError(
                f'{self.name}: disparity_scale is {self.disparity_scale}; expected > 0'
            )

    @property
    def pictures(self) -> tuple[Path, ...]:
        """All files with one value for each pixel of the left or the right view."""
        planes = (self.left, self.right, self.disparity, self.instrument_mask)
        return tuple(path for path in planes if path is not None)

    @property
    def truth(self) -> tuple[str, ...]:
        """Which truth there is: none or more of `disparity`, `instrument_mask`."""
        named = {'disparity': self.disparity, 'instrument_mask': self.instrument_mask}
        return tuple(name for name, path in named.items() if path is not None)


@dataclass(frozen=True, kw_only=True)
class Sample(SampleFiles):
    """A sample whose files were there, readable and of one size when they were checked.

    image_size: (width, height) px of every picture of the sample.
    """

    image_size: tuple[int, int]


@dataclass(frozen=True)
class LoadedSample:
    """A sample as arrays of one height and width.

    left, right: H x W x 3 uint8, RGB; right is None in monocular data.
    disparity_px: H x W float32, left x minus right x, positive; NaN where it is unknown. None
        where the data set has none.
    instrument_mask: H x W bool, True on instruments. None where the data set has none.
    """

    sample: Sample
    left: np.ndarray
    right: np.ndarray | None = None
    disparity_px: np.ndarray | None = None
    instrument_mask: np.ndarray | None = None

    @property
    def disparity_valid(self) -> np.ndarray | None:
        """H x W bool, where the disparity is known; None where the data set has no disparity."""
        return None if self.disparity_px is None else ~np.isnan(self.disparity_px)


def load(sample: Sample) -> LoadedSample:
    """Read the files of a sample.

    Raises:
        FileFormatError: a file is missing or damaged, holds values that its use does not allow,
            or has another size than when the sample was checked.
    """
    right = disparity_px = instrument_mask = None
    left = _sized(read_rgb(sample.left), sample.left, sample)
    if sample.right is not None:
        right = _sized(read_rgb(sample.right), sample.right, sample)
    if sample.disparity is not None:
        disparity_px = read_disparity(sample.disparity, scale=sample.disparity_scale)
        _sized(disparity_px, sample.disparity, sample)
    if sample.instrument_mask is not None:
        instrument_mask = _sized(read_mask(sample.instrument_mask), sample.instrument_mask, sample)
    return LoadedSample(sample, left, right, disparity_px, instrument_mask)


def in_split(samples: Iterable[Sample], split: Split) -> list[Sample]:
    """Return the samples of one split, in their order; UsageError for an unknown one."""
    if split not in SPLITS:
        raise UsageError(f'the split {shown(split)} is unknown; known are {", ".join(SPLITS)}')
    return [sample for sample in samples if sample.split == split]


def read_disparity(path: Path, *, scale: float = 128.0) -> np.ndarray:
    """Read a disparity of the left view, H x W float32 px, positive; NaN where it is unknown.

    A PFM holds pixels. Scene Flow data sets store left x minus right x, or its negative, so the
    sign that most pixels of the file have is taken for the positive one; a pixel of the other
    sign lies behind the cameras, and is unknown, like 0 (infinitely far) and what is not finite.
    A PNG holds 16 bits of px * scale, and 0 where the disparity is unknown.

    Raises FileFormatError.
    """
    if path.suffix.lower() == '.pfm':
        disparity_px = read_pfm(path)
        if disparity_px.ndim != 2:
            raise FileFormatError(f'{path} is a PFM of three channels; expected one (Pf)')
        if np.count_nonzero(disparity_px < 0) > np.count_nonzero(disparity_px > 0):
            disparity_px = -disparity_px
    else:
        disparity_px = _read_grey_png(path, np.uint16) / np.float32(scale)
    disparity_px[~((disparity_px > 0) & (disparity_px < np.inf))] = np.nan
    return disparity_px


def read_mask(path: Path) -> np.ndarray:
    """Read an instrument mask, H x W bool; FileFormatError for values other than 0 and 255."""
    values = _read_grey_png(path, np.uint8)
    mask = values == MASK_VALUES[1]
    if not (mask | (values == MASK_VALUES[0])).all():
        other = int(np.setdiff1d(values, MASK_VALUES)[0])
        raise FileFormatError(
            f'{path} holds the value {other}; expected 0 and 255 (instrument): a mask must be '
            'resized by nearest neighbour, and part labels are no binary mask'
        )
    return mask


def _read_grey_png(path: Path, dtype: type[np.generic]) -> np.ndarray:
    plane = read_plane(path, remedy='download or copy it again')
    if plane.ndim != 2 or plane.dtype != dtype:
        raise FileFormatError(
            f'{path} holds {plane.dtype} of the shape {plane.shape}; expected one grey channel '
            f'of {np.dtype(dtype)}'
        )
    return plane


def _sized(plane: np.ndarray, path: Path, sample: Sample) -> np.ndarray:
    height, width = plane.shape[:2]
    if (width, height) != sample.image_size:
        expected = '{}x{}'.format(*sample.image_size)
        raise FileFormatError(
            f'{path} is {width}x{height} px; expected {expected} px, its size when it was '
            f'checked: {_REMEDY}'
        )
    return plane
