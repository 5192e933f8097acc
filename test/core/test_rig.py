from __future__ import annotations

import math

import numpy as np
import pytest

from msdesis_ros.core.errors import CalibrationError
from msdesis_ros.core.rig import StereoGeometry, StereoRig


def test_a_good_rig_has_a_positive_baseline_and_no_warning(make_camera, right_tx):
    rig = StereoRig.from_cameras(make_camera(), make_camera(tx=right_tx))
    assert rig.baseline_m == pytest.approx(0.004)
    assert rig.warnings == ()
    assert rig.keeps_left_frame


# Every row of the calibration gate that concerns the pair: left, right, what the refusal says.
REFUSED = {
    'other sizes': ({}, {'tx': -2.0, 'width': 320}, 'one size'),
    'mono calibration': ({}, {}, 'zero baseline'),
    'left and right swapped': ({'tx': -2.0}, {}, 'swapped'),
    'negative baseline': ({}, {'tx': 2.0}, 'negative baseline'),
    'left has a shift too': ({'tx': -1.0}, {'tx': -3.0}, 'must be 0'),
    'other focal lengths': (
        {},
        {'p': [510, 0, 319.5, -2, 0, 510, 255.5, 0, 0, 0, 1, 0]},
        'focal lengths differ',
    ),
    'other rows': ({}, {'tx': -2.0, 'cy': 260.0}, 'rows differ'),
    'vertical rig': (
        {},
        {'p': [500, 0, 319.5, 0, 0, 500, 255.5, -2, 0, 0, 1, 0]},
        'vertical stereo',
    ),
}


@pytest.mark.parametrize(('left', 'right', 'words'), REFUSED.values(), ids=REFUSED.keys())
def test_the_gate_refuses_with_the_reason(make_camera, left, right, words):
    with pytest.raises(CalibrationError, match=words):
        StereoRig.from_cameras(make_camera(**left), make_camera(**right))


def test_a_baseline_in_millimetres_is_called_by_its_name(make_camera):
    rig = StereoRig.from_cameras(make_camera(), make_camera(tx=-500 * 4.0))
    assert len(rig.warnings) == 1
    assert '4000 mm' in rig.warnings[0] and 'millimetres' in rig.warnings[0]


def test_a_wide_baseline_is_a_warning_without_blaming_the_unit(make_camera):
    rig = StereoRig.from_cameras(make_camera(), make_camera(tx=-500 * 0.12))
    assert '120 mm' in rig.warnings[0] and 'millimetres' not in rig.warnings[0]


def test_a_rectification_that_turns_the_picture_is_suspicious(make_camera, right_tx):
    angle = math.radians(16)
    turned = [math.cos(angle), -math.sin(angle), 0, math.sin(angle), math.cos(angle), 0, 0, 0, 1]
    rig = StereoRig.from_cameras(make_camera(r=turned), make_camera(tx=right_tx))
    assert 'turns the left picture by 16.0 degrees' in rig.warnings[0]
    assert not rig.keeps_left_frame


def test_a_rotation_below_the_limit_keeps_the_left_frame(make_camera, right_tx):
    def rig(degrees: float) -> StereoRig:
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        return StereoRig.from_cameras(
            make_camera(r=[c, 0, s, 0, 1, 0, -s, 0, c]), make_camera(tx=right_tx)
        )

    assert rig(0.04).keeps_left_frame
    assert not rig(0.06).keeps_left_frame
    assert rig(0.06).rotation_deg == pytest.approx(0.06, abs=1e-6)


def test_the_fingerprint_changes_with_any_number(make_camera, right_tx):
    base = StereoRig.from_cameras(make_camera(), make_camera(tx=right_tx)).fingerprint
    others = [
        StereoRig.from_cameras(make_camera(), make_camera(tx=right_tx), rectified=True),
        StereoRig.from_cameras(make_camera(d=[1e-9, 0, 0, 0, 0]), make_camera(tx=right_tx)),
        StereoRig.from_cameras(make_camera(), make_camera(tx=right_tx * (1 + 1e-12))),
        StereoRig.from_cameras(make_camera(frame_id='other'), make_camera(tx=right_tx)),
    ]
    assert len({base, *(rig.fingerprint for rig in others)}) == 5
    again = StereoRig.from_cameras(make_camera(), make_camera(tx=right_tx))
    assert again.fingerprint == base


def test_pictures_of_another_size_are_refused_naming_both(make_camera, right_tx):
    rig = StereoRig.from_cameras(make_camera(), make_camera(tx=right_tx))
    with pytest.raises(CalibrationError, match='1280x1024.*640x512'):
        rig.require_image_size((1280, 1024))


def test_focal_and_baseline_make_a_rectified_rig():
    rig = StereoRig.from_focal_and_baseline(image_size=(590, 512), focal_px=500, baseline_m=0.004)
    assert rig.rectified
    assert rig.baseline_m == pytest.approx(0.004)
    assert rig.cx_offset_px == 0


@pytest.mark.parametrize('values', [(0.0, 0.004), (500.0, -0.004), (math.nan, 0.004)])
def test_a_geometry_that_cannot_be_is_refused(values):
    with pytest.raises(CalibrationError):
        StereoGeometry((640, 512), values[0], 500.0, 320.0, 256.0, values[1])


def test_the_camera_matrix_of_a_geometry_is_the_pinhole():
    geometry = StereoGeometry((640, 512), 500.0, 501.0, 320.0, 256.0, 0.004)
    expected = [[500, 0, 320], [0, 501, 256], [0, 0, 1]]
    np.testing.assert_array_equal(geometry.camera_matrix, expected)
    assert geometry.focal_times_baseline == 2.0
