"""What is strange about two calibrated cameras, whatever they were calibrated with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from msdesis_ros.core.camera import CameraCalibration, rotation_angle_deg
from msdesis_ros.core.camera_points import folding_px
from msdesis_ros.core.stereo_calibration import StereoCalibration

# Lenses in one shaft look the same way; the da Vinci's converge by about a degree.
LARGE_TURN_DEG = 5.0
OFF_CENTRE = 0.15
UNEQUAL_PIXELS = 0.02
UNLIKE_FOCAL_LENGTHS = 0.05
FOLDING_PX = 0.5
# Six decimals in a file, and versions of OpenCV, leave less.
SAME_PROJECTION_PX = 0.05


def sanity_warnings(left: CameraCalibration, right: CameraCalibration) -> tuple[str, ...]:
    """Sentences about values that a stereo endoscope is unlikely to have.

    What a rig itself warns of (`StereoRig.warnings`) is not repeated.
    """
    found = [*_about_camera('left', left), *_about_camera('right', right)]
    turned = rotation_angle_deg(right.rectification.T @ left.rectification)
    if turned > LARGE_TURN_DEG:
        found.append(
            f'the eyes are turned by {turned:.1f} degrees against each other; in an endoscope '
            'they look the same way'
        )
    left_px, right_px = (camera.camera_matrix[0, 0] for camera in (left, right))
    if abs(left_px - right_px) > UNLIKE_FOCAL_LENGTHS * left_px:
        found.append(
            f'the focal lengths of the eyes differ: {left_px:.1f} px left, {right_px:.1f} px right'
        )
    return tuple(found)


def exchanged_sides_warnings(calibration: StereoCalibration) -> tuple[str, ...]:
    """A sentence where the stored rectification was made for pictures lying on their side.

    Some tools hand (height, width) to cv2.stereoRectify, which takes (width, height). What they
    write does rectify, but to another focal length and centre: its P1, P2 and Q, and disparities
    made with them, fit no calibration that was rectified for the pictures as they are.
    """
    width, height = calibration.image_size
    if width == height:
        return ()
    alpha = -1.0 if calibration.rect_alpha is None else calibration.rect_alpha
    upright = calibration.rectified_for((width, height), alpha)
    lying = calibration.rectified_for((height, width), alpha)

    def distance_px(other: StereoCalibration) -> float:
        return float(np.abs(calibration.p1 - other.p1)[:, :3].max())

    if distance_px(lying) > SAME_PROJECTION_PX or distance_px(upright) <= SAME_PROJECTION_PX:
        return ()
    return (
        f'P1 and P2 were made for pictures of {height}x{width} px instead of {width}x{height}: a '
        'tool exchanged height and width. Depth is right, but disparities differ from those of '
        f'other tools; to rectify anew: msdesis calibration convert IN OUT --alpha {alpha:g}',
    )


def _about_camera(name: str, camera: CameraCalibration) -> Iterator[str]:
    k = camera.camera_matrix
    off = [abs(k[axis, 2] - (side - 1) / 2) / side for axis, side in enumerate(camera.image_size)]
    if max(off) > OFF_CENTRE:
        yield (
            f'the principal point of the {name} camera ({k[0, 2]:.1f}, {k[1, 2]:.1f}) lies '
            f'{max(off):.0%} of the picture off its middle: the pictures were cropped, or the '
            'calibration is of other pictures'
        )
    if abs(k[0, 0] / k[1, 1] - 1) > UNEQUAL_PIXELS:
        yield (
            f'the {name} camera has fx {k[0, 0]:.1f} and fy {k[1, 1]:.1f} px: pictures of square '
            'pixels have both alike'
        )
    if folding_px(camera) > FOLDING_PX:
        yield (
            f'the distortion of the {name} camera has no inverse at the border of the picture: '
            'it was fitted to the middle only'
        )
