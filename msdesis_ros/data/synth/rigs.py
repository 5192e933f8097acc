"""Stereo endoscopes: rectified pinhole geometry, and how it varies from one scene to the next.

Published calibrations at 1280 x 1024: EndoVis 2018 (16 sequences) f 1050-1085 px, baseline
4.35-4.37 mm, principal points 90-100 px apart; SCARED f about 1035 px, 4.1-4.4 mm. Other
endoscopes have 3 to 6 mm. Working distances are 20 to 200 mm, so f B / Z spans 20 to 256 px.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.rig import StereoGeometry

REFERENCE_WIDTH_PX = 1280
FOCAL_RANGE_PX = (820.0, 1300.0)  # at the reference width
BASELINE_RANGE_MM = (3.0, 6.0)
WORKING_DISTANCE_RANGE_MM = (20.0, 200.0)
MAX_DISPARITY_PX = 256.0  # at the reference width


@dataclass(frozen=True)
class EndoscopeRig:
    """The rectified geometry of one synthetic stereo endoscope.

    focal_px and the principal point are those of the picture of `image_size` (width, height) px.
    The left camera is the origin of the camera frame (x right, y down, z forward, mm); the right
    one stands at x = baseline_mm.
    """

    image_size: tuple[int, int]
    focal_px: float
    cx_px: float
    cy_px: float
    baseline_mm: float

    def __post_init__(self) -> None:
        if min(self.image_size) < 32:
            raise UsageError(f'the size {self.image_size} is too small; expected 32 px at least')
        if not (self.focal_px > 0 and self.baseline_mm > 0):
            raise UsageError('focal_px and baseline_mm of a rig must be positive')

    @property
    def geometry(self) -> StereoGeometry:
        """The same as the rest of the program knows it, in metres."""
        return StereoGeometry(
            image_size=self.image_size,
            focal_px=self.focal_px,
            focal_y_px=self.focal_px,
            cx_px=self.cx_px,
            cy_px=self.cy_px,
            baseline_m=self.baseline_mm / 1e3,
        )

    @property
    def nearest_mm(self) -> float:
        """Where the disparity reaches MAX_DISPARITY_PX (at the reference width)."""
        limit_px = MAX_DISPARITY_PX * self.image_size[0] / REFERENCE_WIDTH_PX
        return self.focal_px * self.baseline_mm / limit_px


def sample_rig(rng: np.random.Generator, image_size: tuple[int, int]) -> EndoscopeRig:
    """Draw a rig; half of them are close to the da Vinci's published calibrations."""
    width, height = image_size
    scale = width / REFERENCE_WIDTH_PX
    if rng.random() < 0.5:
        focal, baseline = rng.normal(1060.0, 15.0), rng.normal(4.36, 0.1)
    else:
        focal, baseline = rng.uniform(*FOCAL_RANGE_PX), rng.uniform(*BASELINE_RANGE_MM)
    return EndoscopeRig(
        image_size=image_size,
        focal_px=float(focal * scale),
        cx_px=float((width - 1) / 2 + rng.normal(0, 25.0) * scale),
        cy_px=float((height - 1) / 2 + rng.normal(0, 12.0) * scale),
        baseline_mm=float(baseline),
    )
