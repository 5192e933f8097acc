"""What speaks against a fitted stereo calibration: data that do not determine it, bad figures."""

from __future__ import annotations

from collections.abc import Iterator

from msdesis_ros.core.camera_fit import CameraFit
from msdesis_ros.core.stereo_fit import StereoFit

# Where a sentence is due. The first three describe the pictures, as the guides of OpenCV and ROS
# ask for them; the others what came of them.
FEW_PAIRS = 10
LITTLE_TURN_DEG = 20.0
LITTLE_COVERAGE = 0.5
LITTLE_REACH = 0.7
# At 60 mm distance half a percent of focal length is 0.3 mm of depth.
LARGE_FOCAL_DEVIATION = 0.005
LARGE_CENTRE_DEVIATION = 0.01
LARGE_EPIPOLAR_PX = 0.5
LARGE_ERROR_PX = 1.0


def calibration_warnings(fit: StereoFit) -> tuple[str, ...]:
    """Sentences for whoever took the pictures: what is missing or wrong, and what to do."""
    return (
        *_about_number(fit),
        *_about_eye('left', fit.left, fit),
        *_about_eye('right', fit.right, fit),
        *_about_result(fit),
    )


def _about_number(fit: StereoFit) -> Iterator[str]:
    if len(fit.used) < FEW_PAIRS:
        yield (
            f'the calibration rests on {len(fit.used)} pairs, fewer than {FEW_PAIRS}: take more '
            'pictures, 15 to 30 are usual'
        )
    for picture in fit.outliers:
        state = 'was left out' if picture.state == 'left_out' else 'was used all the same'
        yield f'picture {picture.name} stands out and {state}: {picture.outlier}'


def _about_eye(name: str, eye: CameraFit, fit: StereoFit) -> Iterator[str]:
    if eye.turned_deg < LITTLE_TURN_DEG:
        yield (
            f'the boards of the {name} eye are nearly parallel (at most {eye.turned_deg:.0f} '
            'degrees between two of them), so that focal length and distance cannot be told '
            'apart: tilt the board by 20 to 40 degrees, about both axes'
        )
    if eye.coverage < LITTLE_COVERAGE or eye.reach < LITTLE_REACH:
        yield (
            f'the board covers {eye.coverage:.0%} of the {name} picture and reaches '
            f'{eye.reach:.0%} of the way to its corners: the distortion beyond is a guess; show '
            'the board near every border'
        )
    focal = max(eye.deviations[axis] / eye.values[axis] for axis in ('fx', 'fy'))
    if focal > LARGE_FOCAL_DEVIATION:
        yield (
            f'the focal length of the {name} eye is uncertain by {focal:.1%} (one standard '
            'deviation): take more pictures with a tilted board'
        )
    width, height = fit.calibration.image_size
    centre = max(eye.deviations['cx'] / width, eye.deviations['cy'] / height)
    if centre > LARGE_CENTRE_DEVIATION:
        yield (
            f'the principal point of the {name} eye is uncertain by {centre:.1%} of the picture '
            '(one standard deviation): take more pictures with a tilted board'
        )
    if abs(eye.values['k3']) < eye.deviations.get('k3', 0.0):
        yield (
            f'k3 of the {name} eye is {eye.values["k3"]:.2g} with a standard deviation of '
            f'{eye.deviations["k3"]:.2g}: the pictures do not determine it; use the distortion '
            'plumb_bob'
        )


def _about_result(fit: StereoFit) -> Iterator[str]:
    error_px = fit.calibration.error_px or 0.0
    if error_px > LARGE_ERROR_PX:
        yield (
            f'the corners lie {error_px:.2f} px (RMS) off their places: the board is not flat, '
            'its measures are wrong, pictures are blurred, or the distortion is another one'
        )
    if fit.epipolar_px > LARGE_EPIPOLAR_PX:
        yield (
            f'corners lie {fit.epipolar_px:.2f} px (RMS) off the row of their partners when '
            'rectified: hold the board still, or check that both pictures are taken at one moment'
        )
