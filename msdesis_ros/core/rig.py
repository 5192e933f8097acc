"""Two calibrated cameras that form a stereo rig: the calibration gate."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from msdesis_ros.core.camera import CameraCalibration, rotation_angle_deg
from msdesis_ros.core.errors import CalibrationError

# A focal length that differs by 2e-4 moves a row by 0.1 px at 500 px from the centre.
FOCAL_TOLERANCE = 2e-4
ROW_TOLERANCE_PX = 0.1
# Endoscopes: the da Vinci's two optics stand 4 to 6 mm apart.
BASELINE_RANGE_M = (0.001, 0.020)
# Below this angle ignoring R costs less than 0.09 mm at 100 mm: rectified and raw frame are one.
SAME_FRAME_ANGLE_DEG = 0.05
# A roll about the optical axis beyond this turns the picture visibly: no endoscope is built so.
SUSPICIOUS_ROLL_DEG = 10.0


@dataclass(frozen=True)
class StereoGeometry:
    """The pinhole geometry of a rectified pair whose views share one principal point.

    image_size: (width, height) px. focal_px, focal_y_px, cx_px, cy_px: px. baseline_m: m, > 0.
    Z = focal_px * baseline_m / disparity. Raises CalibrationError for values that cannot be.
    """

    image_size: tuple[int, int]
    focal_px: float
    focal_y_px: float
    cx_px: float
    cy_px: float
    baseline_m: float

    def __post_init__(self) -> None:
        numbers = (self.focal_px, self.focal_y_px, self.cx_px, self.cy_px, self.baseline_m)
        if not all(math.isfinite(number) for number in numbers):
            raise CalibrationError(
                f'the rectified geometry has a number that is not finite: {self}'
            )
        for name in ('focal_px', 'focal_y_px', 'baseline_m'):
            if getattr(self, name) <= 0:
                raise CalibrationError(f'{name} is {getattr(self, name):g}; it must be positive')

    @property
    def camera_matrix(self) -> np.ndarray:
        """3 x 3 float64, px."""
        return np.array(
            [[self.focal_px, 0, self.cx_px], [0, self.focal_y_px, self.cy_px], [0, 0, 1.0]]
        )

    @property
    def focal_times_baseline(self) -> float:
        """focal_px * baseline_m, px * m: depth at one pixel of disparity."""
        return self.focal_px * self.baseline_m


@dataclass(frozen=True, eq=False)
class StereoRig:
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
                f'the left calibration is for {_size(left)} px and the right one for '
                f'{_size(right)} px; both cameras must deliver pictures of one size'
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
    def image_size(self) -> tuple[int, int]:
        """(width, height) px of both delivered pictures."""
        return self.left.image_size

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

    @property
    def rotation_deg(self) -> float:
        """Angle between the left camera's own frame and the rectified left frame, degrees."""
        return rotation_angle_deg(self.left.rectification)

    @property
    def keeps_left_frame(self) -> bool:
        """True where the rectified left frame is the left camera's own (within 0.05 degrees)."""
        return self.rotation_deg <= SAME_FRAME_ANGLE_DEG

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over every number of both cameras."""
        digest = hashlib.sha256(repr((self.rectified, self.image_size)).encode())
        for camera in (self.left, self.right):
            digest.update(f'{camera.distortion_model}|{camera.frame_id}|'.encode())
            for name in ('camera_matrix', 'distortion', 'rectification', 'projection'):
                digest.update(getattr(camera, name).tobytes())
        return digest.hexdigest()

    def require_image_size(self, image_size: tuple[int, int]) -> None:
        """Raise CalibrationError unless the pictures have the calibrated size."""
        if image_size != self.image_size:
            raise CalibrationError(
                f'the pictures are {image_size[0]}x{image_size[1]} px but the calibration is for '
                f'{_size(self.left)} px; calibrate at the size that is streamed, or set ROI and '
                'binning in camera_info'
            )


def _size(camera: CameraCalibration) -> str:
    return f'{camera.image_size[0]}x{camera.image_size[1]}'


def _require_baseline(left: np.ndarray, right: np.ndarray) -> None:
    if abs(left[0, 3]) > 1e-9 and abs(right[0, 3]) <= 1e-9:
        raise CalibrationError(
            'the baseline stands in the left P instead of the right one: left and right '
            'camera_info are swapped'
        )
    if abs(left[0, 3]) > 1e-9:
        raise CalibrationError(
            f'P[0,3] of the left camera is {left[0, 3]:g}; it must be 0 (the left view is the '
            'reference)'
        )
    if abs(left[1, 3]) > 1e-9 or abs(right[1, 3]) > 1e-9:
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
    for name, camera in (('left', rig.left), ('right', rig.right)):
        roll = math.degrees(math.atan2(camera.rectification[1, 0], camera.rectification[0, 0]))
        if not rig.rectified and abs(roll) > SUSPICIOUS_ROLL_DEG:
            warnings.append(
                f'rectification turns the {name} picture by {roll:.1f} degrees about its axis: '
                'the calibration is suspicious'
            )
    if rig.rectified and abs(rig.cx_offset_px) > 0.5:
        warnings.append(
            f'the rectified views have principal points {rig.cx_offset_px:+.2f} px apart '
            '(cx_left - cx_right); the disparity is corrected for it'
        )
    return warnings
