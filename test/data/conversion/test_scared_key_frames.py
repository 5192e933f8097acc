"""SCARED's key frames as training reads them: names, figures, what is left out."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.conversion.records import Outcome, Settings
from msdesis_ros.data.conversion.scared_key_frames import convert_key_frames
from msdesis_ros.data.conversion.scared_tree import find_key_frames
from msdesis_ros.data.layouts.scared import list_scared
from msdesis_ros.data.layouts.survey import examine

sys.path.append(str(Path(__file__).parents[2] / 'miniature'))
import scared_tree
from scared_tree import KeyFrame, T

pytest.importorskip('trimesh', reason='trimesh is not installed')

ALL = Settings(('depth', 'undistort', 'disparity'), 0.0)
USUAL = Settings(('disparity',), 0.0)
NAMES = ((1, 1), (1, 4), (2, 1))


@pytest.fixture(scope='module')
def tree(tmp_path_factory) -> Path:
    """Three key frames without videos. Not to change."""
    root = tmp_path_factory.mktemp('published') / 'SCARED'
    scared_tree.write_scared_tree(root, key_frames=NAMES, without_video=NAMES)
    return root


@pytest.fixture
def own_tree(tree, tmp_path) -> Path:
    shutil.copytree(tree, tmp_path / 'own')
    return tmp_path / 'own'


@pytest.fixture(scope='module')
def converted(tree, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('converted')
    outcome = convert(tree, out, ALL)
    assert (outcome.made, outcome.problems, outcome.notes) == (3, [], [])
    return out


def convert(root: Path, out: Path, settings: Settings = USUAL, **options) -> Outcome:
    return convert_key_frames(find_key_frames(root), out, settings, **options)


def names(folder: Path) -> list[str]:
    found = (path for path in folder.rglob('*') if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in found)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names(folder)}


def samples(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_each_product_is_a_folder_with_a_file_named_after_set_and_key_frame(converted):
    stems = ['Left_Image', 'depthmap', 'depthmap_rectified', 'depthmap_undistorted', 'disparity']
    stems += ['left_rectified', 'left_undistorted', 'right_rectified']
    expected = [f'{stem}/{name}.png' for stem in stems for name in ('1_1', '1_4', '2_1')]
    expected += [f'stereo_calib/{name}.json' for name in ('1_1', '1_4', '2_1')]
    expected += [f'{stem}/values.json' for stem in stems if stem.startswith(('depth', 'disp'))]
    assert names(converted) == sorted([*expected, 'conversion_keyframes.json'])


def test_the_reader_of_the_training_layout_takes_what_was_converted(converted):
    survey = examine(list_scared(converted), check='content')
    found = [(sample.name, sample.split) for sample in survey.samples]
    assert found == [('1_1', 'train'), ('1_4', 'validation'), ('2_1', 'train')]


def test_the_figures_are_those_of_the_scene(converted):
    key = KeyFrame(1, 4)
    k = key.cameras[0]
    stored = json.loads((converted / 'stereo_calib/1_4.json').read_text())
    p1, r1 = (np.reshape(stored[name]['data'], (3, -1)) for name in ('P1', 'R1'))
    assert stored['rect_alpha'] == 0
    u, v = np.meshgrid(np.arange(key.size[0]), np.arange(key.size[1]))
    rays = np.stack([(u - p1[0, 2]) / p1[0, 0], (v - p1[1, 2]) / p1[1, 1], np.ones(u.shape)], -1)
    z = (key.points_seen(rays.reshape(-1, 3) @ r1, 0) @ r1.T)[:, 2].reshape(u.shape)
    disparity = samples(converted / 'disparity/1_4.png') / 128
    error = np.abs(disparity - p1[0, 0] * np.linalg.norm(T) / z)[disparity > 0]
    assert np.median(error) < 0.02 and (disparity > 0).mean() > 0.6
    depth = samples(converted / 'depthmap_rectified/1_4.png') / 128
    assert np.median(np.abs(depth - z)[depth > 0]) < 0.1
    original = samples(converted / 'depthmap/1_4.png')
    expected = np.where(key.known(0), np.rint(key.point_map(0)[..., 2].astype('f4') * 128.0), 0)
    assert np.array_equal(original, expected)
    assert k[0, 2] != p1[0, 2]


def test_the_scale_factor_is_128_unless_told_and_stored(converted, tree, tmp_path):
    record = json.loads((converted / 'conversion_keyframes.json').read_text())
    assert record['scale_factor'] == 128 and record['frames'] == ['1_1', '1_4', '2_1']
    convert(tree, tmp_path, Settings(('disparity',), 0.0, 256.0))
    assert json.loads((tmp_path / 'disparity/values.json').read_text())['scale'] == 256
    ours, doubled = (samples(root / 'disparity/1_1.png') for root in (converted, tmp_path))
    assert np.abs(doubled - 2.0 * ours).max() <= 1 and doubled.max() > ours.max()
    with pytest.raises(UsageError, match='scale_factor 256.0, not 128.0'):
        convert(tree, tmp_path)


def test_one_key_frame_lands_where_all_would_put_it(tree, tmp_path):
    # The release nested it in root/<dataset>/<keyframe> unless told to search.
    before = contents(tree)
    convert(tree / 'dataset_1' / 'keyframe_4', tmp_path / 'out')
    made = [name for name in names(tmp_path / 'out') if name.endswith('.png')]
    stems = ('depthmap_rectified', 'disparity', 'left_rectified', 'right_rectified')
    assert made == [f'{stem}/1_4.png' for stem in stems]
    assert contents(tree) == before


@pytest.mark.parametrize('overwrite', [False, True])
def test_a_copy_of_the_published_data_is_no_place_for_a_tree(tree, own_tree, overwrite):
    before = contents(own_tree)
    with pytest.raises(UsageError, match='the published data'):
        convert(tree / 'dataset_2', own_tree, ALL, tree=True, overwrite=overwrite)
    assert contents(own_tree) == before


@pytest.mark.parametrize('as_tree', [False, True])
def test_results_that_no_record_tells_of_are_not_taken_for_ones_own(tree, tmp_path, as_tree):
    # The published tools have the same names, but other settings and rounding.
    convert(tree, tmp_path, tree=as_tree)
    (tmp_path / 'conversion_keyframes.json').unlink()
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r'no conversion_keyframes\.json'):
        convert(tree, tmp_path, tree=as_tree)
    assert contents(tmp_path) == before
    assert convert(tree, tmp_path, tree=as_tree, overwrite=True).made == 3


def test_as_a_tree_the_files_have_their_published_names(tree, tmp_path):
    convert(tree / 'dataset_2', tmp_path, ALL, tree=True)
    stems = ['Left_Image', 'depthmap', 'depthmap_rectified', 'depthmap_undistorted', 'disparity']
    stems += ['left_rectified', 'left_undistorted', 'right_rectified']
    expected = [f'dataset_2/keyframe_1/{stem}.png' for stem in stems]
    expected += ['dataset_2/keyframe_1/stereo_calib.json', 'conversion_keyframes.json']
    assert names(tmp_path) == sorted(expected)
    with pytest.raises(UsageError, match='the published data'):
        convert(tree, tree, tree=True)


def test_a_named_cloud_replaces_the_published_points_everywhere(own_tree, tmp_path):
    header = 'ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\n'
    text = header + 'property float z\nend_header\n0 0 40\n0 0 30\n'
    for key in find_key_frames(own_tree):
        (key.folder / 'clean.ply').write_text(text)
    convert(own_tree, tmp_path / 'out', Settings(ALL.products, 0.0, 128.0, 'clean.ply'))
    for product in ('depthmap', 'depthmap_undistorted'):
        found = samples(tmp_path / 'out' / product / '1_1.png')
        assert (found > 0).sum() == 1 and found.max() == 30 * 128
    assert (samples(tmp_path / 'out/disparity/1_1.png') > 0).sum() == 1


@pytest.mark.parametrize(
    ('lost', 'reason'),
    [
        ('Right_Image.png', 'cannot read the picture'),
        ('point_cloud.obj', 'cannot read'),
        ('endoscope_calibration.yaml', 'cannot read'),
    ],
)
def test_of_a_key_frame_with_a_missing_piece_nothing_is_written(own_tree, tmp_path, lost, reason):
    (own_tree / 'dataset_1' / 'keyframe_4' / lost).unlink()
    outcome = convert(own_tree, tmp_path / 'out')
    assert outcome.made == 2 and len(outcome.problems) == 1
    assert 'dataset_1/keyframe_4 is left out' in outcome.problems[0]
    assert reason in outcome.problems[0] and lost in outcome.problems[0]
    assert [name for name in names(tmp_path / 'out') if '1_4' in name] == []
    with pytest.raises(FileFormatError, match=reason):
        convert(own_tree, tmp_path / 'strict', strict=True)


def test_a_run_that_was_ended_goes_on_where_it_was(own_tree, tmp_path):
    convert(own_tree, tmp_path / 'whole')
    told = []

    def end_at_the_second(name: str, frame: int) -> None:
        told.append(name)
        if len(told) == 2:
            raise KeyboardInterrupt

    out = tmp_path / 'out'
    with pytest.raises(KeyboardInterrupt):
        convert(own_tree, out, tell=end_at_the_second)
    stamp = (out / 'disparity/1_1.png').stat().st_mtime_ns
    outcome = convert(own_tree, out)
    assert (outcome.made, outcome.kept) == (2, 1)
    assert (out / 'disparity/1_1.png').stat().st_mtime_ns == stamp
    assert contents(out) == contents(tmp_path / 'whole')


@pytest.mark.parametrize('as_tree', [False, True])
def test_overwriting_one_key_frame_leaves_none_of_another_setting(own_tree, tmp_path, as_tree):
    out = tmp_path / 'out'
    convert(own_tree, out, ALL, tree=as_tree)
    outcome = convert(
        own_tree / 'dataset_2',
        out,
        Settings(('disparity',), -1.0, 64.0),
        tree=as_tree,
        overwrite=True,
    )
    assert outcome.made == 1
    convert(
        own_tree / 'dataset_2',
        tmp_path / 'anew',
        Settings(('disparity',), -1.0, 64.0),
        tree=as_tree,
    )
    ours, anew = (
        {name: data for name, data in contents(root).items() if 'values' not in name}
        for root in (out, tmp_path / 'anew')
    )
    assert ours == anew


def test_the_other_name_of_the_cloud_is_known_too(own_tree, tmp_path):
    folder = own_tree / 'dataset_2' / 'keyframe_1'
    (folder / 'point_cloud.obj').rename(folder / 'left_point_cloud.obj')
    outcome = convert(own_tree / 'dataset_2', tmp_path / 'out')
    assert (outcome.made, outcome.problems) == (1, [])
