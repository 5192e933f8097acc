"""`msdesis calibrate` on pictures of a known rig, and every command of the page about it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from msdesis_ros.cli.app import app
from msdesis_ros.cli.calibrate import OUTPUT_FILES
from msdesis_ros.core.camera_points import rectified_points
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.images import read_rgb, write_image

sys.path.append(str(Path(__file__).parents[1]))
import board_scenes as scenes
from shown_commands import run_shown, shown_commands

BOARD = ('--checkerboard', '8x5', '--square-mm', '3')
FEW = (0, 1, 2, 3, 5, 6)


def write_pictures(folder: Path, numbers=range(10), pictures=None) -> Path:
    for number in numbers:
        views = (pictures or scenes.checkerboard_pictures())[number]
        for side, view in zip(('left', 'right'), views, strict=True):
            write_image(folder / side / f'{number:02d}.png', view)
    return folder


@pytest.fixture(scope='module')
def calibrated(tmp_path_factory):
    """The result of one run on all pictures: its folder and what it said."""
    folder = write_pictures(tmp_path_factory.mktemp('rig') / 'pictures')
    out = folder.parent / 'out'
    arguments = ['calibrate', str(folder / 'left'), str(folder / 'right'), *BOARD]
    done = CliRunner().invoke(app, [*arguments, '--out', str(out)])
    assert done.exit_code == 0, done.output
    return out, done.output


@pytest.fixture
def calibrate(run_command):
    return run_command('calibrate')


def test_the_rig_is_found_within_what_its_pictures_tell(calibrated):
    out, _ = calibrated
    left, right = read_calibration(out / 'stereo_calib.json')
    rig = StereoRig.from_cameras(left, right)
    assert rig.image_size == scenes.SIZE
    assert rig.baseline_m * 1e3 == pytest.approx(np.linalg.norm(scenes.T_MM), abs=0.05)
    for camera, k in ((left, scenes.K1), (right, scenes.K2)):
        np.testing.assert_allclose(camera.camera_matrix, k, atol=2.0)
    # Points in the space where the board was are on one row, and at their depth.
    points = np.array([[x, y, z] for x in (-9, 0, 9) for y in (-6, 0, 6) for z in (45, 60.0)])
    in_left = rectified_points(scenes.project(points, scenes.K1, scenes.D1), left)
    seen_right = scenes.project(points @ scenes.R.T + scenes.T_MM, scenes.K2, scenes.D2)
    in_right = rectified_points(seen_right, right)
    assert np.abs(in_left[:, 1] - in_right[:, 1]).max() < 0.1
    depth_mm = 1e3 * rig.baseline_m * left.projection[0, 0] / (in_left - in_right)[:, 0]
    true_mm = (points @ left.rectification.T)[:, 2]
    np.testing.assert_allclose(depth_mm, true_mm, rtol=0.01)


def test_both_formats_hold_the_same_cameras(calibrated):
    out, _ = calibrated
    one = read_calibration(out / 'stereo_calib.json')
    two = read_calibration(f'{out / "left.yaml"},{out / "right.yaml"}')
    for ours, theirs in zip(one, two, strict=True):
        np.testing.assert_allclose(theirs.projection, ours.projection, rtol=1e-12)
        np.testing.assert_array_equal(theirs.camera_matrix, ours.camera_matrix)


def test_the_report_says_how_well_every_picture_fits(calibrated):
    out, told = calibrated
    report = json.loads((out / 'report.json').read_text())
    assert report['image_size'] == list(scenes.SIZE)
    assert report['error_px'] < 0.12 and report['epipolar_px'] < 0.12
    assert [picture['name'] for picture in report['pictures']] == [
        f'{n:02d}.png' for n in range(10)
    ]
    for picture in report['pictures']:
        assert picture['state'] == 'used' and picture['corners'] == 40
        assert 0 < picture['epipolar_px'] <= picture['epipolar_max_px'] < 0.5
        assert 0 < picture['left_px'] < 0.2 and 0 < picture['right_px'] < 0.2
    focal = report['left']['intrinsics']['fx']
    assert abs(focal['value'] - 262) < 4 * focal['standard_deviation'] + 0.5
    assert report['left']['intrinsics']['k3'] == {'value': 0, 'standard_deviation': None}
    assert report['outliers'] == []
    assert 0.3 < report['left']['coverage'] < 0.4
    assert any('the board covers 3' in sentence for sentence in report['warnings'])
    assert '10 pairs: reprojection' in told and 'warning: the board covers' in told


def test_the_check_picture_shows_the_pair_that_fits_worst(calibrated):
    out, _ = calibrated
    sheet = read_rgb(out / 'rectification.png')
    assert sheet.shape[1] == 1280
    views = sheet[-512:]
    green = (views[..., 1] > 200) & (views[..., 0] < 100) & (views[..., 2] < 100)
    # The crosses of both eyes lie on the same rows of the sheet.
    rows = [np.nonzero(half)[0] for half in (green[:, :640], green[:, 640:])]
    assert len(rows[0]) > 100
    assert rows[0].min() == pytest.approx(rows[1].min(), abs=1)
    assert rows[0].max() == pytest.approx(rows[1].max(), abs=1)


def test_a_pair_of_two_moments_is_named_and_may_be_left_out(calibrate, tmp_path):
    folder = write_pictures(tmp_path / 'p', FEW)
    other = scenes.Pose((-8.2, -6, 50), (0, 28, 5))  # the pose of 01, moved by 0.8 mm
    printed = scenes.checkerboard(8, 5, 3.0)
    write_image(folder / 'right' / '01.png', scenes.picture(printed, other, 'right'))
    code, told, warned = calibrate(folder, *BOARD, '--out', tmp_path / 'o', '--leave-out-outliers')
    report = json.loads((tmp_path / 'o' / 'report.json').read_text())
    assert code == 0
    assert 'warning: picture 01.png stands out and was left out' in warned
    assert (report['left_out'], report['pairs_used']) == (['01.png'], len(FEW) - 1)
    assert report['error_px'] < 0.12
    assert 'left out' in told


def test_a_picture_of_one_eye_serves_that_eye(calibrate, tmp_path):
    folder = write_pictures(tmp_path / 'p', FEW[:5])
    (folder / 'right' / '02.png').unlink()
    write_image(folder / 'left' / '03.png', np.full((256, 320, 3), 90, np.uint8))
    code, _, _ = calibrate(folder, *BOARD, '--out', tmp_path / 'o')
    report = json.loads((tmp_path / 'o' / 'report.json').read_text())
    assert code == 0
    states = [picture['state'] for picture in report['pictures']]
    assert states == ['used', 'used', 'left_only', 'right_only', 'used']
    assert report['pictures'][2]['right_px'] is None
    assert (report['left']['views'], report['right']['views']) == (4, 4)


def test_exchanged_folders_are_refused_and_leave_nothing_behind(calibrate, tmp_path):
    folder = write_pictures(tmp_path / 'p', FEW[:3])
    for name in OUTPUT_FILES:
        (tmp_path / name).write_text('of an earlier run')
    code, _, told = calibrate(folder / 'right', folder / 'left', *BOARD, '--out', tmp_path)
    assert code == 1
    assert 'left and right are swapped' in told
    assert not [name for name in OUTPUT_FILES if (tmp_path / name).exists()]


def test_another_board_than_the_one_in_the_pictures_is_an_error(calibrate, tmp_path):
    small = scenes.checkerboard_pictures()[0][0][96:160, 100:180]
    folder = write_pictures(tmp_path / 'p', (0, 1), [(small, small)] * 2)
    code, _, told = calibrate(folder, *BOARD, '--out', tmp_path / 'o')
    assert code == 1
    assert 'left camera has 0 usable views of the board' in told


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        (('x', '--square-mm', '3'), 'give one of --checkerboard and --charuco'),
        (('x', '--charuco', '7x5', *BOARD), 'give one of --checkerboard and --charuco'),
        (('x', '--charuco', '7x5', '--square-mm', '3'), 'needs --marker-mm'),
        (('x', '--checkerboard', '8', '--square-mm', '3'), 'expected across x down'),
        (('x', '--checkerboard', '8x5', '--square-mm', '-3'), 'expected a positive length'),
        (BOARD, 'give the folders'),
        (('x', '--recording', 'y.mcap', *BOARD), 'not both'),
        (('--recording', 'y.mcap', '--every-s', '-1', *BOARD), '--every-s is -1'),
        (('--recording', 'y.mcap', '--every-s', 'inf', *BOARD), '--every-s is inf'),
        (('--recording', 'y.mcap', '--max-pairs', '2', *BOARD), '--max-pairs is 2'),
        (('x', '--distortion', 'barrel', *BOARD), "'barrel' is unknown"),
        (('x', '--alpha', '2', *BOARD), '--alpha is 2'),
        (('nothing_here', *BOARD), 'nothing_here does not exist'),
    ],
)
def test_wrong_use_is_told_with_exit_code_2_and_costs_no_results(
    calibrate, tmp_path, options, reason
):
    for name in OUTPUT_FILES:
        (tmp_path / name).write_text('of an earlier run')
    code, _, told = calibrate(*options, '--out', tmp_path)
    assert code == 2
    assert reason in told
    assert all((tmp_path / name).exists() for name in OUTPUT_FILES)


def record(path: Path, numbers, repeats: int = 2, pictures=None) -> Path:
    """A recording in which the board rests `repeats` pictures at each pose, at 10 Hz."""
    pytest.importorskip('sensor_msgs', reason='the ROS messages are not installed')
    from sensor_msgs.msg import Image

    from msdesis_ros.data.mcap_files import McapRecording
    from msdesis_ros.ros.cdr import serialize
    from msdesis_ros.ros.message_definition import message_definition, type_name
    from msdesis_ros.ros.messages import image_message, make_header

    with McapRecording(path) as recording:
        for side in ('left', 'right'):
            recording.add_topic(
                f'/rig/{side}/image_raw',
                type_name=type_name(Image),
                definition=message_definition(Image),
            )
        for at, number in enumerate(n for n in numbers for _ in range(repeats)):
            views = (pictures or scenes.checkerboard_pictures())[number]
            for side, view in zip(('left', 'right'), views, strict=True):
                stamp_ns = 1_700_000_000_000_000_000 + at * 100_000_000 + (side == 'right') * 10**6
                header = make_header(stamp_ns=stamp_ns, frame_id=side)
                message = serialize(image_message(view, 'rgb8', header))
                recording.write(
                    f'/rig/{side}/image_raw',
                    message,
                    log_time_ns=stamp_ns,
                    publish_time_ns=stamp_ns,
                )
    return path


def test_a_recording_gives_each_place_of_the_board_once(calibrate, tmp_path):
    path = record(tmp_path / 'board.mcap', FEW[:3])
    options = ('--every-s', '0', '--out', tmp_path / 'o')
    code, told, _ = calibrate('--recording', path, *BOARD, *options)
    assert code == 0
    assert '3 of 6 pairs' in told
    kept = sorted(entry.name for entry in (tmp_path / 'o' / 'pictures' / 'left').iterdir())
    assert kept == ['000000.png', '000002.png', '000004.png']
    report = json.loads((tmp_path / 'o' / 'report.json').read_text())
    assert [picture['name'] for picture in report['pictures']] == kept
    # The pictures that were kept say the same again.
    code, _, _ = calibrate(tmp_path / 'o' / 'pictures', *BOARD, '--out', tmp_path / 'again')
    again = json.loads((tmp_path / 'again' / 'report.json').read_text())
    assert code == 0 and again['error_px'] == pytest.approx(report['error_px'])


def test_pictures_that_no_recording_filled_in_are_kept(calibrate, tmp_path):
    path = record(tmp_path / 'board.mcap', FEW[:3])
    folder = write_pictures(tmp_path / 'pictures', FEW[:3])
    before = {entry: entry.read_bytes() for entry in folder.rglob('*.png')}
    options = ('--recording', path, *BOARD, '--every-s', '0')
    code, _, told = calibrate(*options, '--out', tmp_path)
    assert code == 2 and 'choose another --out' in told
    assert {entry: entry.read_bytes() for entry in folder.rglob('*.png')} == before
    for _ in range(2):  # its own pictures it replaces
        code, _, told = calibrate(*options, '--out', tmp_path / 'o')
        assert code == 0, told


def test_a_recording_without_the_board_is_an_error(calibrate, tmp_path):
    blank = np.full((64, 80, 3), 90, np.uint8)
    path = record(tmp_path / 'board.mcap', (0,), repeats=3, pictures=[(blank, blank)])
    options = ('--recording', path, '--every-s', '0.15', '--out', tmp_path / 'o')
    code, _, told = calibrate(*options, *BOARD)
    assert code == 1
    assert 'none of 2 pairs' in told and 'checkerboard of 8x5' in told


def test_every_command_of_the_page_works(tmp_path, monkeypatch, project_root):
    commands = shown_commands(project_root / 'docs' / 'calibration.md')
    assert len(commands) == 7
    monkeypatch.chdir(tmp_path)
    write_pictures(Path('pictures'), FEW[:4])
    poses = [scenes.Pose((0, 0, 40), turned) for turned in ((25, 0, 0), (0, 28, 5), (-20, -15, 9))]
    poses = [*poses, scenes.Pose((3, 2, 44), (10, -25, 0))]
    printed = scenes.charuco(7, 5, 4.0, 3.0, legacy=False)
    write_pictures(Path('charuco'), range(4), scenes.pictures(printed, poses))
    recorded = importlib.util.find_spec('sensor_msgs') is not None
    if recorded:
        record(Path('board.mcap'), FEW[:3], repeats=6)
    for arguments in commands:
        if '--recording' in arguments and not recorded:
            continue
        run_shown(arguments)
    for folder in ('calibration', 'charuco', *(['recorded'] if recorded else [])):
        for name in OUTPUT_FILES:
            assert (Path('out') / folder / name).stat().st_size > 0
    left, right = read_calibration('stereo.yaml')
    assert StereoRig.from_cameras(left, right).baseline_m == pytest.approx(0.0052, abs=2e-4)
