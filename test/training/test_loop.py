"""The loop learns, and what stops it costs nothing but the steps since the last checkpoint."""

from __future__ import annotations

import csv
import math
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.core.errors import FileFormatError, ModelError, UsageError  # noqa: E402
from msdesis_ros.training import selection  # noqa: E402
from msdesis_ros.training.data import StepPlan  # noqa: E402
from msdesis_ros.training.divergence import DivergenceError  # noqa: E402
from msdesis_ros.training.journal import METRICS_FILE  # noqa: E402
from msdesis_ros.training.loop import Training  # noqa: E402
from msdesis_ros.training.state_files import BEST, LAST, read_state  # noqa: E402
from msdesis_ros.training.validation import Figures  # noqa: E402

# Sides of 32 px are refused in bfloat16.
BF16 = {'run__precision': 'bf16', 'run__channels_last': True, 'data__crops': [[64, 64]]}
PROGRAM = Path(__file__).with_name('tiny.py')


def rows(folder):
    with (folder / METRICS_FILE).open(encoding='utf-8') as file:
        return list(csv.DictReader(file))


def stop_after(training, step):
    return lambda: 'enough' if training.step >= step - 1 else None


@pytest.fixture(scope='module')
def whole(tiny, shards, tmp_path_factory):
    """The folder and the network of a training that nothing stopped."""
    folder = tmp_path_factory.mktemp('whole')
    training = Training(tiny.tiny_config(shards), folder)
    result = training.run()
    assert result.step == 12 and result.reason is None
    return folder, training.network, result


def same_weights(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_every_step_has_a_row_and_validations_have_figures(whole):
    table = rows(whole[0])
    assert [int(row['step']) for row in table] == list(range(1, 13))
    assert all(math.isfinite(float(row['loss'])) for row in table)
    assert [bool(row['epe_px']) for row in table] == [n in (6, 12) for n in range(1, 13)]
    terms = ('match', 'step_8', 'full', 'likelihood', 'mask', 'dice', 'parts')
    total = sum(float(table[3][name]) for name in (*terms, 'step_4_first', 'step_4_second'))
    assert float(table[3]['loss']) == pytest.approx(total)


@pytest.mark.parametrize('layout', [{'run__log_every': 4}, BF16])
def test_a_stopped_training_goes_on_to_the_same_bits(tiny, shards, tmp_path, layout):
    config = tiny.tiny_config(shards, **layout)
    straight = Training(config, tmp_path / 'straight')
    straight.run()
    first = Training(config, tmp_path / 'halves')
    ended = first.run(stop_after(first, 5))
    assert ended.step == 5 and ended.reason == 'enough'
    second = Training(config, tmp_path / 'halves', resume=True)
    assert second.step == 5
    assert second.run().step == 12
    assert rows(tmp_path / 'halves') == rows(tmp_path / 'straight')
    assert same_weights(second.network, straight.network)


FULL_RATE = 0.002
# After a step at the full rate four in which it falls.
FALLING = [1.0, 1.0, 0.854, 0.5, 0.146]


def falling(tiny, shards, folder, **changes):
    schedule = {'kind': 'constant', 'lr': FULL_RATE, 'steps': 50}
    config = tiny.tiny_config(shards, optimiser__schedule=schedule, run__validate_every=50)
    return Training(config, folder, **changes)


def rates(folder):
    return [float(row['lr']) / FULL_RATE for row in rows(folder)]


def test_a_training_whose_time_is_limited_ends_with_a_rate_that_falls(tiny, shards, tmp_path):
    training = falling(tiny, shards, tmp_path)
    told = []
    training._progress = lambda progress: told.append(progress.steps)
    ended = training.run(should_fall=lambda: training.step == 0)
    assert (ended.step, ended.reason) == (5, 'the rate has fallen to nothing')
    assert rates(tmp_path) == pytest.approx(FALLING, abs=1e-3)
    assert told == [5] * 5
    # What goes on after the end does so at the full rate, with a fall of its own.
    training.conclude()
    more = falling(tiny, shards, tmp_path, resume=True)
    assert more.run(should_fall=lambda: more.step == 6).step == 15
    assert rates(tmp_path)[5:9] == pytest.approx([1, 1, 1, 0.962], abs=1e-3)


def test_a_training_that_was_stopped_while_its_rate_fell_goes_on_to_the_same_bits(
    tiny, shards, tmp_path
):
    straight, halves = tmp_path / 'straight', tmp_path / 'halves'
    whole = falling(tiny, shards, straight)
    whole.run(should_fall=lambda: whole.step == 1)
    first = falling(tiny, shards, halves)
    first.run(stop_after(first, 5), should_fall=lambda: first.step == 1)
    second = falling(tiny, shards, halves, resume=True)
    assert second.run(should_fall=lambda: True).step == 10
    assert rows(halves) == rows(straight)
    assert same_weights(second.network, whole.network)


def test_other_seeds_give_other_trainings(tiny, shards, tmp_path, whole):
    training = Training(tiny.tiny_config(shards, seed=6), tmp_path)
    training.run(stop_after(training, 1))
    assert rows(tmp_path)[0] != rows(whole[0])[0]


def run_program(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.timeout(600)
def test_a_training_that_was_killed_repeats_itself_to_the_bit(tiny, shards, tmp_path, whole):
    # Any step will do; which one it is, is left to chance.
    wanted, victim = random.randint(4, 9), tmp_path / 'killed'
    process = run_program(shards, victim, 12)
    deadline = time.monotonic() + 300
    while not (victim / METRICS_FILE).exists() or len(rows(victim)) < wanted:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, 'the training does not come forward'
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    begun = read_state(victim / LAST)['step']
    assert 0 < begun < 12
    # Another process goes on.
    assert Training(tiny.tiny_config(shards), victim, resume=True).run().step == 12
    assert rows(victim) == rows(whole[0]), f'killed at {wanted}, went on from {begun}'
    states = [read_state(folder / LAST)['network'] for folder in (victim, whole[0])]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.slow
def test_two_processes_train_one_network(shards, tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    together = {'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)}
    processes = [
        run_program(shards, tmp_path, 4, RANK=str(rank), LOCAL_RANK=str(rank), **together)
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=100)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    table = rows(tmp_path)
    assert [int(row['step']) for row in table] == [1, 2, 3, 4]
    assert read_state(tmp_path / LAST)['ranks'] == 2


@pytest.fixture
def first_step(tiny, shards, tmp_path, monkeypatch):
    """Give a function that makes one step with a batch in pieces: norm of the gradients and loss.

    Batch-norm sees each piece by itself, so that only statistics of the pieces differ: a network
    whose batch-norms are frozen in eval mode shows the rest.
    """

    def of(batch_size, pieces, **changes):
        config = tiny.tiny_config(
            shards,
            optimiser__batch_size=batch_size,
            optimiser__accumulate=pieces,
            task='segmentation',
            fast_loss={'dice': 0.0, 'parts': 0.0},
            **changes,
        )
        training = Training(config, tmp_path / str(batch_size))
        frozen = training._network.eval()
        monkeypatch.setattr(frozen, 'train', lambda mode=True, network=frozen: network)
        training.run(stop_after(training, 1))
        (row,) = rows(tmp_path / str(batch_size))
        return float(row['gradient_norm']), float(row['loss'])

    return of


def test_accumulated_gradients_are_those_of_the_larger_batch(first_step):
    assert first_step(4, 1) == pytest.approx(first_step(2, 2), rel=1e-4)


def test_pieces_of_unequal_size_count_by_their_pairs(first_step):
    # The larger crop leaves three of six pairs: two pieces of two pairs and one.
    crops = ((64, 64), (128, 64))
    plans = (StepPlan(batch_size=6, crops=crops, seed=seed) for seed in range(20))
    seed = next(plan.seed for plan in plans if plan.crop(0) == (128, 64))
    same = {'seed': seed, 'data__crops': [list(crop) for crop in crops]}
    assert first_step(6, 1, **same) == pytest.approx(first_step(3, 2, **same), rel=1e-4)


def test_a_mask_that_is_not_trained_does_not_decide_what_is_best(
    tiny, shards, tmp_path, monkeypatch
):
    figures = Figures(float('nan'), float('nan'), float('nan'), 0.3)
    monkeypatch.setattr(selection, 'validate', lambda *_, **__: figures)
    config = tiny.tiny_config(shards, fast_loss={'mask': 0.0, 'dice': 0.0, 'parts': 0.0})
    assert Training(config, tmp_path / 'one').conclude().best is None
    best = Training(tiny.tiny_config(shards), tmp_path / 'both').conclude().best
    assert best is not None and best['score'] == pytest.approx(0.7)


def test_averaged_weights_lag_behind(tiny, shards, tmp_path):
    slow = Training(tiny.tiny_config(shards, optimiser__ema_decay=0.99), tmp_path / 'slow')
    none = Training(tiny.tiny_config(shards, optimiser__ema_decay=0.0), tmp_path / 'none')
    for training in (slow, none):
        training.run(stop_after(training, 4))
    assert same_weights(none.network, none._network)
    assert same_weights(slow._network, none._network)
    assert not same_weights(slow.network, slow._network)


@pytest.mark.slow
def test_it_learns(tiny, shards, tmp_path):
    config = tiny.tiny_config(
        shards,
        optimiser__schedule={'steps': 150, 'lr': 0.01, 'warmup': 5},
        augment={},
        data__crops=[[96, 64]],
        run__validate_every=75,
        run__log_every=50,
        run__checkpoint_every=150,
    )
    result = Training(config, tmp_path).run()
    figures = [float(row['epe_px']) for row in rows(tmp_path) if row['epe_px']]
    losses = [float(row['loss']) for row in rows(tmp_path) if row['loss']]
    assert losses[-1] < 0.6 * losses[0]
    assert result.best['epe_px'] == min(figures) < 5.0
    assert result.best['iou'] > 0.3


def test_the_best_weights_are_kept_and_can_be_taken(tiny, shards, tmp_path, monkeypatch):
    scores = iter([3.0, 1.0, 2.0])
    kept = {}

    def judged(network, *_, **__):
        figures = Figures(next(scores), 0.0, 0.0, 0.0)
        kept[figures.epe_px] = {k: v.clone() for k, v in network.state_dict().items()}
        return figures

    monkeypatch.setattr(selection, 'validate', judged)
    training = Training(tiny.tiny_config(shards, run__validate_every=4), tmp_path)
    assert training.run().best['step'] == 8
    training.use_best()
    state = training.network.state_dict()
    assert all(torch.equal(state[name], kept[1.0][name]) for name in state)
    assert not all(torch.equal(state[name], kept[2.0][name]) for name in state)
    assert (tmp_path / BEST).is_file()


def test_a_loss_that_is_no_number_ends_it_with_the_reason(tiny, shards, tmp_path):
    training = Training(tiny.tiny_config(shards), tmp_path)
    training.run(stop_after(training, 3))
    before = (tmp_path / LAST).read_bytes()
    again = Training(tiny.tiny_config(shards), tmp_path, resume=True)
    with torch.no_grad():
        again._network.scale.bias.fill_(float('nan'))
    with pytest.raises(DivergenceError, match='at step 3: the loss term likelihood is nan'):
        again.run()
    assert (tmp_path / LAST).read_bytes() == before


def test_a_changed_configuration_does_not_go_on(tiny, shards, tmp_path, whole):
    changed = tiny.tiny_config(shards, optimiser__weight_decay=0.5)
    with pytest.raises(UsageError, match=r'with optimiser\.weight_decay 0\.0001, not 0\.5'):
        Training(changed, whole[0], resume=True)
    quicker = tiny.tiny_config(shards, run__log_every=4, data__workers=1)
    assert Training(quicker, whole[0], resume=True).step == 12


def test_without_a_checkpoint_nothing_goes_on(tiny, shards, tmp_path):
    with pytest.raises(FileFormatError, match='leave out --resume'):
        Training(tiny.tiny_config(shards), tmp_path, resume=True)
    (tmp_path / LAST).write_bytes(b'PK no checkpoint')
    with pytest.raises(FileFormatError, match='is no checkpoint'):
        Training(tiny.tiny_config(shards), tmp_path, resume=True)


def test_a_training_can_begin_with_the_weights_of_another(tiny, shards, tmp_path, whole):
    path = tmp_path / 'begin.pt'
    torch.save(whole[1].state_dict(), path)
    training = Training(replace(tiny.tiny_config(shards), init=str(path)), tmp_path)
    assert same_weights(training._network, whole[1])
    wrong = tiny.tiny_config(shards, network__max_disparity=128)
    with pytest.raises(ModelError, match='does not fit the network'):
        Training(replace(wrong, init=str(path)), tmp_path)


def test_the_masks_encoder_learns_as_it_is_asked_to(tiny, shards, tmp_path):
    settings = {'frozen_stages': 3, 'frozen_statistics': True, 'lr_share': 0.25}
    config = tiny.tiny_config(shards, task='segmentation', mask_encoder=settings)
    training = Training(config, tmp_path)
    state = training._network.state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    training.run(stop_after(training, 3))
    encoder = 'mask_head.encoder.'
    frozen = tuple(f'{encoder}{part}.' for part in ('stem', 'stages.0', 'stages.1'))
    moved = {name for name, tensor in state.items() if not torch.equal(before[name], tensor)}
    assert not any(name.startswith(frozen) for name in moved)
    assert not any(name.startswith(encoder) and 'running' in name for name in moved)
    assert any(name.startswith(f'{encoder}stages.2') for name in moved)
    assert any(name.startswith('mask_head.up_half') and 'running' in name for name in moved)
    slow, fast = training._optimiser.param_groups
    assert slow['lr'] == pytest.approx(fast['lr'] / 4) and fast['lr'] > 0
    ours = {id(weights) for weights in slow['params']}
    named = dict(training._network.named_parameters())
    assert ours == {
        id(w) for n, w in named.items() if n.startswith(encoder) and not n.startswith(frozen)
    }


def test_the_masks_encoder_begins_with_published_weights(tiny, shards, tmp_path):
    config = tiny.tiny_config(shards, mask_encoder={'weights': str(tmp_path / 'lite0.pth')})
    with pytest.raises(ModelError, match=r'cannot read the weights .*lite0\.pth'):
        Training(config, tmp_path)
    torch.save({'_conv_stem.weight': torch.zeros(8, 3, 3, 3)}, tmp_path / 'lite0.pth')
    with pytest.raises(ModelError, match='no weights of EfficientNet-Lite0'):
        Training(config, tmp_path)


@pytest.mark.parametrize('task', ['disparity', 'segmentation'])
def test_a_task_trains_its_own_half(tiny, shards, tmp_path, task):
    training = Training(tiny.tiny_config(shards, task=task), tmp_path)
    before = {name: w.clone() for name, w in training._network.named_parameters()}
    training.run(stop_after(training, 2))
    (row, _) = rows(tmp_path)
    assert ('mask' in row) == (task == 'segmentation')
    changed = {name for name, w in training._network.named_parameters() if w.grad is not None}
    idle = 'mask_head.' if task == 'disparity' else 'matcher.'
    assert changed and not any(name.startswith(idle) for name in changed)
    assert any(not torch.equal(before[n], w) for n, w in training._network.named_parameters())


@pytest.mark.parametrize(
    ('task', 'loss', 'columns'),
    [
        ('disparity', {}, {'disparity'}),
        (
            'disparity',
            {'scale_weights': [0.0, 0.0, 1.0, 1.0, 1.0, 1.0], 'match_weight': 2.0},
            {'disparity', 'match'},
        ),
        ('segmentation', {'segmentation_criterion': 'jaccard_wbce'}, {'segmentation'}),
        (
            'multitask',
            {
                'disparity_loss': 'unsupervised_multiscale',
                'scale_weights': [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            },
            {'disparity', 'segmentation'},
        ),
    ],
)
def test_the_published_network_trains_by_its_published_losses(
    tiny, shards, tmp_path, task, loss, columns
):
    config = tiny.tiny_config(
        shards,
        task=task,
        network={'family': 'msdesis', 'encoder': 'light', 'max_disparity': 64},
        published_loss=loss,
        optimiser__schedule={'steps': 2, 'lr': 1e-4},
        data__validation_frames=1,
    )
    result = Training(config, tmp_path).run()
    assert result.step == 2 and result.best is not None
    assert {
        name for name in rows(tmp_path)[0] if name in ('disparity', 'segmentation', 'match')
    } == columns
