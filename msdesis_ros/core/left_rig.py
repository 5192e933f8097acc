"""The left camera by itself: what it takes to rectify one view, without any depth."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from msdesis_ros.core.camera import CameraCalibration, rotation_angle_deg
from msdesis_ros.core.errors import CalibrationError

# Below this angle ignoring R costs less than 0.09 mm at 100 mm: rectified and raw frame are one.
SAME_FRAME_ANGLE_DEG = 0.05
# A roll about the optical axis beyond this turns the picture visibly: no endoscope is built so.
SUSPICIOUS_ROLL_DEG = 10.0


@dataclass(frozen=True)
class ViewGeometry:
    """The pinhole geometry of one rectified view.

    image_size: (width, height) px. focal_px, focal_y_px, cx_px, cy_px: px. Raises
    CalibrationError for values that cannot be.
    """

    image_size: tuple[int, int]
    focal_px: float
    focal_y_px: float
    cx_px: float
    cy_px: float

    def __post_init__(self) -> None:
        numbers = {f.name: getattr(self, f.name) for f in fields(self) if f.name != 'image_size'}
        if not all(math.isfinite(number) for number in numbers.values()):
            raise CalibrationError(
                f'the rectified geometry has a number that is not finite: {self}'
            )
        for name, number in numbers.items():
            if number <= 0 and name not in ('cx_px', 'cy_px'):
                raise CalibrationError(f'{name} is {number:g}; it must be positive')

    @property
    def camera_matrix(self) -> np.ndarray:
        """3 x 3 float64, px."""
        return np.array(
            [[self.focal_px, 0, self.cx_px], [0, self.focal_y_px, self.cy_px], [0, 0, 1.0]]
        )


class LeftView:
    """What every rig says of its left view, be there a right one or not."""

    left: CameraCalibration
    rectified: bool

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) px of the delivered pictures."""
        return self.left.image_size

    @property
    def rotation_deg(self) -> float:
        """Angle between the left camera's own frame and the rectified left frame, degrees."""
        return rotation_angle_deg(self.left.rectification)

    @property
    def keeps_left_frame(self) -> bool:
        """True where the rectified left frame is the left camera's own (within 0.05 degrees)."""
        return self.rotation_deg <= SAME_FRAME_ANGLE_DEG

    def require_image_size(self, image_size: tuple[int, int]) -> None:
        """Raise CalibrationError unless the pictures have the calibrated size."""
        if image_size != self.image_size:
            raise CalibrationError(
                f'the pictures are {image_size[0]}x{image_size[1]} px but the calibration is for '
                f'{size_text(self.left)} px; calibrate at the size that is streamed, or set ROI '
                'and binning in camera_info'
            )

    def _fingerprint_of(self, *cameras: CameraCalibration) -> str:
        digest = hashlib.sha256(repr((self.rectified, self.image_size)).encode())
        for camera in cameras:
            digest.update(f'{camera.distortion_model}|{camera.frame_id}|'.encode())
            for name in ('camera_matrix', 'distortion', 'rectification', 'projection'):
                digest.update(getattr(camera, name).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class LeftRig(LeftView):
    """The left camera alone, for models that look at nothing else.

    `rectified`: the pictures arrive rectified already, so K, D and R are not applied.
    `warnings` and `fingerprint` as those of `StereoRig`. Raises CalibrationError for a camera
    that cannot be the left one of a rig.
    """

    left: CameraCalibration
    rectified: bool = False

    def __post_init__(self) -> None:
        require_left_projection(self.left.projection)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the operator."""
        return () if self.rectified else tuple(roll_warnings(self.left, name='left'))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over every number of the camera."""
        return self._fingerprint_of(self.left)

    @property
    def summary(self) -> str:
        """The rig in a few words."""
        return f'{size_text(self.left)} px, left camera alone'


def require_left_projection(projection: np.ndarray) -> None:
    """Raise CalibrationError unless a P (3 x 4) is that of a reference view."""
    if abs(projection[0, 3]) > 1e-9:
        raise CalibrationError(
            f'P[0,3] of the left camera is {projection[0, 3]:g}; it must be 0 (the left view is '
            'the reference)'
        )
    if abs(projection[1, 3]) > 1e-9:
        raise CalibrationError(
            'P[1,3] is not 0: this is a vertical stereo rig, which is not supported'
        )


def roll_warnings(camera: CameraCalibration, *, name: str) -> list[str]:
    """A sentence where rectification turns the picture about its axis as in no endoscope."""
    roll = math.degrees(math.atan2(camera.rectification[1, 0], camera.rectification[0, 0]))
    if abs(roll) <= SUSPICIOUS_ROLL_DEG:
        return []
    return [
        f'rectification turns the {name} picture by {roll:.1f} degrees about its axis: the '
        'calibration is suspicious'
    ]


def size_text(camera: CameraCalibration) -> str:
    """Width and height of the camera's pictures, such as 1280x1024."""
    return f'{camera.image_size[0]}x{camera.image_size[1]}'
