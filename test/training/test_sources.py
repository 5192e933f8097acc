"""From a data set in a published layout to samples of a training, or to a list of its faults."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.core.errors import FileFormatError, UsageError  # noqa: E402
from msdesis_ros.training.augment import AugmentSettings, augmented  # noqa: E402
from msdesis_ros.training.batch import UNKNOWN  # noqa: E402
from msdesis_ros.training.config import SourceSettings  # noqa: E402
from msdesis_ros.training.layout_sources import layout_sources  # noqa: E402
from msdesis_ros.training.sources import Mixture, mixtures_of  # noqa: E402


def of(layout, roots, split='train'):
    return SourceSettings(layout=layout, root=str(roots[layout]), split=split)


def source_of(settings, when_broken='stop'):
    (source,) = layout_sources([settings], when_broken=when_broken)
    return source


@pytest.mark.parametrize(
    ('layout', 'train', 'validation'),
    [
        ('flyingthings3d', 3, 1),
        ('scared', 17, 8),
        ('ris17_train_monocular', 7 * 225, 225),
        ('ris17_124', 2 * 225, 225),
    ],
)
def test_a_split_has_the_samples_of_its_names(roots, layout, train, validation):
    settings = [of(layout, roots), of(layout, roots, 'validation')]
    sources = layout_sources(settings, when_broken='stop')
    assert [len(source) for source in sources] == [train, validation]
    assert sources[0].name == f'{roots[layout]} (split train of the layout {layout})'
    assert sources[0].kind == 'samples'


def test_own_frames_have_neither_splits_nor_truth(trees, scenes, tmp_path):
    frame = scenes.boxed_wall(0, trees.SIZE)
    trees.put(tmp_path / 'left/1.png', trees.png(frame.left))
    trees.put(tmp_path / 'right/1.png', trees.png(frame.right))
    source = source_of(SourceSettings(layout='own_frames', root=str(tmp_path)))
    sample = source.sample(0)
    assert len(source) == 1 and np.array_equal(sample.right, frame.right)
    assert np.isnan(sample.truth.disparity_px).all() and not sample.truth.occluded.any()
    assert (sample.truth.mask == UNKNOWN).all() and (sample.truth.parts == UNKNOWN).all()


@pytest.mark.parametrize(('layout', 'number'), [('flyingthings3d', 2), ('scared', 3)])
def test_disparities_are_the_stored_ones_and_masks_are_unknown(roots, scenes, layout, number):
    # 1_5, the fourth key frame of the split, was written as the fifth.
    frame = scenes.boxed_wall(number + (layout == 'scared'), (96, 64))
    sample = source_of(of(layout, roots)).sample(number)
    assert np.array_equal(sample.left, frame.left) and np.array_equal(sample.right, frame.right)
    wanted_px = frame.disparity_px.copy()
    if layout == 'scared':
        wanted_px[0] = np.nan
    np.testing.assert_array_equal(sample.truth.disparity_px, wanted_px)
    np.testing.assert_array_equal(sample.truth.occluded, np.arange(96) < wanted_px)
    assert sample.truth.occluded.any() and sample.right_truth is None
    assert (sample.truth.mask == UNKNOWN).all() and (sample.truth.parts == UNKNOWN).all()


def test_masks_are_the_stored_ones_and_disparities_are_unknown(roots, scenes):
    frame = scenes.boxed_wall(1, (96, 64))
    sample = source_of(of('ris17_124', roots)).sample(0)
    assert np.array_equal(sample.right, frame.right)
    np.testing.assert_array_equal(sample.truth.mask, frame.instrument_mask)
    assert sample.truth.mask.dtype == np.uint8 and set(np.unique(sample.truth.mask)) == {0, 1}
    assert np.isnan(sample.truth.disparity_px).all() and (sample.truth.parts == UNKNOWN).all()


def test_a_monocular_picture_is_both_views_and_its_disparity_is_unknown(roots, scenes):
    frame = scenes.boxed_wall(1, (96, 64))
    sample = source_of(of('ris17_train_monocular', roots)).sample(0)
    assert np.array_equal(sample.left, frame.left) and np.array_equal(sample.right, frame.left)
    assert np.isnan(sample.truth.disparity_px).all()
    np.testing.assert_array_equal(sample.truth.mask, frame.instrument_mask)
    mirrored = augmented(
        sample, AugmentSettings(swap=1.0), size=(96, 64), rng=np.random.default_rng(0)
    )
    np.testing.assert_array_equal(mirrored.left, np.fliplr(frame.left))
    np.testing.assert_array_equal(mirrored.truth.mask, np.fliplr(frame.instrument_mask))


def test_a_source_reaches_worker_processes_as_it_is(roots):
    source = source_of(of('scared', roots))
    again = pickle.loads(pickle.dumps(source))
    assert np.array_equal(again.sample(5).left, source.sample(5).left) and len(again) == 17


def test_everything_wrong_with_all_data_sets_is_named_at_once(roots, trees, tmp_path):
    scared = tmp_path / 'scared'
    shutil.copytree(roots['scared'], scared)
    whole = (scared / 'disparity/2_1.png').read_bytes()
    (scared / 'disparity/2_1.png').write_bytes(whole[:40])
    (scared / 'right_rectified/1_4.png').rename(scared / 'right_rectified/1_04.png')
    small = np.zeros((32, 96, 3), np.uint8)
    trees.put(scared / 'left_rectified/7_5.png', trees.png(small))
    raw = tmp_path / 'ris' / 'instrument_dataset_1' / 'left_frames'
    raw.mkdir(parents=True)
    settings = [
        SourceSettings(layout='scared', root=str(scared), split='train'),
        SourceSettings(layout='scared', root=str(scared), split='validation'),
        SourceSettings(layout='ris17_124', root=str(tmp_path / 'ris'), split='train'),
        SourceSettings(layout='flyingthings3d', root=str(tmp_path / 'none'), split='train'),
    ]
    with pytest.raises(FileFormatError) as caught:
        layout_sources(settings, when_broken='stop')
    lines = str(caught.value).splitlines()

    def line(begin):
        (found,) = (text for text in lines if text.startswith(begin))
        return found

    assert line(f'{scared} is not').endswith(
        'a whole scared data set: 5 problems, 22 samples are whole'
    )
    assert line('disparity/2_1.png: ').endswith('download or copy it again')
    assert 'wrong name; expected 1_1.png to 7_5.png' in line('right_rectified/1_04.png: ')
    assert line('right_rectified/1_4.png: missing')
    assert line('right_rectified/7_5.png: ').endswith(
        '96x64 px; left_rectified/7_5.png is 96x32 px'
    )
    assert line('disparity/7_5.png: ')
    assert 'beside it are left_frames' in line('instrument_dataset_1/left_frame: no such folder')
    assert line('instrument_dataset_4: no such folder')
    assert line(f'{tmp_path / "none"} is no folder')


def test_one_broken_file_stops_or_is_left_out_as_asked(roots, tmp_path):
    root = tmp_path / 'scared'
    shutil.copytree(roots['scared'], root)
    (root / 'left_rectified/3_2.png').unlink()
    settings = SourceSettings(layout='scared', root=str(root), split='train')
    with pytest.raises(FileFormatError, match=r'left_rectified/3_2\.png: missing') as caught:
        layout_sources([settings], when_broken='stop')
    assert 'data.when_broken=skip' in str(caught.value)
    said = []
    (source,) = layout_sources([settings], when_broken='skip', say=said.append)
    assert len(source) == 16
    (sentence,) = said
    assert 'left_rectified/3_2.png: missing' in sentence and 'left out' in sentence


@pytest.mark.parametrize('when_broken', ['stop', 'skip'])
def test_a_data_set_without_a_whole_sample_is_refused_either_way(roots, tmp_path, when_broken):
    for folder in ('left', 'right'):
        (tmp_path / folder).mkdir()
    empty = SourceSettings(layout='own_frames', root=str(tmp_path))
    with pytest.raises(FileFormatError, match='holds no whole sample'):
        layout_sources([empty], when_broken=when_broken)
    missing = SourceSettings(layout='scared', root=str(tmp_path / 'none'), split='train')
    with pytest.raises(FileFormatError, match='is no folder'):
        layout_sources([of('scared', roots), missing], when_broken=when_broken)


def test_a_split_without_a_whole_sample_is_refused(roots, tmp_path):
    root = tmp_path / 'flying'
    shutil.copytree(roots['flyingthings3d'], root)
    (root / 'val/image_clean/right/7.png').unlink()
    settings = SourceSettings(layout='flyingthings3d', root=str(root), split='validation')
    with pytest.raises(FileFormatError, match=r'split validation .* holds no whole sample'):
        layout_sources([settings], when_broken='skip')


def test_damage_that_only_reading_finds_is_named_or_passed_over(roots, tmp_path):
    root = tmp_path / 'scared'
    shutil.copytree(roots['scared'], root)
    path = root / 'left_rectified/1_1.png'
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF  # the header and the end stay whole
    path.write_bytes(bytes(content))
    source = source_of(SourceSettings(layout='scared', root=str(root), split='train'))
    assert len(source) == 17
    with pytest.raises(FileFormatError, match=r'left_rectified/1_1\.png .*not a whole picture'):
        source.sample(0)
    mixture = Mixture([source], seed=5, when_broken='skip')
    skipped = [text for number in range(17) for text in mixture.sample(number).skipped]
    assert len(skipped) == 1 and '1_1.png' in skipped[0]


@pytest.fixture
def config_of(tiny, shards, roots):
    def made(*layouts, validation=(), **changes):
        train = [
            {'layout': name, 'root': str(roots.get(name, 'none')), **splits(name)}
            for name in layouts
        ]
        checked = [
            {'layout': name, 'root': str(roots[name]), 'split': 'validation'}
            for name in validation
        ]
        return tiny.tiny_config(shards, data__train=train, data__validation=checked, **changes)

    def splits(name):
        return {} if name == 'own_frames' else {'split': 'train'}

    return made


PUBLISHED = {'network': {'family': 'msdesis', 'encoder': 'light', 'max_disparity': 64}}
BY_PICTURES = {'published_loss': {'disparity_loss': 'unsupervised_multiscale'}}


@pytest.mark.parametrize(
    ('layout', 'changes', 'sentence'),
    [
        ('scared', {'task': 'segmentation'}, 'has no instrument_mask, .* it has disparity'),
        ('ris17_124', {'task': 'disparity'}, 'has no disparity, .* it has instrument_mask'),
        ('own_frames', {}, 'has no disparity or instrument_mask, .* it has no truth'),
        (
            'ris17_train_monocular',
            {**PUBLISHED, **BY_PICTURES},
            'has no right views, which the loss',
        ),
    ],
)
def test_a_data_set_that_cannot_teach_the_task_is_refused(config_of, layout, changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        mixtures_of(config_of(layout, **changes))


def test_pairs_without_truth_teach_a_loss_that_compares_the_views(config_of, roots):
    config = config_of('ris17_124', task='disparity', **PUBLISHED, **BY_PICTURES)
    assert mixtures_of(config)[0].epoch_size == 450
    fed = config_of('ris17_124', 'ris17_train_monocular', task='segmentation')
    assert mixtures_of(fed)[0].epoch_size == 450 + 1575


def test_sources_of_every_kind_are_mixed_in_their_order(tiny, shards, roots):
    train = [
        {'layout': 'scared', 'root': str(roots['scared']), 'split': 'train', 'weight': 1.0},
        {'shards': str(shards), 'weight': 2.5},
    ]
    config = tiny.tiny_config(shards, data__train=train)
    mixture, validation = mixtures_of(config)
    assert [len(source) for source in mixture.sources] == [17, 10]
    assert mixture.described == (
        f'{roots["scared"]} (split train of the layout scared): 17 samples, weight 1; '
        f'{shards}: 10 synthetic pairs, weight 2.5'
    )
    assert validation.described == f'{shards}: 10 synthetic pairs'
    assert mixtures_of(tiny.tiny_config(shards, data__validation=[]))[1] is None
