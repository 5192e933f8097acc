"""How the pictures of a row were taken: its own calibration, or that of the whole run."""

from __future__ import annotations

from dataclasses import dataclass

from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.calibration_files import Unit, read_calibration


@dataclass(frozen=True, kw_only=True)
class RigRule:
    """What is known about all rows: a calibration file, or focal length and baseline, or neither.

    A row's own calibration goes before it. `rectified`: the pictures are rectified already, and
    calibrations only say their geometry. Pictures without any calibration are taken as rectified.
    `unit`: as in `read_calibration`.
    """

    calibration: str | None = None
    focal_px: float | None = None
    baseline_m: float | None = None
    rectified: bool = False
    unit: Unit | None = None

    def is_metric(self, calibration: str | None) -> bool:
        """Whether a row with this calibration has a depth."""
        return bool(calibration or self.calibration or self.focal_px)

    def rig(self, calibration: str | None, image_size: tuple[int, int]) -> StereoRig | None:
        """The rig of pictures of (width, height); None for rectified ones of unknown geometry.

        Raises FileFormatError and CalibrationError for a calibration that cannot be used.
        """
        calibration = calibration or self.calibration
        if calibration is not None:
            left, right = read_calibration(calibration, image_size=image_size, unit=self.unit)
            rig = StereoRig.from_cameras(left, right, rectified=self.rectified)
            rig.require_image_size(image_size)
            return rig
        if self.focal_px is None or self.baseline_m is None:
            return None
        return StereoRig.from_focal_and_baseline(
            image_size=image_size, focal_px=self.focal_px, baseline_m=self.baseline_m
        )
