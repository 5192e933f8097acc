"""The stored form of a stereo calibration, judged by formulas written out here."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.core.calibration_sanity import exchanged_sides_warnings
from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import CalibrationError
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.core.stereo_calibration import StereoCalibration

sys.path.append(str(Path(__file__).parents[1]))
import board_scenes as scenes

RIG = {
    'image_size': scenes.SIZE,
    'k1': scenes.K1,
    'd1': scenes.D1,
    'k2': scenes.K2,
    'd2': scenes.D2,
    'r': scenes.R,
    't_mm': scenes.T_MM,
}
POINTS_MM = np.array([[x, y, z] for x in (-12, 0, 9) for y in (-8, 0, 7) for z in (40, 55, 90.0)])
RIGHT_MM = POINTS_MM @ scenes.R.T + scenes.T_MM


def rectified(points_mm, r, p):
    """Points in a camera's own frame, seen in its rectified view: N x 2 px."""
    turned = points_mm @ r.T
    return turned[:, :2] / turned[:, 2:] * [p[0, 0], p[1, 1]] + p[:2, 2]


@pytest.mark.parametrize('alpha', [-1.0, 0.0, 0.4, 1.0])
def test_rectified_views_share_rows_and_disparity_tells_depth(alpha):
    made = StereoCalibration.from_pose(**RIG, alpha=alpha)
    left = rectified(POINTS_MM, made.r1, made.p1)
    right = rectified(RIGHT_MM, made.r2, made.p2)
    np.testing.assert_allclose(left[:, 1], right[:, 1], atol=1e-9)
    depth_mm = (POINTS_MM @ made.r1.T)[:, 2]
    baseline_mm = np.linalg.norm(scenes.T_MM)
    np.testing.assert_allclose(
        left[:, 0] - right[:, 0], made.p1[0, 0] * baseline_mm / depth_mm, rtol=1e-9
    )
    assert made.rect_alpha == alpha


def test_the_size_is_width_then_height_whatever_the_file_says():
    # Two equal cameras, centred and parallel, are symmetric: rectifying keeps their centre. A tool
    # that exchanges the sides, as the published one did, looks at the corners of a lying picture.
    k = np.array([[300.0, 0, 159.5], [0, 300, 119.5], [0, 0, 1]])
    barrel = np.array([-0.3, 0, 0, 0, 0])
    alike = {'k1': k, 'k2': k, 'd1': barrel, 'd2': barrel, 'r': np.eye(3), 't_mm': [-5, 0, 0]}
    made = StereoCalibration.from_pose(image_size=(320, 240), **alike)
    np.testing.assert_allclose(made.p1[:2, 2], [159.5, 119.5], atol=1e-3)
    lying = made.rectified_for((240, 320), -1)
    assert np.abs(lying.p1[:2, 2] - [159.5, 119.5]).max() > 2
    assert lying.image_size == (320, 240)
    assert exchanged_sides_warnings(made) == ()
    (sentence,) = exchanged_sides_warnings(lying)
    assert 'made for pictures of 240x320 px instead of 320x240' in sentence


@pytest.mark.parametrize('alpha', [-1.0, 0.0, 1.0])
def test_exchanged_sides_are_noticed_in_stored_rectifications(alpha):
    made = StereoCalibration.from_pose(**RIG, alpha=alpha)
    assert exchanged_sides_warnings(made) == ()
    lying = made.rectified_for(scenes.SIZE[::-1], alpha)
    assert len(exchanged_sides_warnings(lying)) == 1
    # A rectification of any other kind is nobody's mistake.
    p1 = made.p1 * [[0.9], [0.9], [1]]
    assert exchanged_sides_warnings(dataclasses.replace(made, p1=p1)) == ()


def test_essential_and_fundamental_matrix_bind_both_views():
    made = StereoCalibration.from_pose(**RIG)
    ones = np.ones((len(POINTS_MM), 1))
    left = np.hstack([POINTS_MM[:, :2] / POINTS_MM[:, 2:], ones])
    right = np.hstack([RIGHT_MM[:, :2] / RIGHT_MM[:, 2:], ones])
    np.testing.assert_allclose(np.sum(right @ made.essential * left, axis=1), 0, atol=1e-12)
    left_px, right_px = left @ scenes.K1.T, right @ scenes.K2.T
    assert made.fundamental[2, 2] == 1
    np.testing.assert_allclose(np.sum(right_px @ made.fundamental * left_px, axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(made.essential), np.sqrt(2) * 5.2020, rtol=1e-4)


def test_q_turns_disparities_into_the_points_they_came_from():
    made = StereoCalibration.from_pose(**RIG, alpha=0.3)
    left = rectified(POINTS_MM, made.r1, made.p1)
    disparity = left[:, 0] - rectified(RIGHT_MM, made.r2, made.p2)[:, 0]
    given_px = np.stack([*left.T, disparity, np.ones(len(left))], axis=1)
    found = given_px @ made.disparity_to_depth.T
    np.testing.assert_allclose(found[:, :3] / found[:, 3:], POINTS_MM @ made.r1.T, rtol=1e-9)


def test_q_knows_different_centres_and_pixels_that_are_not_square():
    made = StereoCalibration.from_pose(**RIG)
    p1, p2 = made.p1.copy(), made.p2.copy()
    p1[0, 2] += 7
    for p in (p1, p2):
        p[1, 1] *= 1.1
    made = dataclasses.replace(made, p1=p1, p2=p2)
    left = rectified(POINTS_MM, made.r1, made.p1)
    disparity = left[:, 0] - rectified(RIGHT_MM, made.r2, made.p2)[:, 0]
    found = np.stack([*left.T, disparity, np.ones(len(left))], axis=1) @ made.disparity_to_depth.T
    np.testing.assert_allclose(found[:, :3] / found[:, 3:], POINTS_MM @ made.r1.T, rtol=1e-9)


def test_a_stored_rectification_serves_only_the_alpha_it_was_made_with():
    stored = StereoCalibration.from_pose(**RIG, alpha=0.0)
    wanted = StereoCalibration.from_pose(**RIG, alpha=-1.0)
    assert abs(stored.p1[0, 0] - wanted.p1[0, 0]) > 1, 'the two alphas must differ here'
    assert stored.rectified(0.0) is stored
    # The published object took whatever was stored whenever -1 was asked for.
    np.testing.assert_allclose(stored.rectified(-1.0).p1, wanted.p1)
    assert stored.rectified(-1.0).rect_alpha == -1
    unknown = dataclasses.replace(stored, rect_alpha=None)
    np.testing.assert_allclose(unknown.rectified(-1.0).p1, wanted.p1)


@settings(max_examples=25, deadline=None)
@given(
    turned=st.tuples(*[st.floats(-4, 4)] * 3),
    t_mm=st.tuples(st.floats(-20, -1), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)),
    alpha=st.sampled_from([-1.0, 0.0, 1.0]),
)
def test_cameras_and_back_is_the_same_calibration(turned, t_mm, alpha):
    pose = {'r': scenes.turn(*turned), 't_mm': np.array(t_mm)}
    made = StereoCalibration.from_pose(**{**RIG, **pose}, alpha=alpha)
    again = StereoCalibration.from_cameras(*made.cameras)
    for field in dataclasses.fields(made):
        if field.name not in ('rect_alpha', 'roi1', 'roi2', 'error_px', 'image_size'):
            ours, theirs = getattr(made, field.name), getattr(again, field.name)
            # OpenCV rounds turns of about 1e-6 away.
            np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-5, err_msg=field.name)
    rig = StereoRig.from_cameras(*made.cameras)
    assert rig.baseline_m == pytest.approx(np.linalg.norm(t_mm) / 1e3)


def test_arrays_are_copies_that_cannot_be_changed():
    k = scenes.K1.copy()
    made = StereoCalibration.from_pose(**{**RIG, 'k1': k})
    k[0, 0] = 1
    assert made.k1[0, 0] == scenes.K1[0, 0]
    with pytest.raises(ValueError, match='read-only'):
        made.t_mm[0] = 0


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'t_mm': np.zeros(3)}, 'zero baseline'),
        ({'r': np.diag([1.0, 1, -1])}, 'R is not a rotation'),
        ({'r': np.eye(3) * 1.1}, 'R is not a rotation'),
        ({'k1': scenes.K1 * np.nan}, 'k1 contains NaN'),
        ({'k2': np.eye(2)}, 'k2 is not a matrix'),
        ({'k1': np.diag([-1.0, 1, 1])}, 'left camera: K is not a camera matrix'),
        ({'d2': np.ones(3)}, 'right camera: 3 distortion coefficients'),
        ({'image_size': (0, 5)}, 'pictures of 0x5 px'),
        ({'alpha': 2.0}, 'rect_alpha is 2'),
        ({'alpha': -0.5}, 'rect_alpha is -0.5'),
        ({'error_px': float('nan')}, 'error is nan'),
    ],
)
def test_numbers_that_cannot_be_are_refused(changes, reason):
    with pytest.raises(CalibrationError, match=reason):
        StereoCalibration.from_pose(**{**RIG, **changes})


def test_fisheye_cameras_and_unlike_ones_are_refused():
    p = np.hstack([scenes.K1, np.zeros((3, 1))])
    fields = {'k': scenes.K1.ravel(), 'r': np.eye(3), 'p': p}
    make = CameraCalibration.from_camera_info_fields
    fisheye = make(width=320, height=256, distortion_model='equidistant', d=[0.1] * 4, **fields)
    plain = make(width=320, height=256, distortion_model='plumb_bob', d=[0.0] * 5, **fields)
    small = make(width=160, height=128, distortion_model='plumb_bob', d=[0.0] * 5, **fields)
    with pytest.raises(CalibrationError, match='right camera has the distortion model equidist'):
        StereoCalibration.from_cameras(plain, fisheye)
    with pytest.raises(CalibrationError, match='both must have one size'):
        StereoCalibration.from_cameras(plain, small)


def test_numbers_that_opencv_cannot_rectify_are_an_error_of_ours(monkeypatch):
    def fail(*_, **__):
        raise cv2.error('no')

    monkeypatch.setattr(cv2, 'stereoRectify', fail)
    with pytest.raises(CalibrationError, match='cannot rectify'):
        StereoCalibration.from_pose(**RIG)
