"""Unrectified pictures of a synthetic pair: what two real lenses would have delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np

from msdesis_ros.core.errors import ImageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.data.synth.effects.distortion import Distorter, StereoLens, sample_lens
from msdesis_ros.data.synth.rigs import EndoscopeRig
from msdesis_ros.data.synth.stereo_frame import FrameSource, StereoFrame

_LENSES = 71  # keeps these numbers apart from others drawn from the same seed


@dataclass(frozen=True, eq=False)
class DistortedPair:
    """Both raw pictures, H x W x 3 uint8 RGB, and the lenses that rectify them to the pair."""

    left: np.ndarray
    right: np.ndarray
    lens: StereoLens

    def __post_init__(self) -> None:
        if self.left.shape != self.right.shape or self.left.dtype != np.uint8:
            raise ImageError(
                f'raw pictures of {self.left.shape} and {self.right.shape} {self.left.dtype}; '
                'expected two of one size, uint8'
            )


@runtime_checkable
class LensSource(Protocol):
    """A `FrameSource` that sees more than its frame shows, and so fills whole raw pictures."""

    def frame_with_raw(
        self, index: int, *, lens_seed: Sequence[int]
    ) -> tuple[StereoFrame, DistortedPair]:
        """The pair of a number and the raw one of the same moment; see `draw_lens`."""


def frame_with_raw(
    source: FrameSource, index: int, *, lens_seed: Sequence[int]
) -> tuple[StereoFrame, DistortedPair]:
    """A pair and its raw pictures, from the source itself where it can make them."""
    if isinstance(source, LensSource):
        return source.frame_with_raw(index, lens_seed=lens_seed)
    frame = source.frame(index)
    return frame, distort(frame, seed=lens_seed)


def draw_lens(seed: Sequence[int], geometry: StereoGeometry) -> StereoLens:
    """The lenses that belong to a seed."""
    rig = EndoscopeRig(
        image_size=geometry.image_size,
        focal_px=geometry.focal_px,
        cx_px=geometry.cx_px,
        cy_px=geometry.cy_px,
        baseline_mm=geometry.baseline_m * 1e3,
    )
    return sample_lens(np.random.default_rng([*seed, _LENSES]), rig)


def distort(frame: StereoFrame, *, seed: Sequence[int]) -> DistortedPair:
    """The pair as two lenses would have taken it; the same seed gives the same lenses.

    Black where the rectified view does not reach. The pictures are resampled, so their noise is a
    little smoother than the rectified ones'.
    """
    lens = draw_lens(seed, frame.geometry)
    left, right = (
        eye.distort(picture)
        for eye, picture in zip(
            distorters(lens, frame.geometry), (frame.left, frame.right), strict=True
        )
    )
    return DistortedPair(left, right, lens)


@lru_cache(maxsize=1)  # a sequence has one pair of lenses, whose maps take longer than a frame
def distorters(lens: StereoLens, view_geometry: StereoGeometry) -> tuple[Distorter, Distorter]:
    """The maps of both eyes, from views of a geometry to raw pictures of the lens's size."""
    left, right = (
        Distorter(eye, view_geometry=view_geometry, image_size=lens.geometry.image_size)
        for eye in (lens.left, lens.right)
    )
    return left, right
