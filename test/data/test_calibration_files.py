"""Stereo calibration files of every format, good ones and bad ones."""

from __future__ import annotations

import copy
import json
import math
import re

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import CalibrationError, FileFormatError, UsageError
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.calibration_files import read_calibration

SIZE = (640, 512)
K1 = np.array([[500.0, 0, 300], [0, 501, 250], [0, 0, 1]])
K2 = np.array([[502.0, 0, 340], [0, 503, 255], [0, 0, 1]])
D1 = np.array([-0.1, 0.05, 0.001, -0.002, 0.01])
D2 = np.array([-0.12, 0.06, 0.002, -0.001, 0.0])
R = cv2.Rodrigues(np.array([0.01, -0.02, 0.015]))[0]
T_MM = np.array([-4.2, 0.05, 0.1])


def opencv_matrix(array):
    array = np.atleast_2d(array)
    rows, cols = array.shape
    kind = {'type_id': 'opencv-matrix', 'rows': rows, 'cols': cols, 'dt': 'd'}
    return {**kind, 'data': array.ravel().tolist()}


def stereo_file(**changes):
    """The rig above as an OpenCV JSON tree; a change of None removes the entry."""
    tree = {'K1': K1, 'D1': D1, 'K2': K2, 'D2': D2, 'R': R, 'T': T_MM.reshape(3, 1), **changes}
    return {
        name: opencv_matrix(value) if isinstance(value, np.ndarray) else value
        for name, value in tree.items()
        if value is not None
    }


def rectified(size=SIZE, t=T_MM):
    flags, t = cv2.CALIB_ZERO_DISPARITY, t.reshape(3, 1)
    found = cv2.stereoRectify(K1, D1, K2, D2, size, R, t, flags=flags, alpha=-1)
    return dict(zip(('R1', 'R2', 'P1', 'P2'), found[:4]))  # noqa: B905 - of the seven results


@pytest.fixture
def write(tmp_path):
    def write(content, name='calibration.json'):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def refused(kind, source, **arguments) -> str:
    with pytest.raises(kind) as caught:
        read_calibration(source, **arguments)
    message = str(caught.value)
    assert '\n' not in message
    return message


# --- OpenCV files -----------------------------------------------------------------------------


@pytest.mark.parametrize('extension', ['json', 'yaml', 'yml', 'xml'])
def test_what_opencv_writes_is_read_exactly(tmp_path, extension):
    path = tmp_path / f'calibration.{extension}'
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    entries = {'M1': K1, 'D1': D1, 'M2': K2, 'D2': D2, 'R': R, 'T': T_MM, **rectified()}
    for name, value in entries.items():
        storage.write(name, value)
    storage.write('image_size', np.array([512.0, 640.0]))
    storage.release()
    left, right = read_calibration(path)
    stored = rectified()
    for camera, k, d, r in ((left, K1, D1, stored['R1']), (right, K2, D2, stored['R2'])):
        assert camera.image_size == SIZE
        assert camera.distortion_model == 'plumb_bob'
        np.testing.assert_array_equal(camera.camera_matrix, k)
        np.testing.assert_array_equal(camera.distortion, d)
        np.testing.assert_array_equal(camera.rectification, r)
    np.testing.assert_array_equal(left.projection, stored['P1'])
    np.testing.assert_array_equal(right.projection[:, :3], stored['P2'][:, :3])
    assert right.projection[0, 3] == pytest.approx(stored['P2'][0, 3] * 1e-3, rel=1e-12)


def test_without_a_rectification_it_is_computed_and_makes_a_rig(write):
    left, right = read_calibration(write(stereo_file()), image_size=SIZE)
    np.testing.assert_allclose(
        right.rectification @ R @ left.rectification.T, np.eye(3), atol=1e-9
    )
    np.testing.assert_allclose(left.projection[:, :3], right.projection[:, :3])
    rig = StereoRig.from_cameras(left, right)
    assert rig.baseline_m == pytest.approx(np.linalg.norm(T_MM) * 1e-3, rel=1e-9)
    assert rig.warnings == ()


@pytest.mark.parametrize(('unit', 'metres'), [(None, 1e-3), ('mm', 1e-3), ('m', 1.0)])
@pytest.mark.parametrize('stored', [True, False])
def test_the_unit_of_an_opencv_file_is_mm_where_nobody_says_otherwise(write, unit, metres, stored):
    path = write(stereo_file(**(rectified() if stored else {})))
    left, right = read_calibration(path, image_size=SIZE, unit=unit)
    baseline = -right.projection[0, 3] / right.projection[0, 0]
    assert baseline == pytest.approx(np.linalg.norm(T_MM) * metres, rel=1e-9)


@pytest.mark.parametrize('count', [4, 5, 8, 12, 14])
def test_the_number_of_coefficients_tells_the_distortion_model(write, count):
    d = np.full(count, 1e-3)
    left, _ = read_calibration(write(stereo_file(D1=d, D2=d)), image_size=SIZE)
    assert left.distortion_model == ('plumb_bob' if count <= 5 else 'rational_polynomial')
    np.testing.assert_array_equal(left.distortion, d)


def test_empty_matrices_count_as_absent(write):
    empty = {'type_id': 'opencv-matrix', 'rows': 0, 'cols': 0, 'dt': 'u', 'data': []}
    names = ('R1', 'R2', 'P1', 'P2', 'Q', 'image_size')
    path = write(stereo_file(**dict.fromkeys(names, empty)))
    assert read_calibration(path, image_size=SIZE)[0].image_size == SIZE


@pytest.mark.parametrize('name', ['K1', 'D1', 'K2', 'D2', 'R', 'T'])
def test_a_missing_entry_is_named_with_what_is_expected(write, name):
    message = refused(FileFormatError, write(stereo_file(**{name: None})), image_size=SIZE)
    assert f'{name} not found; expected K1 (or M1), D1' in message


def test_another_json_file_is_told_from_a_calibration(write):
    message = refused(FileFormatError, write({'disparity': 3, 'weird\n\ud800': 1}))
    assert "it holds 'disparity', 'weird\\n\\ud800'" in message


@pytest.mark.parametrize('removed', ['R1', 'R2', 'P1', 'P2'])
def test_half_a_rectification_is_refused(write, removed):
    path = write(stereo_file(**{**rectified(), removed: None}))
    assert 'not all of R1, R2, P1, P2' in refused(CalibrationError, path, image_size=SIZE)


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'K1': np.zeros((3, 3))}, 'K is all zero'),
        ({'K2': np.diag([-500.0, 500, 1])}, 'not a camera matrix'),
        ({'K1': [math.nan] * 9}, 'contains nan'),
        ({'K1': K1[:2]}, '2 x 3; expected 3 x 3'),
        ({'D1': np.zeros(3)}, '3 distortion coefficients'),
        ({'R': 2 * R}, 'R is not a rotation matrix'),
        ({'R': np.diag([1.0, 1, -1])}, 'R is not a rotation matrix'),
        ({'R': np.zeros(3)}, '1 x 3; expected 3 x 3'),
        ({'T': np.zeros(3)}, 'zero baseline'),
        ({'T': [1, 2]}, '2 numbers; expected 3 x 1'),
        ({'T': 'west'}, 'T is no matrix'),
        ({'image_size': [640.5, 512]}, 'whole numbers'),
        ({'image_size': [0, 0]}, 'pictures of 0x0 px'),
        ({'image_size': [1e300, 1e300]}, 'px a side'),
    ],
)
def test_impossible_numbers_are_refused_naming_the_file_and_the_entry(write, changes, reason):
    message = refused(
        (CalibrationError, FileFormatError), write(stereo_file(**changes)), image_size=SIZE
    )
    assert 'calibration.json' in message
    assert reason in message


# --- stored rectification against R and T -----------------------------------------------------


def turned(axis, degrees):
    vector = np.zeros(3)
    vector['xyz'.index(axis)] = math.radians(degrees)
    return cv2.Rodrigues(vector)[0]


def test_a_rectification_is_used_as_stored_where_it_agrees(write):
    # Another focal length and both views turned about the baseline: unusual, but right.
    stored = rectified()
    tilt = turned('x', 5)
    p1, p2 = stored['P1'].copy(), stored['P2'].copy()
    for p in (p1, p2):
        p[0, 0] = p[1, 1] = 700.0
    p2[0, 3] *= 700.0 / stored['P2'][0, 0]
    path = write(stereo_file(R1=tilt @ stored['R1'], R2=tilt @ stored['R2'], P1=p1, P2=p2))
    left, right = read_calibration(path, image_size=SIZE)
    np.testing.assert_allclose(left.rectification, tilt @ stored['R1'], rtol=1e-14)
    assert right.projection[0, 0] == 700.0


@pytest.mark.parametrize('degrees', [0.04, -0.04])
def test_a_turn_within_the_rounding_is_accepted(write, degrees):
    stored = rectified()
    stored['R2'] = turned('x', degrees) @ stored['R2']
    read_calibration(write(stereo_file(**stored)), image_size=SIZE)


@pytest.mark.parametrize(
    ('name', 'change', 'reason'),
    [
        ('R2', lambda r: turned('x', 0.1) @ r, 'R1 and R2 contradict R'),
        ('R1', lambda r: turned('z', -0.1) @ r, 'R1 and R2 contradict R'),
        ('R1', lambda r: np.eye(3), 'R1 and R2 contradict R'),
        ('P2', lambda p: p * [1, 1, 1, 1e-3], 'P2 contradicts T'),
        ('P2', lambda p: p * [1, 1, 1, -1], 'P2 contradicts T'),
        ('P2', lambda p: p * [1, 1, 1, 1.02], 'P2 contradicts T'),
        ('P2', lambda p: p * [1, 1, 1, 0], 'P2 contradicts T'),
    ],
)
def test_a_rectification_that_contradicts_r_or_t_is_refused(write, name, change, reason):
    stored = rectified()
    stored[name] = change(stored[name])
    path = write(stereo_file(**stored))
    message = refused(CalibrationError, path, image_size=SIZE)
    assert reason in message
    assert 'remove R1, R2, P1, P2' in message


@pytest.mark.parametrize('axis', ['y', 'z'])
def test_views_that_do_not_lie_along_the_baseline_are_refused(write, axis):
    # Both turned alike: parallel views, but not side by side.
    stored = rectified()
    for name in ('R1', 'R2'):
        stored[name] = turned(axis, 0.5) @ stored[name]
    message = refused(CalibrationError, write(stereo_file(**stored)), image_size=SIZE)
    assert 'off the row of the left one' in message


# --- the picture size -------------------------------------------------------------------------


@pytest.mark.parametrize('stored', [[640, 512], [512, 640], np.array([[512.0], [640.0]])])
@pytest.mark.parametrize('given_size', [SIZE, None, np.array(SIZE)])
def test_either_order_of_the_stored_size_is_understood(write, stored, given_size):
    path = write(stereo_file(image_size=stored))
    left, right = read_calibration(path, image_size=given_size)
    assert left.image_size == right.image_size == SIZE


@pytest.mark.parametrize('stored', [[640, 512], [512, 640]])
@pytest.mark.parametrize('given_size', [(1280, 1024), (512, 640), (640, 511)])
def test_pictures_of_another_size_are_refused_naming_both(write, stored, given_size):
    path = write(stereo_file(image_size=stored))
    message = refused(CalibrationError, path, image_size=given_size)
    assert 'for pictures of 640x512 px' in message
    assert f'pictures are {given_size[0]}x{given_size[1]} px' in message


def test_a_size_the_principal_point_cannot_explain_is_settled_by_the_pictures_alone(write):
    k = np.array([[500.0, 0, 288], [0, 500, 288], [0, 0, 1]])
    path = write(stereo_file(K1=k, K2=k, image_size=[512, 640]))
    assert 'does not tell' in refused(CalibrationError, path)
    for size in ((640, 512), (512, 640)):
        assert read_calibration(path, image_size=size)[0].image_size == size
    assert 'but the pictures are 320x256' in refused(CalibrationError, path, image_size=(320, 256))


def test_a_file_without_size_takes_that_of_the_pictures_where_it_fits(write):
    path = write(stereo_file())
    assert read_calibration(path, image_size=(640, 480))[0].image_size == (640, 480)
    assert 'does not say the size' in refused(CalibrationError, path)
    message = refused(CalibrationError, path, image_size=(1280, 1024))
    assert 'the principal point (320, 252.5) does not fit 1280x1024 px' in message
    assert 'does not fit 320x256' in refused(CalibrationError, path, image_size=(320, 256))


# --- ROS camera_info --------------------------------------------------------------------------


def ros_camera(**changes):
    def entry(array):
        rows, cols = np.atleast_2d(array).shape
        return {'rows': rows, 'cols': cols, 'data': np.asarray(array, float).ravel().tolist()}

    stored = rectified(t=T_MM * 1e-3)
    tree = {
        'image_width': 640,
        'image_height': 512,
        'camera_name': 'left',
        'camera_matrix': entry(K1),
        'distortion_model': 'plumb_bob',
        'distortion_coefficients': entry(D1),
        'rectification_matrix': entry(stored['R1']),
        'projection_matrix': entry(stored['P1']),
        **{name: entry(v) if isinstance(v, np.ndarray) else v for name, v in changes.items()},
    }
    return yaml.safe_dump({name: value for name, value in tree.items() if value is not None})


def ros_right(**changes):
    stored = rectified(t=T_MM * 1e-3)
    fields = {'camera_matrix': K2, 'distortion_coefficients': D2, 'camera_name': 'right'}
    fields |= {'rectification_matrix': stored['R2'], 'projection_matrix': stored['P2']}
    return ros_camera(**{**fields, **changes})


def test_a_pair_of_ros_files_is_read_in_metres(write):
    left, right = write(ros_camera(), 'left.yaml'), write(ros_right(), 'right.yaml')
    cameras = read_calibration(f'{left},{right}', image_size=SIZE)
    rig = StereoRig.from_cameras(*cameras)
    assert rig.baseline_m == pytest.approx(np.linalg.norm(T_MM) * 1e-3, rel=1e-9)
    np.testing.assert_array_equal(cameras[1].camera_matrix, K2)
    np.testing.assert_array_equal(cameras[1].distortion, D2)
    in_mm = read_calibration(f'{left}, {right}', unit='mm')
    assert in_mm[1].projection[0, 3] == pytest.approx(cameras[1].projection[0, 3] * 1e-3)


def test_ros_files_may_have_other_distortion_models(write):
    left = write(
        ros_camera(
            distortion_model='equidistant', distortion_coefficients=np.array([0.1, 0.2, 0.3, 0.4])
        ),
        'left.yaml',
    )
    camera, _ = read_calibration(f'{left},{write(ros_right(), "right.yaml")}')
    assert camera.distortion_model == 'equidistant'
    np.testing.assert_array_equal(camera.distortion, [0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'camera_matrix': None}, 'camera_matrix not found'),
        ({'image_width': 'wide'}, "'wide'"),
        ({'image_width': -640}, 'pictures of -640x512 px'),
        ({'image_height': 1024}, 'for pictures of 640x1024 px, but the pictures are 640x512 px'),
        ({'distortion_model': 'magic'}, "'magic'"),
        ({'distortion_model': ['plumb_bob']}, 'distortion_model'),
        ({'distortion_coefficients': [1, 2]}, '2 coefficients'),
        ({'projection_matrix': np.zeros((3, 4))}, 'P is all zero'),
        ({'projection_matrix': np.ones((3, 3))}, '3 x 3; expected 3 x 4'),
        ({'rectification_matrix': np.ones((3, 3))}, 'not a rotation'),
        ({'camera_matrix': [float('nan')] * 9}, 'finite numbers'),
    ],
)
def test_a_bad_ros_file_is_refused_naming_the_file_of_the_two(write, changes, reason):
    pair = f'{write(ros_camera(), "l.yaml")},{write(ros_right(**changes), "r.yaml")}'
    message = refused((CalibrationError, FileFormatError), pair, image_size=SIZE)
    assert 'r.yaml' in message
    assert 'l.yaml' not in message
    assert reason in message


def test_one_ros_file_alone_asks_for_the_pair(write):
    message = refused(FileFormatError, write(ros_camera(), 'left.yaml'))
    assert 'one camera; give both files of the pair as LEFT.yaml,RIGHT.yaml' in message


def test_two_opencv_files_are_told_to_be_given_alone(write):
    path = write(stereo_file())
    assert 'give it alone' in refused(FileFormatError, f'{path},{path}')


# --- arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize('source', ['a.yaml,', ',b.yaml', 'a,b,c', ','])
def test_a_comma_without_two_names_is_refused(source):
    assert 'LEFT.yaml,RIGHT.yaml' in refused(UsageError, source)


def test_a_comma_may_be_part_of_the_name_of_one_file(write):
    path = write(stereo_file(), 'a,b.json')
    assert read_calibration(str(path), image_size=SIZE)[0].image_size == SIZE


def test_a_tilde_is_the_home_folder_on_both_sides_of_the_comma(write, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    write(ros_camera(), 'left.yaml')
    write(ros_right(), 'right.yaml')
    assert read_calibration('~/left.yaml,~/right.yaml')[0].image_size == SIZE


@pytest.mark.parametrize('arguments', [{'unit': 'inch'}, {'image_size': (640, 0)}])
def test_an_argument_that_makes_no_sense_is_refused(write, arguments):
    refused(UsageError, write(stereo_file(image_size=[640, 512])), **arguments)


@pytest.mark.parametrize('source', ['missing.json', 'missing.yaml,other.yaml', '.', 'a\0b', ''])
def test_a_missing_file_is_told(source):
    refused(FileFormatError, source)


# --- malformed texts --------------------------------------------------------------------------


def _mutations(text):
    """One to four cuts, repeats or replacements somewhere in a good text."""
    fragments = st.sampled_from(
        [
            '',
            '0',
            '-',
            '.',
            'e9',
            '1e308',
            'NaN',
            '{',
            ']',
            ',',
            ':',
            '"',
            '\n',
            '\0',
            '<',
            '&a',
            'ü',
        ]
    )
    change = st.tuples(st.integers(0, len(text)), st.integers(0, 60), fragments)

    def apply(changes):
        changed = text
        for begin, length, fragment in changes:
            changed = changed[:begin] + fragment + changed[begin + length :]
        return changed

    return st.lists(change, min_size=1, max_size=4).map(apply)


GOOD = {
    'json': json.dumps(stereo_file(image_size=[640, 512], **rectified())),
    'yaml': '%YAML:1.0\n---\n' + yaml.safe_dump(stereo_file(image_size=[640, 512])),
    'endovis': 'Width: 640 // w\nHeight: 512\nCamera-0-F: 500 500\nCamera-0-C: 300 250 // c\n'
    'Camera-0-K: 0 0 0 0 0\nCamera-1-F: 500 500\nCamera-1-C: 330 250\nCamera-1-K: 0 0 0 0 0\n'
    'Extrinsic-Omega: 0 0.001 0\nExtrinsic-T: -4.3 0.03 0.01',
}


def _read_or_refuse(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        cameras = read_calibration(path, image_size=SIZE)
    except (FileFormatError, CalibrationError) as error:
        assert re.match(r'.*calibration', str(error))
        assert '\n' not in str(error)
    else:
        for camera in cameras:
            assert np.isfinite(camera.projection).all()
            assert camera.image_size == SIZE


@pytest.mark.parametrize('kind', GOOD)
def test_the_texts_that_are_damaged_below_are_good(write, kind):
    assert (
        read_calibration(write(GOOD[kind], 'calibration'), image_size=SIZE)[0].image_size == SIZE
    )


@pytest.mark.parametrize('kind', GOOD)
@given(data=st.data())
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_clearly_refused(tmp_path, kind, data):
    _read_or_refuse(tmp_path / 'calibration', data.draw(_mutations(GOOD[kind])))


@given(content=st.binary(max_size=200) | st.text(max_size=200))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_clearly_refused(tmp_path, content):
    if isinstance(content, str):
        content = content.encode('utf-8', 'surrogatepass')
    _read_or_refuse(tmp_path / 'calibration', content)


@given(
    name=st.sampled_from(['K1', 'D1', 'K2', 'D2', 'R', 'T', 'R1', 'R2', 'P1', 'P2', 'image_size']),
    index=st.integers(0, 20),
    value=st.sampled_from([0.0, -1.0, 1e-300, 1e300, -1e300, 1e9, 1e18, 0.5, 3.0])
    | st.floats(allow_nan=False, allow_infinity=False),
    stored=st.booleans(),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_number_anywhere_is_read_or_clearly_refused(tmp_path, name, index, value, stored):
    tree = stereo_file(image_size=np.array([512.0, 640.0]), **(rectified() if stored else {}))
    tree = copy.deepcopy(tree)
    if name not in tree:
        return
    tree[name]['data'][index % len(tree[name]['data'])] = value
    _read_or_refuse(tmp_path / 'calibration', json.dumps(tree))


@pytest.mark.slow
@pytest.mark.parametrize('kind', GOOD)
@given(data=st.data())
@settings(
    max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_many_damaged_files_are_read_or_clearly_refused(tmp_path, kind, data):
    _read_or_refuse(tmp_path / 'calibration', data.draw(_mutations(GOOD[kind])))


# --- real files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'baseline_mm', 'focal_px', 'left_f'),
    [('4_1', 3.3451, 1072.939, 1073.648), ('test_calib', 4.1435, 1188.482, 1035.308)],
)
def test_the_scared_files_give_their_millimetres(test_data, name, baseline_mm, focal_px, left_f):
    path = test_data / 'scared_51_unrectified' / 'other_sequences_calibration' / f'{name}.json'
    for size in (None, (1280, 1024)):
        cameras = read_calibration(path, image_size=size)
        assert cameras[0].image_size == (1280, 1024)
    rig = StereoRig.from_cameras(*cameras)
    assert rig.baseline_m * 1e3 == pytest.approx(baseline_mm, abs=1e-4)
    assert cameras[0].projection[0, 0] == pytest.approx(focal_px, abs=1e-3)
    assert cameras[0].camera_matrix[0, 0] == pytest.approx(left_f, abs=1e-3)
    assert 'but the pictures are 1024x1280 px' in refused(
        CalibrationError, path, image_size=(1024, 1280)
    )


def test_the_dvrk_stereo_files_make_a_rig_and_the_mono_ones_do_not(test_data):
    folder = test_data / 'dvrk_ecm' / 'calib'
    cameras = read_calibration(
        f'{folder}/stereo/left.yaml,{folder}/stereo/right.yaml', image_size=(720, 576)
    )
    assert StereoRig.from_cameras(*cameras).baseline_m * 1e3 == pytest.approx(4.8045, abs=1e-4)
    mono = read_calibration(f'{folder}/mono/left.yaml,{folder}/mono/right.yaml')
    with pytest.raises(CalibrationError, match='zero baseline'):
        StereoRig.from_cameras(*mono)


def test_the_decklink_files_are_read_and_warned_of(test_data):
    folder = test_data / 'dvrk_ecm' / 'calib_decklink_1080p'
    cameras = read_calibration(f'{folder}/left.yaml,{folder}/right.yaml', image_size=(1920, 1080))
    rig = StereoRig.from_cameras(*cameras)
    assert rig.baseline_m * 1e3 == pytest.approx(6.328, abs=1e-3)
    assert any('suspicious' in warning for warning in rig.warnings)


def test_all_endovis_2018_texts_make_rigs(test_data):
    paths = sorted((test_data / 'endovis2018_calibration').glob('seq_*/camera_calibration.txt'))
    assert len(paths) == 15
    focal_lengths = set()
    for path in paths:
        cameras = read_calibration(path, image_size=(1280, 1024))
        rig = StereoRig.from_cameras(*cameras)
        assert 4.2 < rig.baseline_m * 1e3 < 4.4
        focal_lengths.add(round(float(cameras[0].camera_matrix[0, 0]), 2))
    assert focal_lengths == {1084.21, 1056.33, 1051.67, 1081.85, 1068.39}


def test_a_json_of_another_purpose_is_refused(test_data):
    path = test_data / 'middlebury_cones' / 'Cones_stereo_param.json'
    assert 'no stereo calibration' in refused(FileFormatError, path)
