from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import CalibrationError, MsdesisError, UsageError
from msdesis_ros.core.stereo_calibration import StereoCalibration
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.calibration_writer import (
    opencv_fields,
    write_ros_camera_infos,
    write_stereo_calibration,
)
from msdesis_ros.data.stored_calibration import read_stored_calibration

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
FIELDS = (
    *('error', 'image_size', 'K1', 'D1', 'K2', 'D2', 'R', 'T', 'E', 'F'),
    *('R1', 'R2', 'P1', 'P2', 'Q', 'roi1', 'roi2', 'rect_alpha'),
)


def calibration(**changes) -> StereoCalibration:
    return StereoCalibration.from_pose(**{'error_px': 0.21, 'alpha': 0.25, **RIG, **changes})


def opencv_nodes(path: Path) -> dict:
    """Every entry of the file as OpenCV reads it."""
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    names = storage.root().keys()
    nodes = {name: storage.getNode(name) for name in names}
    return {n: node.real() if node.isReal() else node.mat() for n, node in nodes.items()}


@pytest.mark.parametrize('suffix', ['.json', '.yaml', '.yml'])
def test_opencv_reads_the_numbers_that_were_written(tmp_path, suffix):
    path = tmp_path / f'stereo_calib{suffix}'
    made = calibration()
    write_stereo_calibration(path, made)
    nodes = opencv_nodes(path)
    assert tuple(nodes) == FIELDS
    for name, array in (
        ('K1', made.k1),
        ('D2', made.d2.reshape(1, 5)),
        ('R', made.r),
        ('T', made.t_mm.reshape(3, 1)),
        ('R1', made.r1),
        ('P2', made.p2),
        ('Q', made.disparity_to_depth),
        ('roi1', np.reshape(made.roi1, (4, 1))),
    ):
        np.testing.assert_array_equal(nodes[name], array)
        assert nodes[name].dtype == np.float64
    assert (nodes['error'], nodes['rect_alpha']) == (0.21, 0.25)


def test_the_stored_size_is_height_then_width_in_a_column(tmp_path):
    write_stereo_calibration(tmp_path / 's.json', calibration())
    size = opencv_nodes(tmp_path / 's.json')['image_size']
    assert size.tolist() == [[256.0], [320.0]]


def test_the_json_is_json_with_opencv_matrices(tmp_path):
    write_stereo_calibration(tmp_path / 's.json', calibration())
    tree = json.loads((tmp_path / 's.json').read_text())
    assert tree['K1'] == {
        'type_id': 'opencv-matrix',
        'rows': 3,
        'cols': 3,
        'dt': 'd',
        'data': scenes.K1.ravel().tolist(),
    }
    # T and Q are in mm.
    assert tree['T']['data'] == scenes.T_MM.tolist()
    baseline_mm = np.linalg.norm(scenes.T_MM)
    assert tree['Q']['data'][14] == pytest.approx(1 / baseline_mm)
    assert tree['P2']['data'][3] == pytest.approx(-tree['P2']['data'][0] * baseline_mm)


def test_what_is_not_known_is_left_out(tmp_path):
    made = dataclasses.replace(calibration(), error_px=None, rect_alpha=None, roi1=None, roi2=None)
    write_stereo_calibration(tmp_path / 's.yaml', made)
    left = set(FIELDS) - set(opencv_nodes(tmp_path / 's.yaml'))
    assert left == {'error', 'rect_alpha', 'roi1', 'roi2'}


NUMBER = st.floats(-1, 1).map(lambda x: x * 1e-3) | st.floats(-0.5, 0.5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    focal=st.floats(100, 2000),
    centre=st.tuples(st.floats(145, 175), st.floats(112, 143)),
    d=st.sampled_from([4, 5, 8, 12, 14]).flatmap(
        lambda n: st.lists(NUMBER, min_size=n, max_size=n)
    ),
    turned=st.tuples(*[st.floats(-3, 3)] * 3),
    baseline_mm=st.floats(0.5, 60),
    alpha=st.none() | st.sampled_from([-1.0, 0.0, 0.123456789, 1.0]),
    error_px=st.none() | st.floats(0, 5),
    suffix=st.sampled_from(['.json', '.yaml']),
)
def test_any_calibration_comes_back_to_the_last_bit(
    tmp_path_factory, focal, centre, d, turned, baseline_mm, alpha, error_px, suffix
):
    path = tmp_path_factory.mktemp('round') / f'stereo{suffix}'
    k = np.array([[focal, 0, centre[0]], [0, focal * 1.01, centre[1]], [0, 0, 1]])
    r1, r2 = scenes.turn(*turned), scenes.turn(turned[1], 0.5, turned[2])
    p1 = np.hstack([k, np.zeros((3, 1))])
    p2 = p1.copy()
    p2[0, 3] = -focal * baseline_mm
    made = StereoCalibration(
        image_size=scenes.SIZE,
        k1=k,
        d1=d,
        k2=k * [[1.1], [1.1], [1]],
        d2=d[::-1],
        r=r2.T @ r1,
        t_mm=r2.T @ [-baseline_mm, 0, 0],
        r1=r1,
        r2=r2,
        p1=p1,
        p2=p2,
        rect_alpha=alpha,
        roi1=(1, 2, 300, 200),
        error_px=error_px,
    )
    write_stereo_calibration(path, made)
    try:
        again = read_stored_calibration(path, image_size=scenes.SIZE).stereo
    except CalibrationError as error:
        # No lens is like that: OpenCV's own rectification of it is not finite.
        assume('not finite' not in str(error))
        raise
    for field in dataclasses.fields(made):
        ours, theirs = getattr(made, field.name), getattr(again, field.name)
        if isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(theirs, ours, err_msg=field.name)
        else:
            assert theirs == ours, field.name


def test_a_pair_of_ros_files_holds_the_cameras_in_metres(tmp_path):
    made = calibration()
    paths = tmp_path / 'left.yaml', tmp_path / 'right.yaml'
    write_ros_camera_infos(*paths, made.cameras, names=('eye one', 'right'))
    left, right = (yaml.safe_load(path.read_text()) for path in paths)
    assert left['camera_name'] == 'eye one'
    assert (left['image_width'], left['image_height']) == scenes.SIZE
    assert left['distortion_model'] == 'plumb_bob'
    assert left['camera_matrix'] == {'rows': 3, 'cols': 3, 'data': scenes.K1.ravel().tolist()}
    baseline_m = -right['projection_matrix']['data'][3] / right['projection_matrix']['data'][0]
    assert baseline_m == pytest.approx(np.linalg.norm(scenes.T_MM) / 1e3)
    cameras = read_calibration(f'{paths[0]},{paths[1]}')
    for ours, theirs in zip(made.cameras, cameras, strict=True):
        for name in ('camera_matrix', 'distortion', 'rectification', 'projection'):
            np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name))


def test_every_reader_of_yaml_takes_small_numbers_for_numbers(tmp_path):
    # PyYAML reads 1e-05, as Python writes it, as a text.
    made = calibration(d1=[1e-5, -2e-7, 0.25, 0, 0])
    paths = tmp_path / 'left.yaml', tmp_path / 'right.yaml'
    write_ros_camera_infos(*paths, made.cameras)
    tree = yaml.safe_load(paths[0].read_text())
    assert tree['distortion_coefficients']['data'] == [1e-5, -2e-7, 0.25, 0.0, 0.0]


def test_another_suffix_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UsageError, match='known suffixes are .json, .yaml, .yml'):
        write_stereo_calibration(tmp_path / 'stereo.toml', calibration())
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 's.json'
    write_stereo_calibration(path, calibration())
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'write_text', full)
    with pytest.raises(MsdesisError, match='No space left'):
        write_stereo_calibration(path, calibration(alpha=0.9))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ['s.json']


def test_the_fields_are_independent_of_the_unit_of_the_cameras():
    fields = opencv_fields(StereoCalibration.from_cameras(*calibration().cameras))
    np.testing.assert_allclose(fields['T'].ravel(), scenes.T_MM, rtol=1e-9)
