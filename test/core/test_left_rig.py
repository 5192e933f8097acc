from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import CalibrationError
from msdesis_ros.core.left_rig import LeftRig, ViewGeometry
from msdesis_ros.core.rectification import LeftRectifier, Rectifier
from msdesis_ros.core.rig import StereoRig

BARREL = [-0.2, 0.05, 0.001, -0.001, 0.0]


def picture(height: int = 512, width: int = 640) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def test_the_left_view_is_rectified_as_in_a_pair(make_camera, right_tx):
    left = make_camera(d=[0.2, 0, 0, 0, 0], r=cv2.Rodrigues(np.array([0.0, 0.03, 0.0]))[0].ravel())
    alone = LeftRectifier(LeftRig(left))
    pair = Rectifier(StereoRig.from_cameras(left, make_camera(tx=right_tx)))
    np.testing.assert_array_equal(alone.rectify_left(picture()), pair.rectify_left(picture()))
    assert alone.valid_window == pair.valid_window != (0, 0, 640, 512)
    np.testing.assert_array_equal(alone.geometry.camera_matrix, pair.geometry.camera_matrix)


def test_the_left_view_is_what_opencv_undistorts(make_camera):
    left = make_camera(d=BARREL)
    shown = LeftRectifier(LeftRig(left)).rectify_left(cv2.GaussianBlur(picture(), (0, 0), 3))
    expected = cv2.undistort(
        cv2.GaussianBlur(picture(), (0, 0), 3), left.camera_matrix, left.distortion
    )
    assert np.abs(shown.astype(int) - expected).max() <= 2


def test_a_picture_that_arrives_rectified_passes_as_it_is(make_camera):
    rectifier = LeftRectifier(LeftRig(make_camera(d=BARREL), rectified=True))
    given = picture()
    assert rectifier.rectify_left(given) is given
    assert rectifier.valid_window == (0, 0, 640, 512)
    with pytest.raises(CalibrationError, match='320x512 px but the calibration is for 640x512'):
        rectifier.rectify_left(given[:, :320])


def test_alpha_0_shows_only_pixels_that_the_left_picture_has(make_camera):
    left = make_camera(d=[0.2, 0, 0, 0, 0])  # a pincushion, whose corners have no source
    assert LeftRectifier(LeftRig(left)).left_valid is not None
    assert LeftRectifier(LeftRig(left), alpha=0.0).left_valid is None
    with pytest.raises(CalibrationError, match='alpha is 2'):
        LeftRectifier(LeftRig(left), alpha=2.0)


def test_the_camera_of_another_eye_is_refused(make_camera, right_tx):
    with pytest.raises(CalibrationError, match=r'P\[0,3\] of the left camera is -2; it must be 0'):
        LeftRig(make_camera(tx=right_tx))
    with pytest.raises(CalibrationError, match='vertical stereo rig'):
        LeftRig(make_camera(p=[500, 0, 319.5, 0, 0, 500, 255.5, -2, 0, 0, 1, 0]))


def test_every_number_of_the_camera_changes_the_fingerprint(make_camera):
    prints = [
        LeftRig(make_camera()).fingerprint,
        LeftRig(make_camera(), rectified=True).fingerprint,
        LeftRig(make_camera(d=BARREL)).fingerprint,
        LeftRig(make_camera(cx=319.0)).fingerprint,
        LeftRig(make_camera(frame_id='other')).fingerprint,
    ]
    assert len(set(prints)) == 5
    assert LeftRig(make_camera()).fingerprint == prints[0]


def test_a_rectification_that_turns_the_picture_is_suspicious(make_camera):
    c, s = math.cos(math.radians(16)), math.sin(math.radians(16))
    turned = make_camera(r=[c, -s, 0, s, c, 0, 0, 0, 1])
    rig = LeftRig(turned)
    assert len(rig.warnings) == 1 and 'left picture by 16.0 degrees' in rig.warnings[0]
    assert LeftRig(turned, rectified=True).warnings == () == LeftRig(make_camera()).warnings
    assert not rig.keeps_left_frame and rig.rotation_deg == pytest.approx(16)


@pytest.mark.parametrize(
    'numbers', [(0.0, 500.0, 320.0), (500.0, -1.0, 320.0), (500.0, 500.0, math.nan)]
)
def test_a_geometry_that_cannot_be_is_refused(numbers):
    focal, focal_y, cx = numbers
    with pytest.raises(CalibrationError):
        ViewGeometry((640, 512), focal, focal_y, cx, 256.0)
