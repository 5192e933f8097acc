from __future__ import annotations

import math

import numpy as np
import pytest

from msdesis_ros.core.camera import CameraCalibration, rotation_angle_deg
from msdesis_ros.core.errors import CalibrationError


def test_a_good_camera_info_is_taken_as_it_is(make_camera):
    camera = make_camera()
    assert camera.image_size == (640, 512)
    assert camera.camera_matrix[0, 0] == 500.0
    assert camera.frame_id == 'left_optical'


# Every row of the calibration gate that concerns one camera: what is wrong, what the refusal says.
REFUSED = {
    'K zero': ({'k': [0.0] * 9}, 'not calibrated'),
    'P zero': ({'p': [0.0] * 12}, 'not calibrated'),
    'made up by a display': (
        {'k': [640, 0, 320, 0, 640, 256, 0, 0, 1], 'p': [0.0] * 12},
        'display program',
    ),
    'NaN in K': ({'k': [math.nan, 0, 320, 0, 500, 256, 0, 0, 1]}, 'NaN'),
    'infinity in D': ({'d': [math.inf, 0, 0, 0, 0]}, 'NaN or infinity'),
    'too few numbers in P': ({'p': [1.0] * 9}, '3 x 4'),
    'negative focal length': ({'k': [-500, 0, 320, 0, 500, 256, 0, 0, 1]}, 'not a camera matrix'),
    'skewed pixels': ({'k': [500, 3, 320, 0, 500, 256, 0, 0, 1]}, 'skew'),
    'R not a rotation': ({'r': [1, 0, 0, 0, 1, 0, 0, 0.1, 1]}, 'not a rotation'),
    'R a mirror': ({'r': [-1, 0, 0, 0, 1, 0, 0, 0, 1]}, 'not a rotation'),
    'R overflows': ({'r': [1e300, 1e300, 0, -1e300, 1e300, 0, 0, 0, 1]}, 'not a rotation'),
    'R zero': ({'r': [0.0] * 9}, 'not a rotation'),
    'unknown distortion model': (
        {'distortion_model': 'barrel', 'd': [0.1]},
        'plumb_bob, rational_polynomial, equidistant',
    ),
    'wrong coefficient count': ({'distortion_model': 'equidistant', 'd': [0.1] * 5}, 'has 4'),
    'no width': ({'width': 0}, 'expected 1 to 8192 px a side'),
    'absurd height': ({'height': 2**32 - 1}, 'expected 1 to 8192 px a side'),
    'ROI outside': ({'roi': (600, 0, 100, 100)}, 'does not lie inside'),
    'binning to nothing': ({'binning_x': 1000}, 'leaves nothing'),
}


@pytest.mark.parametrize(('changes', 'words'), REFUSED.values(), ids=REFUSED.keys())
def test_the_gate_refuses_with_the_reason(make_fields, changes, words):
    with pytest.raises(CalibrationError, match=words):
        CameraCalibration.from_camera_info_fields(**(make_fields() | changes))


@pytest.mark.parametrize('model', ['plumb_bob', 'rational_polynomial', 'equidistant', ''])
def test_empty_coefficients_mean_no_distortion_of_any_known_model(make_camera, model):
    camera = make_camera(distortion_model=model, d=[])
    assert camera.distortion_model == (model or 'plumb_bob')
    assert not camera.distortion.any()
    assert camera.distortion.size >= 4


def test_a_leading_slash_of_the_frame_is_stripped(make_camera):
    assert make_camera(frame_id='/stereo/left').frame_id == 'stereo/left'


def test_roi_is_cut_before_binning_divides(make_camera):
    camera = make_camera(binning_x=2, binning_y=4, roi=(100, 40, 400, 320))
    assert camera.image_size == (200, 80)
    np.testing.assert_allclose(camera.camera_matrix[0], [250, 0, (319.5 - 100) / 2])
    np.testing.assert_allclose(camera.camera_matrix[1], [0, 125, (255.5 - 40) / 4])
    np.testing.assert_allclose(camera.projection[0, :3], camera.camera_matrix[0])


def test_binning_keeps_the_baseline(make_camera, right_tx):
    full, binned = make_camera(tx=right_tx), make_camera(tx=right_tx, binning_x=2, binning_y=2)
    ratio = [c.projection[0, 3] / c.projection[0, 0] for c in (full, binned)]
    assert ratio[0] == pytest.approx(ratio[1]) == pytest.approx(-0.004)


def test_a_calibration_cannot_be_changed_afterwards(make_camera):
    with pytest.raises(ValueError):
        make_camera().camera_matrix[0, 0] = 1.0


@pytest.mark.parametrize('degrees', [0.0, 0.01, 1.0, 90.0, 179.0])
def test_the_angle_of_a_rotation_is_exact_also_near_zero(degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    assert rotation_angle_deg(rotation) == pytest.approx(degrees, abs=1e-9)
