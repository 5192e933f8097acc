"""`msdesis calibration show|convert|check` on files of a known rig."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from msdesis_ros.core.stereo_calibration import StereoCalibration
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.calibration_writer import write_ros_camera_infos, write_stereo_calibration
from msdesis_ros.data.images import read_rgb, write_image

sys.path.append(str(Path(__file__).parents[1]))
import board_scenes as scenes


def calibration(**changes) -> StereoCalibration:
    rig = {
        'image_size': scenes.SIZE,
        'k1': scenes.K1,
        'd1': scenes.D1,
        'k2': scenes.K2,
        'd2': scenes.D2,
        'r': scenes.R,
        't_mm': scenes.T_MM,
        'error_px': 0.21,
    }
    return StereoCalibration.from_pose(**{**rig, **changes})


@pytest.fixture
def command(run_command, monkeypatch):
    monkeypatch.setenv('COLUMNS', '200')
    return run_command('calibration')


@pytest.fixture
def stereo(tmp_path):
    path = tmp_path / 'stereo_calib.json'
    write_stereo_calibration(path, calibration())
    return path


@pytest.fixture(scope='module')
def textured(tmp_path_factory):
    """A raw pair of a wall with texture, 45 mm away, as the eyes of the rig see it."""
    random = np.random.default_rng(3)
    coarse = random.integers(20, 235, (60, 80), np.uint8)
    texture = cv2.resize(coarse, (960, 720), interpolation=cv2.INTER_CUBIC)
    wall = scenes.Print(texture, (80.0, 60.0))
    folder = tmp_path_factory.mktemp('wall')
    for side in ('left', 'right'):
        pose = scenes.Pose((0, 0, 45), (10, -8, 0))
        write_image(folder / f'{side}.png', scenes.picture(wall, pose, side))
    return folder / 'left.png', folder / 'right.png'


def test_show_tells_the_rig_in_millimetres_and_pixels(command, stereo):
    code, told, _ = command('show', stereo)
    assert code == 0
    baseline_mm = np.linalg.norm(scenes.T_MM)
    focal_px = calibration().p1[0, 0]
    for text in (
        '320 x 256',
        '262.00, 263.00',
        '157.00, 129.50',
        'plumb_bob',
        f'{baseline_mm:.3f} mm',
        f'30 mm: {focal_px * baseline_mm / 30:.1f} px',
        f'{60**2 / (focal_px * baseline_mm):.2f} mm',
        '-5.2000, 0.1200, 0.0800 mm',
        '0.210 px',
        'the calibration gate accepts it',
    ):
        assert text in told, text
    # Half of the picture across is 161.5 px left of the centre and 158.5 right of it.
    assert '65.' in told and 'degrees' in told


def test_show_tells_what_the_gate_refuses_and_what_is_strange(command, tmp_path):
    path = tmp_path / 's.json'
    write_stereo_calibration(path, calibration(t_mm=-scenes.T_MM))
    code, told, _ = command('show', path)
    assert code == 0
    assert 'refused by the calibration gate: negative baseline' in told
    k2 = scenes.K2 * [[1.2], [1], [1]]
    write_stereo_calibration(path, calibration(k2=k2, t_mm=50 * scenes.T_MM))
    _, told, _ = command('show', path)
    assert 'warning: the baseline is 260' in told
    assert 'warning: the focal lengths of the eyes differ' in told


def test_convert_goes_to_ros_and_back_without_loss(command, stereo, tmp_path):
    pair = f'{tmp_path / "l.yaml"},{tmp_path / "r.yaml"}'
    code, told, _ = command('convert', stereo, pair)
    assert code == 0
    for lost in ('error of the calibration', 'alpha of the rectification (-1)', 'roi1', 'R and T'):
        assert lost in told
    left = yaml.safe_load((tmp_path / 'l.yaml').read_text())
    assert (left['image_width'], left['camera_name']) == (320, 'left')
    code, told, _ = command('convert', pair, tmp_path / 'back.yaml')
    assert (code, told.count('not in')) == (0, 0)
    once, again = read_calibration(stereo), read_calibration(tmp_path / 'back.yaml')
    for ours, theirs in zip(once, again, strict=True):
        for name in ('camera_matrix', 'distortion', 'rectification'):
            np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name))
        np.testing.assert_allclose(theirs.projection, ours.projection, rtol=1e-12)
    storage = cv2.FileStorage(str(tmp_path / 'back.yaml'), cv2.FILE_STORAGE_READ)
    np.testing.assert_allclose(storage.getNode('R').mat(), scenes.R, atol=1e-9)
    np.testing.assert_allclose(storage.getNode('T').mat().ravel(), scenes.T_MM, atol=1e-9)
    assert storage.getNode('image_size').mat().ravel().tolist() == [256, 320]


def test_convert_keeps_the_name_of_a_camera_between_ros_files(command, tmp_path):
    paths = tmp_path / 'l.yaml', tmp_path / 'r.yaml'
    write_ros_camera_infos(*paths, calibration().cameras, names=('davinci/left', 'right'))
    source = f'{paths[0]},{paths[1]}'
    code, told, _ = command('convert', source, f'{tmp_path / "a.yaml"},{tmp_path / "b.yaml"}')
    assert (code, 'not in' in told) == (0, False)
    assert yaml.safe_load((tmp_path / 'a.yaml').read_text())['camera_name'] == 'davinci/left'
    _, told, _ = command('convert', source, tmp_path / 's.json')
    assert "the name 'davinci/left' of the left camera" in told


def test_the_unit_of_the_source_is_taken_and_that_of_the_target_fixed(command, tmp_path):
    metres, out = tmp_path / 'm.json', tmp_path / 'mm.json'
    write_stereo_calibration(metres, calibration(t_mm=scenes.T_MM / 1000))
    assert command('convert', metres, out, '--unit', 'm')[0] == 0
    np.testing.assert_allclose(json.loads(out.read_text())['T']['data'], scenes.T_MM)


def test_the_alpha_of_a_stored_file_is_compared_with_the_wanted_one(command, tmp_path):
    stored, out = tmp_path / 'zero.json', tmp_path / 'out.json'
    write_stereo_calibration(stored, calibration(alpha=0.0))
    assert command('convert', stored, out, '--alpha', '-1')[0] == 0
    tree = json.loads(out.read_text())
    assert tree['rect_alpha'] == -1
    # The published object kept what was stored, since -1 was what it began with.
    np.testing.assert_allclose(tree['P1']['data'], calibration(alpha=-1).p1.ravel())
    assert abs(tree['P1']['data'][0] - calibration(alpha=0).p1[0, 0]) > 1


def test_a_file_rectified_with_exchanged_sides_is_named_and_mended(command, tmp_path):
    stored, out = tmp_path / 'lying.json', tmp_path / 'out.json'
    write_stereo_calibration(stored, calibration().rectified_for(scenes.SIZE[::-1], -1))
    code, told, _ = command('show', stored)
    assert code == 0 and 'exchanged height and width' in told
    # The file says alpha -1 already, and still it is computed anew.
    command('convert', stored, out, '--alpha', '-1')
    assert 'exchanged' not in command('show', out)[1]
    mended = json.loads(out.read_text())['P1']['data']
    np.testing.assert_allclose(mended, calibration(alpha=-1).p1.ravel())


def test_sizes_that_a_file_does_not_say_are_asked_for(command, stereo, tmp_path):
    tree = json.loads(stereo.read_text())
    del tree['image_size']
    stereo.write_text(json.dumps(tree))
    code, _, told = command('show', stereo)
    assert code == 1 and 'does not say the size' in told
    assert command('show', stereo, '--size', '320x256')[0] == 0
    code, _, told = command('show', stereo, '--size', '320')
    assert code == 2 and 'expected width x height' in told


@pytest.mark.parametrize(
    ('target', 'reason'),
    [
        ('stereo.toml', 'no place for a calibration'),
        ('a.yaml,b.txt', 'no place for a calibration'),
        ('a.yaml,a.yaml', 'no place for a calibration'),
        ('a.json,b.json', 'no place for a calibration'),
        ('a.yaml,b.yaml,c.yaml', 'names no calibration'),
    ],
)
def test_targets_that_cannot_be_are_wrong_use(
    command, stereo, tmp_path, monkeypatch, target, reason
):
    monkeypatch.chdir(tmp_path)
    code, _, told = command('convert', stereo, target)
    assert code == 2 and reason in told
    assert [entry.name for entry in tmp_path.iterdir()] == ['stereo_calib.json']


def test_an_alpha_that_cannot_be_is_wrong_use(command, stereo, tmp_path):
    code, _, told = command('convert', stereo, tmp_path / 'a.yaml', '--alpha', '7')
    assert code == 2 and '--alpha is 7' in told and not (tmp_path / 'a.yaml').exists()


def test_check_accepts_a_good_rig_and_measures_its_rows(command, stereo, textured):
    code, told, _ = command('check', stereo, '--pairs', *textured)
    assert code == 0, told
    assert 'gate: accepted, 320x256 px, baseline 5.20 mm' in told
    offset = float(told.split('left.png: rows ')[1].split(' px')[0])
    assert abs(offset) < 0.2
    assert 'in 1 of 1 pairs' in told


def test_check_pairs_two_folders_by_name_and_never_by_order(command, stereo, textured, tmp_path):
    for side, picture, numbers in zip(('left', 'right'), textured, ((1, 2), (2, 3)), strict=True):
        for number in numbers:
            write_image(tmp_path / side / f'{number}.png', read_rgb(picture))
    code, told, warned = command('check', stereo, '--pairs', tmp_path / 'left', tmp_path / 'right')
    assert code == 0 and 'in 1 of 1 pairs' in told
    assert '1.png has no partner' in warned and '3.png has no partner' in warned


def test_check_refuses_what_the_gate_refuses(command, tmp_path):
    path = tmp_path / 's.json'
    write_stereo_calibration(path, calibration(t_mm=-scenes.T_MM))
    code, _, told = command('check', path)
    assert code == 1 and 'left and right are swapped' in told


def test_check_notices_a_calibration_of_another_rig(command, textured, tmp_path):
    # Half a degree about x moves rows by 262 * 0.0087 = 2.3 px.
    path = tmp_path / 's.json'
    write_stereo_calibration(path, calibration(r=scenes.turn(0.5, 0, 0) @ scenes.R))
    code, told, failed = command('check', path, '--pairs', *textured)
    assert code == 1
    offset = float(told.split('left.png: rows ')[1].split(' px')[0])
    assert abs(offset) == pytest.approx(2.3, abs=0.3)
    assert '1.5 px are allowed: the calibration does not fit' in failed
    assert command('check', path, '--pairs', *textured, '--max-offset-px', '3')[0] == 0


def test_check_notices_a_turn_about_the_axis_that_leaves_the_median_alone(
    command, textured, tmp_path
):
    path = tmp_path / 's.json'
    write_stereo_calibration(path, calibration(r=scenes.turn(0, 0, 3) @ scenes.R))
    code, _, failed = command('check', path, '--pairs', *textured, '--max-offset-px', '50')
    assert code == 1
    assert 'off its row, 4 px are allowed' in failed


def test_check_does_not_pass_what_it_could_not_measure(command, stereo, tmp_path):
    for name in ('l.png', 'r.png'):
        write_image(tmp_path / name, np.full((256, 320, 3), 90, np.uint8))
    code, told, failed = command(
        'check', stereo, '--pairs', tmp_path / 'l.png', tmp_path / 'r.png'
    )
    assert code == 1
    assert 'not measured' in told and 'could not be measured in any of 1 pairs' in failed


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        (('--unit', 'inch'), "--unit is 'inch'"),
        (('--max-offset-px', '0'), 'expected a positive number'),
    ],
)
def test_wrong_use_of_check_is_told(command, stereo, options, reason):
    code, _, told = command('check', stereo, *options)
    assert code == 2 and reason in told


def test_pictures_of_another_size_are_refused(command, stereo, tmp_path):
    for name in ('l.png', 'r.png'):
        write_image(tmp_path / name, np.full((128, 160, 3), 90, np.uint8))
    code, _, told = command('check', stereo, '--pairs', tmp_path / 'l.png', tmp_path / 'r.png')
    assert code == 1 and 'but the pictures are 160x128 px' in told
