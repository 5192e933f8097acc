"""SCARED's sequences: every figure compared with the scene's formulas, written out here."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.core.stereo_calibration import StereoCalibration
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.conversion import scared_sequences
from msdesis_ros.data.conversion.records import Outcome, Settings
from msdesis_ros.data.conversion.scared_sequences import convert_sequence
from msdesis_ros.data.conversion.scared_tree import find_key_frames
from msdesis_ros.data.layouts.scared import list_scared_test
from msdesis_ros.data.layouts.survey import examine

sys.path.append(str(Path(__file__).parents[2] / 'miniature'))
import scared_tree
from scared_tree import D1, D2, KeyFrame, T

ALL = Settings(('depth', 'undistort', 'disparity'), -1.0)
USUAL = Settings(('depth', 'disparity'), -1.0)
WIDTH, HEIGHT = scared_tree.SIZE


@pytest.fixture(scope='module')
def tree(tmp_path_factory) -> Path:
    """Set 8 with key frames 0 (three frames, frame 1 sparse) and 4 (no video). Not to change."""
    pytest.importorskip('av', reason='PyAV is not installed')
    root = tmp_path_factory.mktemp('published') / 'SCARED'
    scared_tree.write_scared_tree(root, key_frames=((8, 0), (8, 4)))
    return root


@pytest.fixture
def own_tree(tree, tmp_path) -> Path:
    """A copy of its key frame 0 that a test may break."""
    shutil.copytree(tree / 'dataset_8' / 'keyframe_0', tmp_path / 'own/dataset_8/keyframe_0')
    return tmp_path / 'own'


@pytest.fixture(scope='module')
def converted(tree, tmp_path_factory) -> Path:
    """All products of both key frames. Not to change."""
    out = tmp_path_factory.mktemp('converted')
    outcome = convert(tree, out, ALL)
    assert (outcome.made, outcome.kept, outcome.problems) == (4, 0, [])
    return out


def convert(root: Path, out: Path, settings: Settings = USUAL, **options) -> Outcome:
    outcome = Outcome()
    for key in find_key_frames(root):
        outcome.add(convert_sequence(key, out, settings, **options))
    return outcome


def samples(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def rgb(path: Path) -> np.ndarray:
    return cv2.imread(str(path))[..., ::-1]


def stored_matrices(path: Path) -> dict[str, np.ndarray]:
    tree = json.loads(path.read_text())
    return {
        name: np.reshape(entry['data'], (entry['rows'], entry['cols']))
        for name, entry in tree.items()
        if isinstance(entry, dict)
    }


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {name: content for name, (_, content) in files(folder).items()}


# --- what is written --------------------------------------------------------------------------


def test_a_key_frame_gives_the_published_folders_and_names(converted):
    key = converted / 'dataset_8' / 'keyframe_0'
    products = ['depthmap', 'depthmap_rectified', 'depthmap_undistorted', 'disparity', 'left']
    products += ['left_rectified', 'left_undistorted', 'right_rectified']
    assert sorted(path.name for path in (key / 'data').iterdir()) == products
    for product in products:
        names = sorted(path.name for path in (key / 'data' / product).glob('*.png'))
        assert names == ['000000.png', '000001.png', '000002.png']
    beside = sorted(path.name for path in key.iterdir())
    assert beside == ['conversion_sequence.json', 'data', 'stereo_calib.json', 'valid.csv']


def test_the_reader_of_the_test_sets_takes_what_was_converted(converted):
    survey = examine(list_scared_test(converted), check='content')
    names = ['keyframe_0/000000', 'keyframe_0/000001', 'keyframe_0/000002', 'keyframe_4/000000']
    assert [sample.name for sample in survey.samples] == [f'dataset_8/{name}' for name in names]


def test_the_depth_of_the_original_view_is_the_published_z_times_128(converted):
    for frame in range(3):
        key = KeyFrame(8, 0)
        z = key.point_map(frame)[..., 2].astype(np.float32).astype(np.float64)
        expected = np.where(key.known(frame), np.rint(z * 128), 0)
        found = samples(converted / f'dataset_8/keyframe_0/data/depthmap/{frame:06d}.png')
        assert found.dtype == np.uint16 and np.array_equal(found, expected)


def test_disparity_is_x_left_minus_x_right_of_the_nearest_point_on_each_pixel(converted):
    folder = converted / 'dataset_8' / 'keyframe_0'
    m = stored_matrices(folder / 'stereo_calib.json')
    key = KeyFrame(8, 0)
    nearest: dict[tuple[int, int], tuple[float, float]] = {}
    for point in key.point_map(2)[key.known(2)].astype(np.float32).astype(np.float64):
        x, y, z = m['R1'] @ point
        left = [row @ (x, y, z, 1.0) for row in m['P1']]
        right = [row @ (x, y, z, 1.0) for row in m['P2']]
        u, v = left[0] / left[2], left[1] / left[2]
        cell = (math.floor(v + 0.5), math.floor(u + 0.5))
        disparity = u - right[0] / right[2]
        if cell not in nearest or z < nearest[cell][0]:
            nearest[cell] = (z, disparity)
    depth, disparity = np.zeros((2, HEIGHT, WIDTH))
    for (row, column), (z, d) in nearest.items():
        if 0 <= row < HEIGHT and 0 <= column < WIDTH:
            depth[row, column], disparity[row, column] = z * 128, d * 128
    found = samples(folder / 'data/disparity/000002.png')
    assert np.array_equal(found > 0, disparity > 0)
    assert np.abs(found - disparity).max() <= 0.51
    found = samples(folder / 'data/depthmap_rectified/000002.png')
    assert np.abs(found - depth).max() <= 0.51


def test_disparity_is_that_of_the_scene_itself(converted):
    folder = converted / 'dataset_8' / 'keyframe_0'
    m = stored_matrices(folder / 'stereo_calib.json')
    points = scene_of_rectified_view(KeyFrame(8, 0), m, 'R1', 'P1', 0)
    baseline = np.linalg.norm(T)
    expected = m['P1'][0, 0] * baseline / points[..., 2]
    found = samples(folder / 'data/disparity/000000.png') / 128.0
    error = np.abs(found - expected)[found > 0]
    # A value stands at a whole pixel but belongs to a point up to 0.7 px beside it.
    assert (found > 0).mean() > 0.7
    assert np.median(error) < 0.01 and np.percentile(error, 90) < 0.05


def scene_of_rectified_view(key, m, r: str, p: str, frame: int, *, right: bool = False):
    """Scene points at the pixel centres of a rectified view, in its own frame: H x W x 3."""
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    x, y = (u - m[p][0, 2]) / m[p][0, 0], (v - m[p][1, 2]) / m[p][1, 1]
    rays = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1)
    seen = key.points_seen(rays @ m[r], frame, right=right)
    return (seen @ m[r].T).reshape(HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(('right', 'r', 'p'), [(False, 'R1', 'P1'), (True, 'R2', 'P2')])
def test_rectified_pictures_show_what_the_rectified_cameras_would_see(converted, right, r, p):
    key = KeyFrame(8, 0)
    folder = converted / 'dataset_8' / 'keyframe_0'
    m = stored_matrices(folder / 'stereo_calib.json')
    points = scene_of_rectified_view(key, m, r, p, 2, right=right) @ m[r]
    if right:
        points = (points - T) @ key.turn
    pose = key.pose(2)
    expected = scared_tree.painted((points - pose[:3, 3]) @ pose[:3, :3])
    side = 'right' if right else 'left'
    found = rgb(folder / f'data/{side}_rectified/000002.png')
    inner = (slice(6, -6), slice(8, -8))
    error = np.abs(found.astype(int) - expected)[inner]
    assert np.median(error) <= 2 and np.percentile(error, 95) < 12


def test_undistorted_pictures_and_depths_are_those_of_a_camera_without_a_lens(converted):
    key = KeyFrame(8, 0)
    data = converted / 'dataset_8' / 'keyframe_0' / 'data'
    k = key.cameras[0]
    m = {'R': np.eye(3), 'P': np.hstack([k, np.zeros((3, 1))])}
    points = scene_of_rectified_view(key, m, 'R', 'P', 0)
    error = np.abs(rgb(data / 'left_undistorted/000000.png') - scared_tree.painted(points) * 1.0)
    assert np.median(error[6:-6, 8:-8]) <= 2
    found = samples(data / 'depthmap_undistorted/000000.png') / 128.0
    depth_error = np.abs(found - points[..., 2])[found > 0]
    assert np.median(depth_error) < 0.1 and (found > 0).mean() > 0.7
    assert np.array_equal(rgb(data / 'left/000000.png'), key.picture(0))


# --- calibration ------------------------------------------------------------------------------


def test_the_calibration_is_made_for_width_by_height_and_stored_height_first(converted):
    path = converted / 'dataset_8' / 'keyframe_0' / 'stereo_calib.json'
    m = stored_matrices(path)
    key = KeyFrame(8, 0)
    assert m['image_size'].ravel().tolist() == [HEIGHT, WIDTH]
    assert np.array_equal(m['K1'], key.cameras[0]) and np.array_equal(m['D2'].ravel(), D2)
    assert np.array_equal(m['R'], key.turn) and np.array_equal(m['T'].ravel(), T)
    read_calibration(path, image_size=(WIDTH, HEIGHT))
    centre = corners_in_the_middle(key, m)
    # OpenCV centres the four corners of both pictures on the rectified one.
    assert centre == pytest.approx([(WIDTH - 1) / 2, (HEIGHT - 1) / 2], abs=0.02)
    swapped = StereoCalibration.from_pose(
        image_size=(HEIGHT, WIDTH),
        k1=key.cameras[0],
        d1=D1,
        k2=key.cameras[1],
        d2=D2,
        r=key.turn,
        t_mm=T,
    )
    assert np.abs(swapped.p1 - m['P1'])[:2, 2].min() > 0.4


def corners_in_the_middle(key: KeyFrame, m: dict[str, np.ndarray]) -> np.ndarray:
    """Mean place of the corners of both pictures in the rectified views."""
    u, v = np.array([[0, 0], [WIDTH - 1, 0], [0, HEIGHT - 1], [WIDTH - 1, HEIGHT - 1]]).T
    means = []
    for k, d, r, p in ((key.cameras[0], D1, 'R1', 'P1'), (key.cameras[1], D2, 'R2', 'P2')):
        x, y = scared_tree.undistorted((u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1], d)
        turned = np.stack([x, y, np.ones(4)], axis=1) @ m[r].T
        seen = turned @ m[p][:, :3].T
        means.append((seen[:, :2] / seen[:, 2:]).mean(axis=0))
    return np.mean(means, axis=0)


def test_a_rectification_in_the_published_file_is_made_anew_for_the_alpha_asked_for(
    own_tree, tmp_path, converted
):
    key = KeyFrame(8, 0)
    with_alpha_1 = StereoCalibration.from_pose(
        image_size=(WIDTH, HEIGHT),
        k1=key.cameras[0],
        d1=D1,
        k2=key.cameras[1],
        d2=D2,
        r=key.turn,
        t_mm=T,
        alpha=1.0,
    )
    wanted = stored_matrices(converted / 'dataset_8' / 'keyframe_0' / 'stereo_calib.json')['P1']
    assert abs(with_alpha_1.p1[0, 0] - wanted[0, 0]) > 1
    from msdesis_ros.data.calibration_writer import write_stereo_calibration

    write_stereo_calibration(
        own_tree / 'dataset_8/keyframe_0/endoscope_calibration.yaml', with_alpha_1
    )
    convert(own_tree, tmp_path / 'out')
    made = tmp_path / 'out' / 'dataset_8' / 'keyframe_0' / 'stereo_calib.json'
    assert np.allclose(stored_matrices(made)['P1'], wanted, atol=1e-9)
    assert json.loads(made.read_text())['rect_alpha'] == -1


def test_results_of_another_alpha_or_other_cameras_are_not_mixed_with_the_new_ones(
    own_tree, tmp_path
):
    out = tmp_path / 'out'
    convert(own_tree, out)
    with pytest.raises(UsageError, match='rectified with alpha -1, not 0'):
        convert(own_tree, out, Settings(('disparity',), 0.0))
    text = scared_tree.calibration_text(KeyFrame(8, 0, size=(68, 48)))
    (own_tree / 'dataset_8/keyframe_0/endoscope_calibration.yaml').write_text(text)
    with pytest.raises(UsageError, match='calibration of other cameras'):
        convert(own_tree, out)


# --- coverage, sizes, scale -------------------------------------------------------------------


def test_valid_csv_lists_the_frames_with_a_tenth_of_truth_and_lies_in_the_output(
    tree, converted, tmp_path
):
    key = KeyFrame(8, 0)
    assert [bool(key.known(frame).mean() >= 0.1) for frame in range(3)] == [True, False, True]
    assert (converted / 'dataset_8/keyframe_0/valid.csv').read_text() == '0\n2\n'
    assert (converted / 'dataset_8/keyframe_4/valid.csv').read_text() == '0\n'
    before = files(tree)
    convert(tree, tmp_path / 'out')
    assert files(tree) == before


def test_a_key_frame_without_a_video_counts_as_one_frame(tree, converted, tmp_path):
    data = converted / 'dataset_8' / 'keyframe_4' / 'data'
    assert [path.name for path in data.glob('disparity/*.png')] == ['000000.png']
    assert np.array_equal(rgb(data / 'left/000000.png'), KeyFrame(8, 4).picture(0))
    outcome = convert(tree / 'dataset_8' / 'keyframe_4', tmp_path / 'out')
    assert outcome.made == 1 and not outcome.problems
    assert outcome.notes == ['dataset_8/keyframe_4 has no video: its key frame is all']


def test_the_left_view_is_found_whatever_the_size_of_the_pictures(tmp_path):
    pytest.importorskip('av', reason='PyAV is not installed')
    size = (80, 72)
    scared_tree.write_scared_tree(
        tmp_path / 'tree', key_frames=((9, 1),), size=size, frames=1, sparse=()
    )
    convert(tmp_path / 'tree', tmp_path / 'out')
    found = samples(tmp_path / 'out/dataset_9/keyframe_1/data/depthmap/000000.png')
    key = KeyFrame(9, 1, size, 1, frozenset())
    expected = np.where(key.known(0), key.point_map(0)[..., 2] * 128, 0)
    assert found.shape == (72, 80) and np.abs(found - expected).max() <= 0.51


def test_the_scale_factor_is_stored_beside_the_results_and_128_if_none_is_given(
    own_tree, tmp_path, converted
):
    folder = converted / 'dataset_8' / 'keyframe_0'
    assert json.loads((folder / 'conversion_sequence.json').read_text())['scale_factor'] == 128
    about = json.loads((folder / 'data/disparity/values.json').read_text())
    assert about == {'quantity': 'disparity_px', 'scale': 128}
    convert(own_tree, tmp_path / 'out', Settings(('depth', 'disparity'), -1.0, 50.0))
    folder = tmp_path / 'out' / 'dataset_8' / 'keyframe_0'
    about = json.loads((folder / 'data/depthmap/values.json').read_text())
    assert about == {'quantity': 'depth_mm', 'scale': 50}
    z = KeyFrame(8, 0).point_map(0)[0, 0, 2]
    assert abs(samples(folder / 'data/depthmap/000000.png')[0, 0] - 50 * z) <= 0.51
    with pytest.raises(UsageError, match='scale_factor 50.0, not 128.0'):
        convert(own_tree, tmp_path / 'out')


def test_a_depth_above_16_bits_is_stored_as_unknown_and_told_though_others_are_nan(
    own_tree, tmp_path
):
    scale = 1100.0  # 59.6 mm is the last depth that fits
    outcome = convert(own_tree, tmp_path / 'out', Settings(('depth',), -1.0, scale))
    key = KeyFrame(8, 0)
    z = key.point_map(0)[..., 2]
    fits = np.rint(z * scale) <= 65535
    assert 200 < (~fits & key.known(0)).sum() < 2500
    found = samples(tmp_path / 'out/dataset_8/keyframe_0/data/depthmap/000000.png')
    # The release wrapped them around: 60 mm came back as 0.4 mm.
    assert np.array_equal(found > 0, fits & key.known(0))
    assert any(
        f'{(~fits & key.known(0)).sum()} values above 59.577' in note for note in outcome.notes
    )


# --- going on ---------------------------------------------------------------------------------


def test_a_run_that_was_ended_goes_on_and_leaves_what_a_whole_one_does(own_tree, tmp_path):
    convert(own_tree, tmp_path / 'whole')
    told: list[int] = []

    def end_at_the_fifth(name: str, frame: int) -> None:
        told.append(frame)
        if len(told) == 5:  # three truths, one frame's pictures, and then
            raise KeyboardInterrupt

    out = tmp_path / 'out'
    with pytest.raises(KeyboardInterrupt):
        convert(own_tree, out, tell=end_at_the_fifth)
    first = files(out)
    assert json.loads((out / 'dataset_8/keyframe_0/conversion_sequence.json').read_text()) == {
        **json.loads(
            (tmp_path / 'whole/dataset_8/keyframe_0/conversion_sequence.json').read_text()
        ),
        'frames': [],
        'complete': False,
    }
    outcome = convert(own_tree, out)
    assert contents(out) == contents(tmp_path / 'whole')
    assert (outcome.made, outcome.kept) == (2, 1)
    pictures = {name: stamp for name, stamp in first.items() if name.endswith('.png')}
    assert len(pictures) == 9 + 3
    assert {name: files(out)[name] for name in pictures} == pictures


def test_a_finished_key_frame_is_left_as_it_is_and_a_lost_file_is_made_again(own_tree, tmp_path):
    out = tmp_path / 'out'
    convert(own_tree, out)
    before = files(out)
    outcome = convert(own_tree, out)
    assert files(out) == before and (outcome.made, outcome.kept) == (0, 3)
    lost = out / 'dataset_8/keyframe_0/data/disparity/000001.png'
    lost.unlink()
    outcome = convert(own_tree, out)
    assert contents(out) == {name: content for name, (_, content) in before.items()}
    assert (outcome.made, outcome.kept) == (1, 2)


def test_overwrite_makes_everything_again_with_the_new_settings(own_tree, tmp_path):
    out = tmp_path / 'out'
    convert(own_tree, out)
    outcome = convert(own_tree, out, Settings(('depth', 'disparity'), 0.0, 64.0), overwrite=True)
    convert(own_tree, tmp_path / 'anew', Settings(('depth', 'disparity'), 0.0, 64.0))
    assert outcome.made == 3 and contents(out) == contents(tmp_path / 'anew')


def test_an_overwriting_run_that_was_ended_leaves_no_mixture(own_tree, tmp_path):
    out = tmp_path / 'out'
    convert(own_tree, out, ALL)
    told = []

    def end_at_the_second(name: str, frame: int) -> None:
        told.append(frame)
        if len(told) == 2:
            raise KeyboardInterrupt

    coarse = Settings(('depth', 'disparity'), -1.0, 64.0)
    with pytest.raises(KeyboardInterrupt):
        convert(own_tree, out, coarse, overwrite=True, tell=end_at_the_second)
    assert len(list(out.rglob('*.png'))) == 3
    convert(own_tree, out, coarse)
    convert(own_tree, tmp_path / 'anew', coarse)
    pictures = {name: data for name, data in contents(out).items() if name.endswith('.png')}
    anew = contents(tmp_path / 'anew')
    assert pictures == {name: data for name, data in anew.items() if name.endswith('.png')}


def test_sequences_and_moved_clouds_in_one_folder_keep_one_calibration(own_tree, tmp_path):
    pytest.importorskip('trimesh', reason='trimesh is not installed')
    out = tmp_path / 'out'
    convert(own_tree, out)
    convert(own_tree, out, from_poses=True)
    zoomed = Settings(('depth', 'disparity'), 0.0)
    with pytest.raises(UsageError, match='rectified with alpha -1, not 0'):
        convert(own_tree, out, zoomed, overwrite=True)
    assert len(list(out.rglob('disparity/*.png'))) == 6


def test_results_that_no_record_tells_of_are_not_taken_for_ones_own(own_tree, tmp_path):
    out = tmp_path / 'out'
    convert(own_tree / 'dataset_8/keyframe_0', out)
    (record,) = out.rglob('conversion_sequence.json')
    record.unlink()
    with pytest.raises(UsageError, match=r'no conversion_sequence\.json'):
        convert(own_tree / 'dataset_8/keyframe_0', out)
    assert not record.exists()
    assert convert(own_tree / 'dataset_8/keyframe_0', out, overwrite=True).made > 0


def test_results_never_go_into_the_published_data(own_tree):
    before = files(own_tree)
    with pytest.raises(UsageError, match='the published data'):
        convert(own_tree, own_tree)
    with pytest.raises(UsageError, match='the published data'):
        convert(own_tree / 'dataset_8' / 'keyframe_0', own_tree)
    assert files(own_tree) == before


# --- broken pieces ----------------------------------------------------------------------------


def test_a_cut_archive_gives_its_frames_and_the_rest_follows_with_the_whole_one(
    own_tree, tmp_path
):
    archive = own_tree / 'dataset_8' / 'keyframe_0' / 'data' / 'scene_points.tar.gz'
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) * 3 // 4])
    out = tmp_path / 'out'
    outcome = convert(own_tree, out)
    assert len(outcome.problems) == 1 and 'scene_points.tar.gz cannot be' in outcome.problems[0]
    data = out / 'dataset_8' / 'keyframe_0' / 'data'
    assert sorted(path.stem for path in data.glob('*/*.png'))[::6] == ['000000', '000001']
    with pytest.raises(FileFormatError, match=r'scene_points\.tar\.gz cannot be'):
        convert(own_tree, tmp_path / 'strict', strict=True)
    archive.write_bytes(whole)
    outcome = convert(own_tree, out)
    assert (outcome.made, outcome.kept, outcome.problems) == (1, 2, [])
    convert(own_tree, tmp_path / 'whole')
    assert contents(out) == contents(tmp_path / 'whole')


def test_a_frame_without_a_picture_is_named_and_leaves_no_file(own_tree, tmp_path):
    key = KeyFrame(8, 0)
    pictures = [
        np.concatenate([key.picture(frame), key.picture(frame, right=True)]) for frame in (0, 1)
    ]
    scared_tree.write_video(own_tree / 'dataset_8/keyframe_0/data/rgb.mp4', pictures)
    outcome = convert(own_tree, tmp_path / 'out')
    assert len(outcome.problems) == 1
    assert 'rgb.mp4 has no picture for frame 2: left out' in outcome.problems[0]
    assert list((tmp_path / 'out').rglob('000002.png')) == []
    assert (tmp_path / 'out/dataset_8/keyframe_0/valid.csv').read_text() == '0\n'


def test_a_picture_that_the_decoder_had_to_patch_is_left_out(own_tree, tmp_path, monkeypatch):
    class Patched(scared_sequences.VideoPairs):
        def __iter__(self):
            for number, pair in enumerate(super().__iter__()):
                yield pair._replace(damaged=number == 1)

    monkeypatch.setattr(scared_sequences, 'VideoPairs', Patched)
    outcome = convert(own_tree, tmp_path / 'out')
    assert 'rgb.mp4: the decoder could not read all of picture 1' in outcome.problems[0]
    made = {path.name for path in (tmp_path / 'out').rglob('*.png')}
    assert made == {'000000.png', '000002.png'}


def test_a_broken_frame_of_the_archive_is_named_and_the_others_are_made(own_tree, tmp_path):
    key = KeyFrame(8, 0)
    wrong_size = np.ones((50, 64, 3))
    stacked = np.concatenate([key.point_map(2), key.point_map(2, right=True)])
    members = {
        'scene_points000000.tiff': b'II*\0 no picture',
        'scene_points000002.tiff': scared_tree.tiff(stacked),
        'scene_points000001.tiff': scared_tree.tiff(wrong_size),
    }
    archive = own_tree / 'dataset_8/keyframe_0/data/scene_points.tar.gz'
    scared_tree.write_tar(archive, members)
    outcome = convert(own_tree, tmp_path / 'out')
    assert 'scene_points000000.tiff (15 bytes) is not a whole TIFF' in outcome.problems[0]
    assert 'scene_points000001.tiff is 64x50; the pictures are 64x48' in outcome.problems[1]
    made = sorted(path.name for path in (tmp_path / 'out').rglob('*.png'))
    assert made == ['000002.png'] * 6


@pytest.mark.parametrize(
    ('lost', 'reason'),
    [
        ('endoscope_calibration.yaml', 'endoscope_calibration.yaml'),
        ('data/scene_points.tar.gz', 'scene_points.tar.gz is missing'),
    ],
)
def test_a_missing_piece_is_named_and_the_other_key_frames_are_made(tree, tmp_path, lost, reason):
    root = tmp_path / 'tree'
    shutil.copytree(tree, root)
    (root / 'dataset_8' / 'keyframe_0' / lost).unlink()
    outcome = convert(root, tmp_path / 'out')
    assert outcome.made == 1 and len(outcome.problems) == 1
    assert reason in outcome.problems[0] and 'keyframe_0' in outcome.problems[0]
    assert len(list((tmp_path / 'out').rglob('*.png'))) == 6
    with pytest.raises(FileFormatError, match=lost):
        convert(root, tmp_path / 'strict', strict=True)


# --- clouds moved by poses --------------------------------------------------------------------


def test_a_cloud_moved_by_poses_gives_the_depth_of_the_distorted_view(tree, tmp_path):
    pytest.importorskip('trimesh', reason='trimesh is not installed')
    out = tmp_path / 'out'
    settings = Settings(('depth', 'disparity'), -1.0)
    outcome = convert(tree / 'dataset_8' / 'keyframe_0', out, settings, from_poses=True)
    assert (outcome.made, outcome.problems) == (3, [])
    folder = out / 'dataset_8' / 'keyframe_0'
    names = ['conversion_poses.json', 'depthmap', 'depthmap_rectified', 'disparity', 'left']
    names += ['left_rectified', 'right_rectified', 'stereo_calib.json']
    assert sorted(path.name for path in folder.iterdir()) == names
    key = KeyFrame(8, 0)
    pose, k = key.pose(2), key.cameras[0]
    nearest, last = np.full((2, HEIGHT, WIDTH), np.inf)
    without_lens = np.zeros((HEIGHT, WIDTH), dtype=bool)
    for point in np.round(key.point_map(0)[key.known(0)], 6):
        x, y, z = pose[:3, :3] @ point + pose[:3, 3]
        bent = scared_tree.distorted(x / z, y / z, D1)
        for place, lens in ((bent, True), ((x / z, y / z), False)):
            column = int(np.floor(k[0, 0] * place[0] + k[0, 2] + 0.5))
            row = int(np.floor(k[1, 1] * place[1] + k[1, 2] + 0.5))
            if 0 <= column < WIDTH and 0 <= row < HEIGHT:
                if lens:
                    nearest[row, column] = min(nearest[row, column], z)
                    last[row, column] = z
                else:
                    without_lens[row, column] = True
    known = np.isfinite(nearest)
    found = samples(folder / 'depthmap' / '000002.png')
    assert np.array_equal(found > 0, known)
    assert np.abs(found - 128 * nearest)[known].max() <= 0.51
    # The release kept the last point of a pixel, and left the lens out.
    assert (last[known] - nearest[known]).max() > 1
    assert (without_lens != known).sum() > 50
    truth = key.point_map(2)[..., 2]
    error = np.abs(found / 128 - truth)[known]
    assert np.median(error) < 0.1


def test_another_cloud_beside_the_published_one_can_be_named(own_tree, tmp_path):
    pytest.importorskip('trimesh', reason='trimesh is not installed')
    header = 'ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n'
    header += 'property float z\nend_header\n0 0 40\n'
    (own_tree / 'dataset_8/keyframe_0/clean.ply').write_text(header)
    settings = Settings(('depth',), -1.0, 128.0, 'clean.ply')
    convert(own_tree, tmp_path / 'out', settings, from_poses=True)
    for frame in range(3):
        pose = KeyFrame(8, 0).pose(frame)
        found = samples(tmp_path / f'out/dataset_8/keyframe_0/depthmap/{frame:06d}.png')
        z = 40 * pose[2, 2] + pose[2, 3]
        assert (found > 0).sum() == 1 and abs(found.max() - 128 * z) <= 0.51
    with pytest.raises(UsageError, match='no name of a point cloud'):
        convert(
            own_tree,
            tmp_path / 'b',
            Settings(('depth',), -1.0, 128.0, '../clean.ply'),
            from_poses=True,
        )


def test_frames_whose_pose_is_bad_are_named_and_left_out(own_tree, tmp_path):
    pytest.importorskip('trimesh', reason='trimesh is not installed')
    members = {
        'frame_data000000.json': json.dumps({'camera-pose': np.eye(4).tolist()}).encode(),
        'frame_data000001.json': b'{}',
    }
    scared_tree.write_tar(own_tree / 'dataset_8/keyframe_0/data/frame_data.tar.gz', members)
    outcome = convert(own_tree, tmp_path / 'out', from_poses=True)
    assert outcome.made == 1 and 'frame_data000001.json' in outcome.problems[0]
    assert sorted({path.name for path in (tmp_path / 'out').rglob('*.png')}) == ['000000.png']
    with pytest.raises(FileFormatError, match=r'frame_data000001\.json'):
        convert(own_tree, tmp_path / 'strict', from_poses=True, strict=True)


# --- the tree itself --------------------------------------------------------------------------


def test_key_frames_are_found_at_every_level_sorted_by_their_numbers(tmp_path):
    for name in ('dataset_2/keyframe_10', 'dataset_2/keyframe_9', 'test_dataset_8/keyframe_0'):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / 'dataset_3').mkdir()
    (tmp_path / 'notes').mkdir()
    (tmp_path / 'dataset_2' / 'keyframe_1.zip').touch()
    names = [key.name for key in find_key_frames(tmp_path)]
    assert names == ['dataset_2/keyframe_9', 'dataset_2/keyframe_10', 'dataset_8/keyframe_0']
    (alone,) = find_key_frames(tmp_path / 'dataset_2' / 'keyframe_10')
    assert (alone.short_name, alone.folder.name) == ('2_10', 'keyframe_10')
    assert len(find_key_frames(tmp_path / 'dataset_2')) == 2
    with pytest.raises(FileFormatError, match='holds no key frame'):
        find_key_frames(tmp_path / 'notes')
    with pytest.raises(UsageError, match='is no folder'):
        find_key_frames(tmp_path / 'none')
    (tmp_path / 'dataset_8' / 'keyframe_0').mkdir(parents=True)
    with pytest.raises(FileFormatError, match='are both dataset_8/keyframe_0'):
        find_key_frames(tmp_path)
    (tmp_path / 'keyframe_1').mkdir()
    with pytest.raises(UsageError, match='lies in a folder dataset_N'):
        find_key_frames(tmp_path / 'keyframe_1')


@pytest.mark.parametrize(
    ('alpha', 'scale'), [(-0.5, 128), (1.1, 128), (0, 0), (0, -1), (0, np.inf)]
)
def test_settings_that_cannot_be_are_refused(alpha, scale):
    with pytest.raises(UsageError, match='expected'):
        Settings(('depth',), alpha, scale)
