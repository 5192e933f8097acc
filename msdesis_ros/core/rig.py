"""Two calibrated cameras that form a stereo rig: the calibration gate."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import CalibrationError
from msdesis_ros.core.left_rig import (
    LeftRig,
    LeftView,
    ViewGeometry,
    require_left_projection,
    roll_warnings,
    size_text,
)

# A focal length that differs by 2e-4 moves a row by 0.1 px at 500 px from the centre.
FOCAL_TOLERANCE = 2e-4
ROW_TOLERANCE_PX = 0.1
# Endoscopes: the da Vinci's two optics stand 4 to 6 mm apart.
BASELINE_RANGE_M = (0.001, 0.020)


@dataclass(frozen=True)
class StereoGeometry(ViewGeometry):
    """The pinhole geometry of a rectified pair whose views share one principal point.

    As `ViewGeometry`, and baseline_m: m, > 0. Z = focal_px * baseline_m / disparity. Raises
    CalibrationError for values that cannot be.
    """

    baseline_m: float

    @property
    def focal_times_baseline(self) -> float:
        """focal_px * baseline_m, px * m: depth at one pixel of disparity."""
        return self.focal_px * self.baseline_m


@dataclass(frozen=True, eq=False)
class StereoRig(LeftView):
    """Two cameras that passed the calibration gate.

    `rectified`: the pictures arrive rectified already, so K, D and R are not applied.
    `warnings` are sentences for the operator; `fingerprint` changes with any number of the rig.
    """

    left: CameraCalibration
    right: CameraCalibration
    rectified: bool
    warnings: tuple[str, ...] = field(default=())

    @classmethod
    def from_cameras(
        cls, left: CameraCalibration, right: CameraCalibration, *, rectified: bool = False
    ) -> StereoRig:
        """Pass two cameras through the gate; raise CalibrationError with the reason otherwise."""
        if left.image_size != right.image_size:
            raise CalibrationError(
                f'the left calibration is for {size_text(left)} px and the right one for '
                f'{size_text(right)} px; both cameras must deliver pictures of one size'
            )
        _require_baseline(left.projection, right.projection)
        _require_equal_rows(left.projection, right.projection)
        rig = cls(left, right, rectified)
        return cls(left, right, rectified, tuple(_warnings(rig)))

    @classmethod
    def from_focal_and_baseline(
        cls, *, image_size: tuple[int, int], focal_px: float, baseline_m: float
    ) -> StereoRig:
        """A rig for pictures that are rectified, centred and square-pixelled."""
        width, height = image_size
        k = [focal_px, 0, (width - 1) / 2, 0, focal_px, (height - 1) / 2, 0, 0, 1]
        cameras = [
            CameraCalibration.from_camera_info_fields(
                width=width,
                height=height,
                distortion_model='plumb_bob',
                d=[],
                k=k,
                r=np.eye(3),
                p=[*k[:3], shift, *k[3:6], 0, *k[6:], 0],
            )
            for shift in (0.0, -focal_px * baseline_m)
        ]
        return cls.from_cameras(*cameras, rectified=True)

    @property
    def baseline_m(self) -> float:
        """Distance of the two optical centres, m, positive."""
        return float(-self.right.projection[0, 3] / self.right.projection[0, 0])

    @property
    def cx_offset_px(self) -> float:
        """cx_left - cx_right of the rectified views as calibrated, px.

        It matters only for pictures that arrive rectified: raw ones are rectified to one cx.
        """
        return float(self.left.projection[0, 2] - self.right.projection[0, 2])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over every number of both cameras."""
        return self._fingerprint_of(self.left, self.right)

    @property
    def summary(self) -> str:
        """The rig in a few words."""
        return f'{size_text(self.left)} px, baseline {self.baseline_m * 1000:.2f} mm'


AnyRig = StereoRig | LeftRig


def _require_baseline(left: np.ndarray, right: np.ndarray) -> None:
    if abs(left[0, 3]) > 1e-9 and abs(right[0, 3]) <= 1e-9:
        raise CalibrationError(
            'the baseline stands in the left P instead of the right one: left and right '
            'camera_info are swapped'
        )
    require_left_projection(left)
    if abs(right[1, 3]) > 1e-9:
        raise CalibrationError(
            'P[1,3] is not 0: this is a vertical stereo rig, which is not supported'
        )
    if abs(right[0, 3]) <= 1e-9:
        raise CalibrationError(
            'zero baseline: P[0,3] of the right camera is 0, so each camera was calibrated by '
            'itself; give a stereo calibration'
        )
    if right[0, 3] > 0:
        raise CalibrationError(
            f'negative baseline: P[0,3] of the right camera is {right[0, 3]:g}, it must be '
            'negative (-focal * baseline): left and right are swapped'
        )


def _require_equal_rows(left: np.ndarray, right: np.ndarray) -> None:
    for axis in (0, 1):
        difference = abs(left[axis, axis] - right[axis, axis])
        if difference > FOCAL_TOLERANCE * left[axis, axis]:
            raise CalibrationError(
                f'the rectified focal lengths differ: P[{axis},{axis}] is '
                f'{left[axis, axis]:.3f} px left and {right[axis, axis]:.3f} px right; both '
                'camera_infos must come from one stereo calibration'
            )
    if abs(left[1, 2] - right[1, 2]) > ROW_TOLERANCE_PX:
        raise CalibrationError(
            f'the rectified rows differ: cy is {left[1, 2]:.3f} px left and '
            f'{right[1, 2]:.3f} px right; both camera_infos must come from one stereo calibration'
        )


def _warnings(rig: StereoRig) -> list[str]:
    warnings = []
    low, high = BASELINE_RANGE_M
    if not low <= rig.baseline_m <= high:
        hint = ''
        if low <= rig.baseline_m / 1000 <= high:
            hint = '; the calibration is probably in millimetres where metres are expected'
        warnings.append(
            f'the baseline is {rig.baseline_m * 1000:g} mm; an endoscope has '
            f'{low * 1000:g} to {high * 1000:g} mm{hint}'
        )
    if not rig.rectified:
        warnings += roll_warnings(rig.left, name='left') + roll_warnings(rig.right, name='right')
    if rig.rectified and abs(rig.cx_offset_px) > 0.5:
        warnings.append(
            f'the rectified views have principal points {rig.cx_offset_px:+.2f} px apart '
            '(cx_left - cx_right); the disparity is corrected for it'
        )
    return warnings
