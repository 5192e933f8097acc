"""`msdesis reconstruct` as a user calls it, on tiny walls of known depth."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.cli import reconstruct_view
from msdesis_ros.data.cloud_view import renderer as renderer_module
from msdesis_ros.data.cloud_view import viewer as viewer_module
from msdesis_ros.data.images import write_image
from msdesis_ros.data.ply import read_ply

sys.path.append(str(Path(__file__).parents[1]))

from shown_commands import ROOT, run_shown, shown_commands

SIZE, DISPARITY = (96, 64), 12
# 100 px * 4 mm / 12 px
DEPTH_M = 0.4 / DISPARITY
METRIC = ['--rectified', '--focal-px', 100, '--baseline-mm', 4, '--model', 'opencv_sgbm']
TINY = ['--resolution', '48x40', '--fps', 2, '--period', 2]


@pytest.fixture
def reconstruct(run_command):
    return run_command('reconstruct')


@pytest.fixture
def drawn():
    """Skip where nothing can be drawn."""
    pytest.importorskip('moderngl', reason='needs moderngl')
    pytest.importorskip('av', reason='needs PyAV')
    try:
        renderer_module.CloudRenderer((8, 8)).close()
    except ImportError as error:
        pytest.skip(str(error))


def write_pair(left: Path, right: Path, *, number: int = 1, size=SIZE) -> None:
    """A textured wall whose every pixel has one disparity."""
    width, height = size
    wall = np.random.default_rng(number).integers(0, 255, (height, width + DISPARITY, 3), np.uint8)
    wall = cv2.GaussianBlur(wall, (0, 0), 1.0)
    write_image(left, wall[:, :width])
    write_image(right, wall[:, DISPARITY:])


@pytest.fixture
def pair(tmp_path):
    paths = tmp_path / 'left.png', tmp_path / 'right.png'
    write_pair(*paths)
    return paths


def report_of(out: Path) -> dict:
    return json.loads((out / 'reconstruction.json').read_text())


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if
                  path.is_file())  # fmt: skip


def video_pictures(path: Path) -> list[np.ndarray]:
    import av

    with av.open(str(path)) as video:
        return [frame.to_ndarray(format='rgb24') for frame in video.decode(video=0)]


def test_a_pair_becomes_a_cloud_with_the_tool_in_cyan(reconstruct, pair, tmp_path):
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[20:40, 50:80] = 255
    write_image(tmp_path / 'm.png', mask)
    code, told, err = reconstruct(
        *pair, *METRIC, '--mask', tmp_path / 'm.png', '--out', tmp_path / 'out'
    )
    assert code == 0, err
    cloud = read_ply(tmp_path / 'out' / 'surface.ply')
    assert f'{len(cloud.points_m)} points; wrote surface.ply' in told
    assert len(cloud.points_m) > 0.8 * SIZE[0] * SIZE[1]
    assert np.median(cloud.points_m[:, 2]) == pytest.approx(DEPTH_M, rel=0.01)
    tool = cloud.labels == 1
    assert 0.9 * 600 < tool.sum() <= 600
    # Half cyan: no red above half, no green and blue below.
    assert (cloud.colours[tool, 0] <= 128).all() and (cloud.colours[tool, 1:] >= 127).all()
    about = report_of(tmp_path / 'out')
    assert about['frames'][0]['points'] == len(cloud.points_m) and about['failed'] == {}
    assert about['frames'][0]['model']['name'] == 'opencv_sgbm'
    assert names_in(tmp_path / 'out') == ['reconstruction.json', 'surface.ply']


def test_a_mesh_and_a_video_around_it(reconstruct, pair, tmp_path, drawn):
    out = tmp_path / 'out'
    code, told, err = reconstruct(
        *pair, *METRIC, '--mesh', '--stride', 4, '--video', '--grid', *TINY, '--out', out
    )
    assert code == 0, err
    assert b'element face' in (out / 'surface.ply').read_bytes()[:600]
    pictures = video_pictures(out / 'view.mp4')
    assert len(pictures) == 4 and pictures[0].shape == (40, 48, 3)
    assert np.abs(pictures[0].astype(int) - pictures[2]).mean() > 2, 'the camera stands still'
    assert names_in(out) == ['reconstruction.json', 'surface.ply', 'view.mp4', 'view.png']
    assert report_of(out)['files'] == ['surface.ply', 'view.png', 'view.mp4']
    assert report_of(out)['view']['focus_m'][2] == pytest.approx(DEPTH_M, rel=0.02)
    # Another run leaves nothing of this one.
    code, _, err = reconstruct(*pair, *METRIC, '--format', 'pcd', '--out', out)
    assert code == 0, err
    assert names_in(out) == ['reconstruction.json', 'surface.pcd']


def test_a_result_of_infer_pair_needs_no_model(run_command, reconstruct, pair, tmp_path):
    done = tmp_path / 'done'
    code, _, err = run_command('infer')('pair', *pair, *METRIC, '--out', done)
    assert code == 0, err
    code, _, err = reconstruct(done, '--models-dir', tmp_path / 'none', '--out', done)
    assert code == 0, err
    ours, theirs = (read_ply(done / name) for name in ('surface.ply', 'points.ply'))
    np.testing.assert_array_equal(ours.points_m, theirs.points_m)
    np.testing.assert_array_equal(ours.colours, theirs.colours)
    assert (done / 'report.json').exists(), 'the result itself must stay'


def test_a_sequence_names_what_fails_and_does_the_rest(reconstruct, tmp_path, drawn):
    for number in range(3):
        write_pair(*(tmp_path / side / f'{number}.png' for side in ('left', 'right')),
                   number=number)  # fmt: skip
    (tmp_path / 'right' / '1.png').write_bytes(b'no picture')
    out = tmp_path / 'out'
    code, told, err = reconstruct(
        tmp_path / 'left', tmp_path / 'right', *METRIC, '--stride', 3, '--video', *TINY, '--out',
        out,
    )  # fmt: skip
    assert code == 1 and '1 of 3 frames gave no surface' in err and '1.png' in err
    assert names_in(out) == [
        'reconstruction.json', 'surfaces/0.ply', 'surfaces/2.ply', 'view.mp4', 'view.png',
    ]  # fmt: skip
    assert list(report_of(out)['failed']) == ['1'] and len(video_pictures(out / 'view.mp4')) == 4
    # Fewer frames in a second run: the surfaces of the first are gone, the user's own stay.
    (out / 'surfaces' / 'mine.ply').write_text('mine')
    for side in ('left', 'right'):
        (tmp_path / side / '1.png').unlink()
        (tmp_path / side / '0.png').rename(tmp_path / side / '5.png')
    code, _, err = reconstruct(tmp_path, *METRIC, '--stride', 3, '--format', 'pcd', '--out', out)
    assert code == 0, err
    assert names_in(out) == [
        'reconstruction.json', 'surfaces/2.pcd', 'surfaces/5.pcd', 'surfaces/mine.ply',
    ]  # fmt: skip


def test_a_list_with_its_own_calibration_is_taken(reconstruct, pair, tmp_path):
    (tmp_path / 'list.csv').write_text('left,right\nleft.png,right.png\n')
    code, _, err = reconstruct(tmp_path / 'list.csv', *METRIC, '--out', tmp_path / 'out')
    assert code == 0, err
    assert (tmp_path / 'out' / 'surface.ply').exists()
    (tmp_path / 'list.csv').write_text('left,right\nleft.png\n')
    code, _, err = reconstruct(tmp_path / 'list.csv', *METRIC, '--out', tmp_path / 'out')
    assert code == 2 and 'line 2' in err


def depth_sequence(folder: Path, count: int = 2) -> None:
    """Frames with depth of a wall, taken by a camera that moves 5 mm to the right each time."""
    frames = []
    for number in range(count):
        frame = folder / f'{number:06d}'
        write_image(frame / 'depth.tiff', np.full((24, 32), 0.05, np.float32))
        write_image(frame / 'left.png', np.full((24, 32, 3), 100 + number, np.uint8))
        (frame / 'calibration.json').write_text(stereo_json((32, 24), focal_px=40.0))
        pose = np.eye(4)
        pose[0, 3] = 5.0 * number
        frames.append({'frame': number, 'world_from_left': pose.tolist()})
    (folder / 'poses.json').write_text(json.dumps({'length_unit': 'mm', 'frames': frames}))


def stereo_json(size: tuple[int, int], *, focal_px: float) -> str:
    """An OpenCV calibration of rectified cameras, 4 mm apart."""
    # A tenth of a pixel off, so that no point lies between two voxels.
    k = [[focal_px, 0, size[0] / 2 + 0.1], [0, focal_px, size[1] / 2 + 0.1], [0, 0, 1]]
    return json.dumps(
        {
            'K1': k, 'D1': [[0, 0, 0, 0, 0]], 'K2': k, 'D2': [[0, 0, 0, 0, 0]],
            'R': np.eye(3).tolist(), 'T': [[-4], [0], [0]], 'image_size': list(size),
        }
    )  # fmt: skip


def test_poses_put_all_frames_into_one_world(reconstruct, tmp_path, drawn):
    depth_sequence(tmp_path / 'move')
    out = tmp_path / 'out'
    code, told, err = reconstruct(
        tmp_path / 'move', '--poses', tmp_path / 'move' / 'poses.json', '--video', *TINY, '--out',
        out,
    )  # fmt: skip
    assert code == 0, err
    cloud = read_ply(out / 'world.ply')
    # Columns are 1.25 mm apart, so 5 mm are 4 of them: 36 different ones, 24 rows.
    assert len(cloud.points_m) == 36 * 24
    assert np.ptp(cloud.points_m[:, 0]) == pytest.approx(35 * 0.00125, abs=1e-6)
    assert names_in(out) == ['reconstruction.json', 'view.mp4', 'view.png', 'world.ply']


def test_a_cloud_is_looked_at_and_converted(reconstruct, tmp_path, drawn):
    depth_sequence(tmp_path / 'move', count=1)
    code, _, err = reconstruct(tmp_path / 'move' / '000000', '--out', tmp_path / 'a')
    assert code == 0, err
    cloud = tmp_path / 'a' / 'surface.ply'
    code, _, err = reconstruct(
        cloud, '--format', 'pcd', '--still', *TINY, '--no-endoscope', '--out', tmp_path / 'b'
    )
    assert code == 0, err
    assert names_in(tmp_path / 'b') == ['reconstruction.json', 'surface.pcd', 'view.png']
    assert b'POINTS 768' in (tmp_path / 'b' / 'surface.pcd').read_bytes()
    code, _, err = reconstruct(cloud, '--out', tmp_path / 'a')
    assert code == 2 and 'would be replaced' in err and cloud.exists()
    code, _, err = reconstruct(cloud, '--mesh', '--out', tmp_path / 'c')
    assert code == 2 and 'is a cloud' in err


def test_a_surface_that_the_run_would_remove_is_no_input(reconstruct, tmp_path):
    depth_sequence(tmp_path / 'move')
    code, _, err = reconstruct(tmp_path / 'move', '--out', tmp_path / 'out')
    assert code == 0, err
    surface = tmp_path / 'out' / 'surfaces' / '000001.ply'
    code, _, err = reconstruct(surface, '--out', tmp_path / 'out')
    assert code == 2 and 'would be replaced' in err and surface.exists()


def test_what_a_cloud_cannot_be_made_into_is_wrong_use(reconstruct, tmp_path):
    depth_sequence(tmp_path / 'move', count=1)
    code, _, err = reconstruct(tmp_path / 'move' / '000000', '--out', tmp_path / 'a')
    assert code == 0, err
    cloud = tmp_path / 'a' / 'surface.ply'
    poses = tmp_path / 'move' / 'poses.json'
    for unused, option in (
        ((cloud,), 'RIGHT'),
        (('--without-tool',), '--without-tool'),
        (('--poses', poses), '--poses'),
    ):
        code, _, err = reconstruct(cloud, *unused, '--out', tmp_path / 'b')
        assert code == 2 and f'leave {option} out' in err and not (tmp_path / 'b').exists()


def test_one_mask_is_not_that_of_several_frames(reconstruct, tmp_path):
    depth_sequence(tmp_path / 'move')
    write_image(tmp_path / 'mask.png', np.full((24, 32), 255, np.uint8))
    options = ('--mask', tmp_path / 'mask.png', '--out', tmp_path / 'out')
    code, _, err = reconstruct(tmp_path / 'move', *options)
    assert code == 2 and 'one mask for 2 frames' in err
    code, _, err = reconstruct(tmp_path / 'move' / '000001', *options)
    assert code == 0, err


def test_without_opengl_the_error_comes_before_the_work(reconstruct, pair, tmp_path, monkeypatch):
    moderngl = pytest.importorskip('moderngl', reason='needs moderngl')

    def refuse(**options: object) -> None:
        raise Exception('libEGL.so not loaded')

    monkeypatch.setattr(moderngl, 'create_context', refuse)
    out = tmp_path / 'out'
    code, _, err = reconstruct(*pair, *METRIC, '--video', *TINY, '--out', out)
    assert code == 1 and 'libegl1' in err and 'Traceback' not in err
    assert not out.exists()
    code, _, err = reconstruct(*pair, *METRIC, '--out', out)
    assert code == 0, err


def test_a_failure_leaves_no_half_video(reconstruct, pair, tmp_path, monkeypatch, drawn):
    out = tmp_path / 'out'
    out.mkdir()

    def fail(self, number: int) -> np.ndarray:
        if number == 2:
            raise OSError(28, 'No space left on device')
        return np.zeros((40, 48, 3), np.uint8)

    monkeypatch.setattr(viewer_module.SurfaceViewer, 'picture', fail)
    code, _, err = reconstruct(*pair, *METRIC, '--video', *TINY, '--out', out)
    assert code == 1 and 'No space left' in err
    assert 'view.mp4' not in names_in(out) and 'reconstruction.json' not in names_in(out)
    assert not [name for name in names_in(out) if name.startswith('.')]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--mesh', '--format', 'pcd'], 'points only'),
        (['--resolution', '48'], '--resolution'),
        (['--radius', '0'], 'radius'),
        (['--codec', 'h264', '--video'], '--codec'),
        (['--max-slant', '90'], 'slant'),
        (['--stride', '0'], 'stride'),
        (['--alpha', '2'], '--alpha is 2'),
        (['--picture', 'left.png'], '--picture'),
    ],
)
def test_wrong_use_is_told_before_any_work(
    reconstruct, pair, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    code, _, err = reconstruct(*pair, *METRIC, *arguments, '--out', 'out')
    assert code == 2 and message in err and not (tmp_path / 'out').exists()


def test_inputs_that_are_no_pair_are_named(reconstruct, pair, tmp_path):
    out = ['--out', tmp_path / 'out']
    code, _, err = reconstruct(pair[0], *METRIC, *out)
    assert code == 2 and 'alone is no pair' in err
    code, _, err = reconstruct(pair[0], tmp_path, *METRIC, *out)
    assert code == 2 and 'a folder and a file' in err
    code, _, err = reconstruct(tmp_path / 'nothing.png', pair[1], *METRIC, *out)
    assert code == 2 and 'nothing.png does not exist' in err
    code, _, err = reconstruct(*pair, '--model', 'opencv_sgbm', *out)
    assert code == 2 and '--calibration' in err
    code, _, err = reconstruct(*pair, '--rectified', '--model', 'opencv_sgbm', *out)
    assert code == 2 and 'needs metres' in err
    assert not (tmp_path / 'out' / 'surface.ply').exists()


def test_the_commands_of_the_page_do_what_it_says(tmp_path, monkeypatch, drawn):
    monkeypatch.chdir(tmp_path)
    # The circle in few pictures; everything else is as on the page.
    monkeypatch.setattr(viewer_module.ViewSettings, 'pictures_a_round', 2)
    write_pair(Path('left.png'), Path('right.png'))
    for number in range(2):
        write_pair(*(Path(side) / f'{number}.png' for side in ('left', 'right')), number=number)
    Path('stereo.json').write_text(stereo_json(SIZE, focal_px=100.0))
    depth_sequence(Path('out/move'))
    commands = shown_commands(ROOT / 'docs' / 'reconstruction.md')
    assert len(commands) == 7
    for command in commands:
        run_shown(command)
    for name in (
        'cloud/surface.ply', 'mesh/surface.ply', 'mesh/view.mp4', 'sequence/surfaces/1.ply',
        'sequence/view.mp4', 'pcl/surface.pcd', 'look/view.png', 'world/world.ply',
    ):  # fmt: skip
        assert (Path('out') / name).is_file(), name


def test_the_page_names_every_option_of_the_view_with_its_default():
    text = (ROOT / 'docs' / 'reconstruction.md').read_text()
    settings = viewer_module.ViewSettings()
    assert f'`--radius`, `-r` | {settings.radius_m:g} |' in text
    assert f'`--distance`, `-d` | {settings.distance_m:g} |' in text
    assert f'`--period` | {settings.period_s:g} |' in text
    assert f'512x512, {settings.fps:g}, {reconstruct_view.DEFAULT_CODEC} |' in text
