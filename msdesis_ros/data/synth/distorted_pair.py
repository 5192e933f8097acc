"""Unrectified pictures of a synthetic pair: what two real lenses would have delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from msdesis_ros.core.errors import ImageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.data.synth.effects.distortion import Distorter, StereoLens, sample_lens
from msdesis_ros.data.synth.rigs import EndoscopeRig
from msdesis_ros.data.synth.stereo_frame import StereoFrame

_LENSES = 71  # keeps these numbers apart from others drawn from the same seed


@dataclass(frozen=True, eq=False)
class DistortedPair:
    """Both raw pictures, H x W x 3 uint8 RGB, and the lenses that rectify them to the pair.

    Black where the rectified view does not reach.
    """

    left: np.ndarray
    right: np.ndarray
    lens: StereoLens

    def __post_init__(self) -> None:
        if self.left.shape != self.right.shape or self.left.dtype != np.uint8:
            raise ImageError(
                f'raw pictures of {self.left.shape} and {self.right.shape} {self.left.dtype}; '
                'expected two of one size, uint8'
            )


def distort(frame: StereoFrame, *, seed: Sequence[int]) -> DistortedPair:
    """The pair as two lenses would have taken it; the same seed gives the same lenses.

    The pictures are resampled, so their noise is a little smoother than the rectified ones'.
    """
    lens, eyes = _eyes(tuple(seed), frame.geometry)
    left, right = (
        eye.distort(picture) for eye, picture in zip(eyes, (frame.left, frame.right), strict=True)
    )
    return DistortedPair(left, right, lens)


@lru_cache(maxsize=1)  # a sequence has one pair of lenses, whose maps take longer than a frame
def _eyes(
    seed: tuple[int, ...], geometry: StereoGeometry
) -> tuple[StereoLens, tuple[Distorter, Distorter]]:
    rig = EndoscopeRig(
        image_size=geometry.image_size,
        focal_px=geometry.focal_px,
        cx_px=geometry.cx_px,
        cy_px=geometry.cy_px,
        baseline_mm=geometry.baseline_m * 1e3,
    )
    lens = sample_lens(np.random.default_rng([*seed, _LENSES]), rig)
    left, right = (
        Distorter(eye, view_geometry=geometry, image_size=geometry.image_size)
        for eye in (lens.left, lens.right)
    )
    return lens, (left, right)
