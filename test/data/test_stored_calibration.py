from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from msdesis_ros.core.errors import CalibrationError, FileFormatError
from msdesis_ros.core.stereo_calibration import StereoCalibration
from msdesis_ros.data.calibration_writer import write_ros_camera_infos, write_stereo_calibration
from msdesis_ros.data.stored_calibration import (
    ENDOVIS,
    OPENCV,
    ROS,
    read_stored_calibration,
)

sys.path.append(str(Path(__file__).parents[1]))
import board_scenes as scenes

ENDOVIS_TEXT = """Width: 320 // px
Height: 256
Camera-0-F: 262 263 // fx fy
Camera-0-C: 161.5 125
Camera-0-K: -0.1 0.01 0.001 0.001 0.0
Camera-1-F: 264 264.5
Camera-1-C: 157 129.5
Camera-1-K: -0.1 0.01 0.001 0.001 0.0
Extrinsic-Omega: 0.001 0.002 0.003
Extrinsic-T: -5.2 0.1 0.1
"""


def calibration(**changes) -> StereoCalibration:
    return StereoCalibration.from_pose(
        image_size=scenes.SIZE,
        k1=scenes.K1,
        d1=scenes.D1,
        k2=scenes.K2,
        d2=scenes.D2,
        r=scenes.R,
        t_mm=scenes.T_MM,
        **{'alpha': 0.0, 'error_px': 0.3, **changes},
    )


@pytest.fixture
def opencv_file(tmp_path):
    path = tmp_path / 'stereo.json'
    write_stereo_calibration(path, calibration())
    return path


def changed(path, change) -> Path:
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))
    return path


def test_an_opencv_file_keeps_all_it_holds(opencv_file):
    stored = read_stored_calibration(opencv_file)
    assert stored.kind == OPENCV
    assert stored.calibration is stored.stereo
    assert (stored.stereo.rect_alpha, stored.stereo.error_px) == (0.0, 0.3)
    assert stored.stereo.roi1 == calibration().roi1
    assert stored.others == ()
    assert stored.lost_as(OPENCV) == ()
    lost = ' '.join(stored.lost_as(ROS))
    for what in ('error of the calibration (0.3 px)', 'alpha of the rectification (0)', 'roi1'):
        assert what in lost
    assert 'R and T themselves' in lost


def test_the_older_names_of_the_camera_matrices_are_read(opencv_file):
    def rename(tree):
        tree['M1'], tree['M2'] = tree.pop('K1'), tree.pop('K2')

    stored = read_stored_calibration(changed(opencv_file, rename))
    np.testing.assert_array_equal(stored.calibration.k1, scenes.K1)
    np.testing.assert_array_equal(stored.calibration.k2, scenes.K2)


def test_both_names_mean_the_newer_one(opencv_file):
    def both(tree):
        tree['M1'] = {**tree['K1'], 'data': [1.0, 0, 0, 0, 1, 0, 0, 0, 1]}

    stored = read_stored_calibration(changed(opencv_file, both))
    np.testing.assert_array_equal(stored.calibration.k1, scenes.K1)


def test_missing_fields_are_unknown_and_missing_rectifications_computed(opencv_file):
    def strip(tree):
        for name in ('error', 'rect_alpha', 'roi1', 'roi2', 'E', 'F', 'Q'):
            del tree[name]

    stored = read_stored_calibration(changed(opencv_file, strip)).stereo
    assert (stored.error_px, stored.rect_alpha, stored.roi1, stored.roi2) == (None,) * 4
    np.testing.assert_array_equal(stored.p1, calibration().p1)

    def strip_more(tree):
        for name in ('R1', 'R2', 'P1', 'P2'):
            del tree[name]

    computed = read_stored_calibration(changed(opencv_file, strip_more)).stereo
    assert computed.rect_alpha == -1
    np.testing.assert_allclose(computed.p2, calibration(alpha=-1).p2)


@pytest.mark.parametrize('unit', ['mm', 'm'])
def test_the_unit_of_a_file_may_be_said(opencv_file, unit):
    stored = read_stored_calibration(opencv_file, unit=unit)
    factor = 1 if unit == 'mm' else 1000
    np.testing.assert_allclose(stored.stereo.t_mm, scenes.T_MM * factor)
    assert stored.stereo.p2[0, 3] == pytest.approx(calibration().p2[0, 3] * factor)
    baseline_m = -stored.cameras[1].projection[0, 3] / stored.cameras[1].projection[0, 0]
    assert baseline_m == pytest.approx(np.linalg.norm(scenes.T_MM) / 1e3 * factor)


@pytest.mark.parametrize('extension', ['yaml', 'xml', 'json'])
def test_what_opencv_itself_writes_is_read_with_its_scalars(tmp_path, extension):
    path = tmp_path / f'calibration.{extension}'
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    made = calibration()
    for name, value in (('K1', made.k1), ('D1', made.d1), ('K2', made.k2), ('D2', made.d2)):
        storage.write(name, value)
    for name, value in (('R', made.r), ('T', made.t_mm), ('R1', made.r1), ('R2', made.r2)):
        storage.write(name, value)
    storage.write('P1', made.p1)
    storage.write('P2', made.p2)
    storage.write('image_size', np.array([256.0, 320.0]))
    storage.write('error', 0.25)
    storage.write('rect_alpha', 0.0)
    storage.write('roi1', np.array([1, 2, 300, 250]))
    storage.write('operator', 'nobody')
    storage.release()
    stored = read_stored_calibration(path)
    assert (stored.stereo.error_px, stored.stereo.rect_alpha) == (0.25, 0.0)
    assert stored.stereo.roi1 == (1, 2, 300, 250)
    assert stored.others == ('operator',)
    assert 'the entry operator' in stored.lost_as(OPENCV)


def test_a_pair_of_ros_files_has_names_and_nothing_that_opencv_could_not_hold(tmp_path):
    paths = [tmp_path / 'left.yaml', tmp_path / 'right.yaml']
    write_ros_camera_infos(*paths, calibration().cameras, names=('davinci', 'right'))
    tree = yaml.safe_load(paths[1].read_text())
    paths[1].write_text(yaml.safe_dump({**tree, 'lens': 'B'}))
    stored = read_stored_calibration(f'{paths[0]},{paths[1]}')
    assert (stored.kind, stored.stereo, stored.names) == (ROS, None, ('davinci', 'right'))
    assert stored.lost_as(OPENCV) == ('the entry lens', "the name 'davinci' of the left camera")
    assert stored.lost_as(ROS) == ('the entry lens',)
    np.testing.assert_allclose(stored.calibration.r, scenes.R, atol=1e-9)
    np.testing.assert_allclose(stored.calibration.t_mm, scenes.T_MM, atol=1e-9)


def test_an_endovis_text_is_known_as_such(tmp_path):
    path = tmp_path / 'camera_calibration.txt'
    path.write_text(ENDOVIS_TEXT)
    stored = read_stored_calibration(path)
    assert (stored.kind, stored.others) == (ENDOVIS, ())
    assert stored.stereo.t_mm.tolist() == [-5.2, 0.1, 0.1]


def test_a_rectification_for_exchanged_sides_is_named(tmp_path):
    path = tmp_path / 'stereo.json'
    write_stereo_calibration(path, calibration().rectified_for(scenes.SIZE[::-1], 0.0))
    stored = read_stored_calibration(path)
    assert any('exchanged height and width' in sentence for sentence in stored.warnings)
    mended = stored.calibration.rectified_for(scenes.SIZE, 0.0)
    np.testing.assert_allclose(mended.p1, calibration().p1)


@pytest.mark.parametrize(
    ('name', 'value', 'error', 'reason'),
    [
        ('error', 'good', FileFormatError, "error contains 'good'"),
        ('error', [1, 2], FileFormatError, 'error holds 2 numbers'),
        ('error', -1, CalibrationError, 'error is -1'),
        ('rect_alpha', 7, CalibrationError, 'rect_alpha is 7'),
        ('roi1', [1, 2, 3], FileFormatError, 'expected x, y, width and height'),
        ('roi2', [1, 2, 3.5, 4], FileFormatError, 'expected x, y, width and height'),
    ],
)
def test_damaged_entries_are_refused(opencv_file, name, value, error, reason):
    path = changed(opencv_file, lambda tree: tree.update({name: value}))
    with pytest.raises(error, match=reason):
        read_stored_calibration(path)
