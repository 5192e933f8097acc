"""Disparities of the rectified left view <-> depth maps of the original one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from msdesis_ros.core.errors import UsageError, shown
from msdesis_ros.core.original_view import OriginalView
from msdesis_ros.data.value_files import DEPTH, DISPARITY, PNG_SUFFIX, TIFF_SUFFIXES

Target = Literal['depth', 'disparity']
TARGETS: tuple[Target, ...] = ('depth', 'disparity')
Fill = Literal['none', 'raster']
FILLS: tuple[Fill, ...] = ('none', 'raster')
FORMATS = {'png': PNG_SUFFIX, 'tiff': TIFF_SUFFIXES[-1]}
_QUANTITIES = {'depth': DEPTH, 'disparity': DISPARITY}
_MM_PER_M = 1e3


def fill_along_raster(values: np.ndarray) -> np.ndarray:
    """Fill unknown pixels as the published protocol does; returns H x W float32, a new array.

    The picture is read as one line, row after row, and what is NaN is put on the straight line
    between the known pixels before and behind it, be they in other rows or on other surfaces. What
    lies before the first or behind the last one gets their value. Without any known pixel
    everything stays NaN. These numbers are inventions: use them to compare with published figures.
    """
    flat = values.ravel().astype(np.float64)
    known = np.isfinite(flat)
    if known.any() and not known.all():
        places = np.arange(flat.size)
        flat[~known] = np.interp(places[~known], places[known], flat[known])
    return flat.reshape(values.shape).astype(np.float32)


def depth_map_mm(
    disparity_px: np.ndarray, view: OriginalView, *, fill: Fill = 'none'
) -> np.ndarray:
    """The depth map of the original left view, H x W float32 mm, NaN where unknown.

    disparity_px: H x W of the rectified left view; 0 and NaN are unknown. fill: `raster` as
    `fill_along_raster`. Raises ImageError for another size than the calibrated one.
    """
    depth_mm = view.depth_from_disparity(disparity_px) * np.float32(_MM_PER_M)
    return fill_along_raster(depth_mm) if fill == 'raster' else depth_mm


def disparity_of_depth_map(depth_mm: np.ndarray, view: OriginalView) -> np.ndarray:
    """The disparity of the rectified left view, H x W float32 px, NaN where unknown.

    depth_mm: H x W of the original left view. Raises as `depth_map_mm`.
    """
    return view.disparity_from_depth(depth_mm / np.float32(_MM_PER_M))


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """How to convert, and from which numbers into which.

    to: what is made. scale, out_scale: of the PNGs read and written. form: a name of FORMATS.
    fill: for depth maps only. Raises UsageError for an unknown name and an impossible scale.
    """

    to: Target = 'depth'
    scale: float
    out_scale: float
    form: str = 'png'
    fill: Fill = 'none'

    def __post_init__(self) -> None:
        for name, known in (('to', TARGETS), ('form', tuple(FORMATS)), ('fill', FILLS)):
            value = getattr(self, name)
            if value not in known:
                raise UsageError(f'{name} is {shown(value)}; known are {", ".join(known)}')
        if self.to == 'disparity' and self.fill != 'none':
            raise UsageError('only depth maps are filled; leave the fill out for disparities')
        for name in ('scale', 'out_scale'):
            value = getattr(self, name)
            if not 0 < value < float('inf'):
                raise UsageError(f'{name} is {value:g}; expected a number above 0, usually 128')

    @property
    def quantity(self) -> str:
        """What the made files hold, as `data.value_files` names it."""
        return _QUANTITIES[self.to]

    @property
    def source_quantity(self) -> str:
        """What the given files hold."""
        return _QUANTITIES['disparity' if self.to == 'depth' else 'depth']

    def apply(self, values: np.ndarray, view: OriginalView) -> np.ndarray:
        """Convert one plane, H x W float32 in px or mm; raises ImageError for another size."""
        if self.to == 'depth':
            return depth_map_mm(values, view, fill=self.fill)
        return disparity_of_depth_map(values, view)
