"""SCARED: key frames in their published splits by name, and test frames paired by name."""

from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.layouts.catalogue import scan, survey
from msdesis_ros.data.layouts.samples import in_split, load
from msdesis_ros.data.value_files import DEPTH, DISPARITY, write_about

TRAIN = '1_1 1_2 1_3 1_5 2_1 2_2 2_4 2_5 3_2 3_3 3_4 3_5 7_1 7_2 7_3 7_4 7_5'.split()  # noqa: SIM905
VALIDATION = '1_4 2_3 3_1 6_1 6_2 6_3 6_4 6_5'.split()  # noqa: SIM905
# The published way: positions in the sorted list of all 35 files.
TRAIN_POSITIONS = (0, 1, 2, 4, 5, 6, 8, 9, 11, 12, 13, 14, 30, 31, 32, 33, 34)


def names(samples, split):
    return [sample.name for sample in in_split(samples, split)]


def problems(found):
    return {str(p.path.relative_to(found.root)): p.what for p in found.problems}


def test_the_splits_are_the_published_ones(scared):
    samples = scan('scared', scared.root)
    assert names(samples, 'train') == TRAIN
    assert names(samples, 'validation') == VALIDATION
    assert len(samples) == 25
    files = sorted(path.stem for path in (scared.root / 'left_rectified').iterdir())
    assert [files[position] for position in TRAIN_POSITIONS] == TRAIN


def test_a_missing_key_frame_moves_no_other_one_to_another_split(scared):
    for folder in ('left_rectified', 'right_rectified', 'disparity'):
        scared.remove(f'{folder}/1_2.png')
    samples = scan('scared', scared.root, on_broken='skip')
    assert names(samples, 'train') == [name for name in TRAIN if name != '1_2']
    assert names(samples, 'validation') == VALIDATION
    # Positions would now train with a validation frame.
    files = sorted(path.stem for path in (scared.root / 'left_rectified').iterdir())
    assert '1_4' in [files[position] for position in TRAIN_POSITIONS[:-1]]


def test_each_key_frame_has_its_own_three_files(scared):
    sample = next(s for s in scan('scared', scared.root) if s.name == '3_4')
    assert sample.truth == ('disparity',) and sample.image_size == (6, 4)
    loaded = load(sample)
    assert (loaded.left == 34).all() and (loaded.right == 134).all()
    # 128 * 3 + 4 stored, so 3 + 4 / 128 px.
    np.testing.assert_array_equal(loaded.disparity_px, np.full((4, 6), 3.03125, np.float32))


def test_the_poorly_calibrated_sets_need_not_be_there(scared):
    for name in ('4_1', '5_3'):
        for folder in ('left_rectified', 'right_rectified', 'disparity'):
            scared.remove(f'{folder}/{name}.png')
    assert len(scan('scared', scared.root)) == 25


def test_missing_partners_wrong_names_and_sizes_are_named(scared):
    scared.remove('right_rectified/2_1.png')
    for folder in ('left_rectified', 'right_rectified', 'disparity'):
        scared.remove(f'{folder}/7_3.png')
    scared.picture('left_rectified/8_1.png')
    scared.picture('left_rectified/3_2.jpg')
    scared.picture('right_rectified/6_1.png', size=(5, 4))
    scared.grey('disparity/6_2.png', fill=3, bits=8)
    scared.grey('left_rectified/6_3.png', fill=3, bits=16)
    found = problems(survey('scared', scared.root))
    assert set(found) == {
        'left_rectified/8_1.png',
        'left_rectified/3_2.jpg',
        'right_rectified/2_1.png',
        'left_rectified/7_3.png',
        'right_rectified/6_1.png',
        'disparity/6_2.png',
        'left_rectified/6_3.png',
    }
    assert 'wrong name; expected 1_1.png to 7_5.png' in found['left_rectified/8_1.png']
    assert found['right_rectified/2_1.png'].startswith('missing; ')
    assert found['left_rectified/7_3.png'] == 'missing, like all other files of this sample'
    assert found['right_rectified/6_1.png'] == '5x4 px; left_rectified/6_1.png is 6x4 px'
    assert 'expected 16 bits in one grey channel' in found['disparity/6_2.png']
    assert 'expected 8 bits per channel' in found['left_rectified/6_3.png']


def test_a_missing_folder_is_named_with_those_that_are_there(scared):
    (scared.root / 'disparity').rename(scared.root / 'disparities')
    with pytest.raises(
        FileFormatError, match='disparity: no such folder; beside it .*disparities'
    ):
        scan('scared', scared.root)


def test_the_test_frames_are_those_of_sets_8_and_9_with_their_calibration(scared_test):
    samples = scan('scared_test', scared_test.root)
    assert [sample.name for sample in samples] == [
        f'dataset_{number}/keyframe_{key_frame}/{frame:06d}'
        for number in (8, 9)
        for key_frame in range(5)
        for frame in range(3)
    ]
    assert {sample.split for sample in samples} == {'test'}
    last = samples[-1]
    assert last.calibration == scared_test.root / 'dataset_9/keyframe_4/stereo_calib.json'
    # 256 + 2 stored.
    np.testing.assert_array_equal(load(last).disparity_px, np.full((4, 6), 2.015625, np.float32))


@pytest.mark.parametrize('folder', ['left_rectified', 'right_rectified', 'disparity'])
def test_a_missing_frame_is_named_and_pairs_no_other_one_wrongly(scared_test, folder):
    gone = f'dataset_8/keyframe_2/data/{folder}/000001.png'
    scared_test.remove(gone)
    assert list(problems(survey('scared_test', scared_test.root))) == [gone]
    samples = scan('scared_test', scared_test.root, on_broken='skip')
    assert len(samples) == 29
    after = next(s for s in samples if s.name == 'dataset_8/keyframe_2/000002')
    loaded = load(after)
    # By position the pictures of frame 2 would meet those of frame 1.
    assert (loaded.left == 2).all() and (loaded.right == 102).all()
    assert (loaded.disparity_px == 2.015625).all()


def test_a_missing_key_frame_or_set_is_named_and_the_others_keep_their_frames(scared_test):
    scared_test.remove('dataset_8/keyframe_4')
    scared_test.remove('dataset_9')
    found = survey('scared_test', scared_test.root)
    assert list(problems(found)) == ['dataset_8/keyframe_4', 'dataset_9']
    assert len(found.samples) == 12


@pytest.mark.parametrize(
    ('content', 'reason'), [(None, 'missing'), (b'{}', 'K1, D1'), (b'{"K1": ', 'expected|parse')]
)
def test_a_key_frame_without_a_usable_calibration_is_named_once(scared_test, content, reason):
    name = 'dataset_8/keyframe_0/stereo_calib.json'
    scared_test.remove(name)
    if content is not None:
        scared_test.put(name, content)
    found = survey('scared_test', scared_test.root)
    # Once, though three frames need it.
    assert [p.path for p in found.problems] == [scared_test.root / name]
    assert len(found.samples) == 27
    with pytest.raises(FileFormatError, match=f'{name}: .*({reason})'):
        scan('scared_test', scared_test.root)


def test_an_empty_key_frame_and_a_jpeg_are_named(scared_test):
    for folder in ('left_rectified', 'right_rectified', 'disparity'):
        for frame in range(3):
            scared_test.remove(f'dataset_8/keyframe_0/data/{folder}/{frame:06d}.png')
    scared_test.picture('dataset_9/keyframe_1/data/left_rectified/000009.jpg')
    found = problems(survey('scared_test', scared_test.root))
    assert 'no pictures' in found['dataset_8/keyframe_0/data']
    assert '.png' in found['dataset_9/keyframe_1/data/left_rectified/000009.jpg']
    assert len(found) == 2


def test_a_scale_that_is_stated_beside_the_disparities_is_theirs(scared, scared_test):
    write_about(scared.root / 'disparity', quantity=DISPARITY, scale=256.0)
    assert {sample.disparity_scale for sample in scan('scared', scared.root)} == {256.0}
    folder = scared_test.root / 'dataset_8' / 'keyframe_1' / 'data' / 'disparity'
    write_about(folder, quantity=DISPARITY, scale=64.0)
    scales = {
        sample.name.rsplit('/', 1)[0]: sample.disparity_scale
        for sample in scan('scared_test', scared_test.root)
    }
    assert scales.pop('dataset_8/keyframe_1') == 64.0 and set(scales.values()) == {128.0}
    write_about(folder, quantity=DEPTH, scale=64.0)
    ((path, fault),) = problems(survey('scared_test', scared_test.root)).items()
    assert path.endswith('disparity/values.json') and 'depth_mm' in fault
