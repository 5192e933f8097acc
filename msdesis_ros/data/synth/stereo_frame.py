"""One synthetic stereo pair with all that is known about it, and where such pairs come from.

Both views are rectified to one principal point, so Z = focal_px * baseline / disparity holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np

from msdesis_ros.core.rig import StereoGeometry


class Part(IntEnum):
    """Values of `parts`."""

    BACKGROUND = 0
    SHAFT = 1
    WRIST = 2
    JAWS = 3


class ToolType(IntEnum):
    """Values of `types`: the instrument that a pixel belongs to."""

    BACKGROUND = 0
    NEEDLE_DRIVER = 1
    FORCEPS = 2
    SCISSORS = 3
    HOOK = 4
    GRASPER = 5
    CLIP_APPLIER = 6
    SUCTION_TUBE = 7
    NEEDLE = 8
    CLIP = 9


@dataclass(frozen=True, eq=False)
class StereoFrame:
    """A rectified pair and its truth, all at the left view's pixels.

    left, right: H x W x 3 uint8 RGB. disparity_px: H x W float32, NaN where there is no surface
    or the picture does not show it (outside of a circular field of view). parts, types: H x W
    uint8, values of `Part` and `ToolType`; a pixel has a part exactly where it has a type.
    occluded: H x W bool, True where the left pixel is hidden in, or outside of, the right picture.
    geometry: its baseline is in metres. scene: what it was made with, JSON-serialisable.
    """

    left: np.ndarray
    right: np.ndarray
    disparity_px: np.ndarray
    parts: np.ndarray
    types: np.ndarray
    occluded: np.ndarray
    geometry: StereoGeometry
    scene: dict[str, object]

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) px."""
        return self.left.shape[1], self.left.shape[0]

    @property
    def depth_mm(self) -> np.ndarray:
        """H x W float32, NaN where the disparity is."""
        return depth_mm_of(self.disparity_px, self.geometry)

    @property
    def instrument_mask(self) -> np.ndarray:
        """H x W bool: the union of the parts."""
        return self.parts > 0


def depth_mm_of(disparity_px: np.ndarray, geometry: StereoGeometry) -> np.ndarray:
    """Z = f * B / d, H x W float32, mm; NaN where the disparity is NaN."""
    return (np.float64(geometry.focal_times_baseline) * 1e3 / disparity_px).astype(np.float32)


class FrameSource(Protocol):
    """A source of synthetic pairs; frame `index` depends on the source's seed and index alone."""

    @property
    def name(self) -> str:
        """`render` or `layered`."""

    def frame(self, index: int) -> StereoFrame:
        """Make the pair of a number >= 0; always the same bytes on one machine."""

    def close(self) -> None:
        """Free what the source holds; it makes no frame afterwards."""
