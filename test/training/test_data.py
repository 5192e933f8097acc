"""Which pairs a step takes: the same ones whatever stopped, and each of them in its turn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.core.errors import FileFormatError, UsageError  # noqa: E402
from msdesis_ros.training.augment import AugmentSettings  # noqa: E402
from msdesis_ros.training.data import (  # noqa: E402
    StepPlan,
    TrainingSet,
    training_batches,
    validation_batches,
)
from msdesis_ros.training.photometric import PhotometricSettings  # noqa: E402
from msdesis_ros.training.sources import Mixture, ShardSource  # noqa: E402

JITTER = AugmentSettings(scale=(0.7, 1.4), photometric=PhotometricSettings(gain=0.3, noise=4.0))


class Named:
    """A source of nothing but its size."""

    def __init__(self, size):
        self.name, self._size = 'named', size

    def __len__(self):
        return self._size


def loader(folder, *, first=0, stop=4, workers=0, **plan):
    plan = StepPlan(**{'batch_size': 3, 'crops': ((64, 32), (32, 64)), 'seed': 5, **plan})
    mixture = Mixture([ShardSource(folder)], seed=5)
    return training_batches(
        TrainingSet(mixture, JITTER, plan), first=first, stop=stop, workers=workers
    )


def same(one, other):
    return all(
        torch.equal(a.nan_to_num(-1), b.nan_to_num(-1))
        for a, b in zip(one[:6], other[:6], strict=True)
    )


def test_a_run_that_goes_on_gets_the_batches_that_would_have_come(shards):
    whole = list(loader(shards))
    later = list(loader(shards, first=2))
    assert len(whole) == 4 and len(later) == 2
    assert all(same(one, other) for one, other in zip(whole[2:], later, strict=True))
    assert not same(whole[0], whole[1]) if whole[0].left.shape == whole[1].left.shape else True


def test_workers_change_nothing(shards):
    alone, helped = list(loader(shards)), list(loader(shards, workers=2))
    assert all(same(one, other) for one, other in zip(alone, helped, strict=True))


def test_two_processes_share_the_batch_of_one(shards):
    (alone,) = loader(shards, stop=1, batch_size=6)
    pieces = [next(iter(loader(shards, stop=1, rank=rank, ranks=2))) for rank in (0, 1)]
    assert all(same(one, other) for one, other in zip(alone.parts_of(2), pieces, strict=True))


def test_steps_take_crops_of_every_shape(shards):
    shapes = {batch.left.shape for batch in loader(shards, stop=8)}
    assert shapes == {(3, 3, 32, 64), (3, 3, 64, 32)}


def test_larger_crops_come_in_smaller_batches():
    plan = StepPlan(batch_size=8, crops=((64, 32), (128, 64), (32, 32), (640, 512)), seed=5)
    taken = {plan.crop(step): len(plan.numbers(step)) for step in range(40)}
    assert taken == {(64, 32): 8, (128, 64): 2, (32, 32): 8, (640, 512): 1}
    # No step takes a sample of another one.
    numbers = [number for step in range(40) for _, number in plan.numbers(step)]
    assert len(set(numbers)) == len(numbers)


def test_a_batch_is_cut_into_pieces_that_hold_everything(shards):
    (batch,) = loader(shards, stop=1, batch_size=5)
    pieces = batch.parts_of(3)
    assert [piece.left.shape[0] for piece in pieces] == [2, 2, 1]
    assert torch.equal(torch.cat([piece.right for piece in pieces]), batch.right)
    assert len(batch.parts_of(9)) == 5


def test_an_epoch_shows_every_pair_once():
    mixture = Mixture([Named(7), Named(4)], seed=1)
    epochs = [[mixture.place(epoch * 11 + index) for index in range(11)] for epoch in range(3)]
    everything = sorted([(0, n) for n in range(7)] + [(1, n) for n in range(4)])
    assert all(sorted(epoch) == everything for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_weights_decide_the_shares_and_small_shares_still_show_everything():
    mixture = Mixture([Named(80), Named(20)], weights=[3.0, 1.0], seed=1)
    epochs = [Counter(mixture.place(n) for n in range(e * 100, e * 100 + 100)) for e in range(4)]
    for epoch in epochs:
        assert sum(count for (source, _), count in epoch.items() if source == 0) == 75
    total = sum(epochs, Counter())
    assert {total[1, n] for n in range(20)} == {5}
    assert {total[0, n] for n in range(80)} == {3, 4}


def test_the_order_depends_on_the_seed():
    orders = [[Mixture([Named(50)], seed=s).place(n) for n in range(50)] for s in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_a_broken_record_stops_the_training_with_its_name(scenes, tmp_path):
    folder = scenes.write_boxed_walls(tmp_path / 'broken', 6)
    scenes.break_record(folder, 5)
    mixture = Mixture([ShardSource(folder)], seed=1)
    with pytest.raises(FileFormatError, match=r'shard-00001\.zip, frame 5 is damaged'):
        for number in range(6):
            mixture.sample(number)


@pytest.mark.parametrize('workers', [0, 1])
def test_workers_hand_on_what_is_wrong_in_one_sentence(scenes, tmp_path, workers):
    folder = scenes.write_boxed_walls(tmp_path / 'broken', 6)
    scenes.break_record(folder, 5)
    with pytest.raises(FileFormatError) as caught:
        list(loader(folder, stop=2, workers=workers))
    assert 'frame 5 is damaged' in str(caught.value) and '\n' not in str(caught.value)


def test_validation_passes_over_broken_records_where_asked(scenes, tmp_path):
    folder = scenes.write_boxed_walls(tmp_path / 'broken', 4)
    scenes.break_record(folder, 1)
    whole = Mixture([ShardSource(folder)], seed=1, when_broken='skip')
    batches = list(validation_batches(whole, frames=3))
    assert len(batches) == 3
    assert [len(batch.skipped) for batch in batches] == [0, 1, 0]
    assert 'frame 1 is damaged' in batches[1].skipped[0]
    np.testing.assert_array_equal(batches[1].disparity_px[0, 0], scenes.boxed_wall(2).disparity_px)
    with pytest.raises(FileFormatError, match='frame 1 is damaged'):
        list(validation_batches(Mixture([ShardSource(folder)], seed=1), frames=3))


def test_a_broken_record_is_named_and_passed_over_where_asked(scenes, tmp_path):
    folder = scenes.write_boxed_walls(tmp_path / 'broken', 6)
    scenes.break_record(folder, 5)
    mixture = Mixture([ShardSource(folder)], seed=1, when_broken='skip')
    samples = [mixture.sample(number) for number in range(6)]
    sentences = [sentence for sample in samples for sentence in sample.skipped]
    assert len(sentences) == 1 and 'shard-00001.zip, frame 5' in sentences[0]


def test_nothing_but_broken_records_ends_the_training(scenes, tmp_path):
    folder = scenes.write_boxed_walls(tmp_path / 'broken', 2)
    for number in range(2):
        scenes.break_record(folder, number)
    with pytest.raises(FileFormatError, match='in a row are broken'):
        Mixture([ShardSource(folder)], seed=1, when_broken='skip').sample(0)


def test_validation_takes_the_first_records_of_each_source_unchanged(shards, scenes):
    mixture = Mixture([ShardSource(shards), ShardSource(shards)], seed=1)
    batches = list(validation_batches(mixture, frames=3))
    assert len(batches) == 3
    expected = scenes.boxed_wall(0)
    np.testing.assert_array_equal(batches[0].disparity_px[0, 0], expected.disparity_px)
    assert same(batches[0], batches[1]) and not same(batches[1], batches[2])


def test_validation_cuts_sides_to_multiples_of_32(scenes, tmp_path):
    folder = scenes.write_boxed_walls(tmp_path / 'odd', 1, size=(118, 90))
    (batch,) = validation_batches(Mixture([ShardSource(folder)], seed=0), frames=4)
    assert batch.left.shape == (1, 3, 64, 96)


@pytest.mark.parametrize(
    ('plan', 'sentence'),
    [
        ({'crops': ((100, 64),)}, 'crop 100x64 has a side'),
        ({'crops': ()}, 'at least one crop size'),
        ({'batch_size': 0}, 'at least one sample'),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan, sentence):
    with pytest.raises(UsageError, match=sentence):
        StepPlan(**{'batch_size': 2, 'crops': ((64, 64),), 'seed': 1, **plan})


@pytest.mark.parametrize(
    ('sources', 'options', 'sentence'),
    [
        ([], {}, 'nothing to train on'),
        ([Named(0)], {}, 'nothing to train on'),
        ([Named(2)], {'when_broken': 'ignore'}, 'known: stop, skip'),
        ([Named(2)], {'weights': [-1.0]}, 'expected 0 or more'),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(sources, options, sentence):
    with pytest.raises(UsageError, match=sentence):
        Mixture(sources, seed=0, **options)
