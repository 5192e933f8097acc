"""RIS 2017: whole sets are held out, and the published frames are all there or named."""

from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.layouts.catalogue import scan, survey
from msdesis_ros.data.layouts.samples import in_split, load

TRAINING, TEST, ALL = range(225), range(225, 300), range(300)


def sets(samples):
    return sorted({int(s.name.split('/')[0].removeprefix('instrument_dataset_')) for s in samples})


def problems(found):
    return {str(p.path.relative_to(found.root)): p.what for p in found.problems}


@pytest.fixture
def stereo_124(ris):
    for number in (1, 2, 4):
        ris.add(number, TRAINING, stereo=True)
    return ris


@pytest.mark.parametrize(
    ('layout', 'train', 'held_out'),
    [
        ('ris17', [1, 2, 4, 5, 7], 8),
        ('ris17_124', [1, 2], 4),
        ('ris17_train_monocular', [1, 2, 3, 4, 5, 6, 7], 8),
    ],
)
def test_the_last_set_is_held_out_as_a_whole(ris, layout, train, held_out):
    stereo = layout != 'ris17_train_monocular'
    for number in range(1, 9):
        ris.add(number, TRAINING, stereo=stereo)
    samples = scan(layout, ris.root)
    training, validation = in_split(samples, 'train'), in_split(samples, 'validation')
    assert sets(training) == train and sets(validation) == [held_out]
    assert len(training) == 225 * len(train) and len(validation) == 225
    assert len(samples) == len(training) + len(validation)
    first = f'instrument_dataset_{held_out}/frame000'
    assert validation[0].name == first
    # The last 224 of the list would leave this neighbour of validation frames in training.
    assert first in [sample.name for sample in samples[:-224]]
    assert all((sample.right is not None) == stereo for sample in samples)


def test_a_mask_and_both_views_are_loaded(stereo_124):
    sample = scan('ris17_124', stereo_124.root)[0]
    assert sample.name == 'instrument_dataset_1/frame000'
    assert sample.truth == ('instrument_mask',)
    loaded = load(sample)
    assert (loaded.left == 1).all() and (loaded.right == 1).all()
    assert loaded.instrument_mask.dtype == bool and loaded.instrument_mask.all()
    assert loaded.disparity_px is None


def test_the_test_data_keep_the_names_of_their_frames(ris):
    for number in range(1, 9):
        ris.add(number, TEST, stereo=False)
    for number in (9, 10):
        ris.add(number, ALL, stereo=False)
    samples = scan('ris17_eval_monocular', ris.root)
    assert len(samples) == 8 * 75 + 2 * 300
    assert {sample.split for sample in samples} == {'test'}
    named = [sample.name for sample in samples]
    assert named[0] == 'instrument_dataset_1/frame225'
    assert named[600] == 'instrument_dataset_9/frame000'
    # Set 10 comes after set 9, not after set 1.
    assert named[-1] == 'instrument_dataset_10/frame299'


def test_the_test_data_are_not_taken_for_training_data(ris):
    for number in range(1, 9):
        ris.add(number, TEST, stereo=False)
    ris.add(9, ALL, stereo=False)
    found = survey('ris17_train_monocular', ris.root)
    assert found.samples == ()
    named = problems(found)
    assert 'instrument_dataset_1 to instrument_dataset_8' in named['instrument_dataset_9']
    wrong = named['instrument_dataset_1/left_frame/frame225.png']
    assert wrong == 'wrong name; expected frame000.png to frame224.png'
    with pytest.raises(FileFormatError, match='no whole sample') as caught:
        scan('ris17_train_monocular', ris.root, on_broken='skip')
    assert len(str(caught.value).splitlines()) == 1 + 20 + 1


def test_the_folders_of_the_raw_data_are_named_beside_the_missing_ones(ris):
    for number in (1, 2, 4):
        ris.add(number, range(3), stereo=True)
        folder = ris.root / f'instrument_dataset_{number}'
        (folder / 'left_frame').rename(folder / 'left_frames')
    named = problems(survey('ris17_124', ris.root))
    assert set(named) == {f'instrument_dataset_{n}/left_frame' for n in (1, 2, 4)}
    assert 'left_frames' in named['instrument_dataset_1/left_frame']


def test_a_missing_set_is_named_and_one_that_is_not_used_is_not_missed(ris):
    ris.add(1, TRAINING, stereo=True)
    ris.add(2, TRAINING, stereo=True)
    (ris.root / 'instrument_dataset_x').mkdir()
    named = problems(survey('ris17_124', ris.root))
    assert set(named) == {'instrument_dataset_4', 'instrument_dataset_x'}


@pytest.mark.parametrize('part', ['left_frame', 'right_frame', 'ground_truth/binary'])
def test_one_missing_file_is_named_and_only_its_frame_left_out(stereo_124, part):
    gone = f'instrument_dataset_2/{part}/frame007.png'
    stereo_124.tree.remove(gone)
    found = survey('ris17_124', stereo_124.root)
    assert list(problems(found)) == [gone]
    assert len(found.samples) == 3 * 225 - 1
    assert 'instrument_dataset_2/frame007' not in [sample.name for sample in found.samples]


def test_a_mask_that_was_resized_with_interpolation_is_named_when_contents_are_checked(
    stereo_124,
):
    name = 'instrument_dataset_4/ground_truth/binary/frame100.png'
    stereo_124.tree.array(name, np.array([[0, 255, 128, 0, 0, 0]] * 4, np.uint8))
    assert not survey('ris17_124', stereo_124.root).problems
    found = survey('ris17_124', stereo_124.root, check='content')
    assert list(problems(found)) == [name]
    assert 'the value 128; expected 0 and 255' in problems(found)[name]
    assert len(found.samples) == 3 * 225 - 1


def test_a_mask_in_colour_is_named(stereo_124):
    name = 'instrument_dataset_4/ground_truth/binary/frame100.png'
    stereo_124.tree.picture(name)
    named = problems(survey('ris17_124', stereo_124.root))
    assert 'in colour; expected 8 bits in one grey channel' in named[name]
