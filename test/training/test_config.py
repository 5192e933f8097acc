"""Configurations: what ships is valid, and a slip of the pen is told where it is."""

from __future__ import annotations

import json
import math

import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.core.errors import FileFormatError, UsageError  # noqa: E402
from msdesis_ros.training.config import read_config  # noqa: E402
from msdesis_ros.training.objectives import network_of, objective_of  # noqa: E402

PHASES = {
    'ph1_disparity',
    'ph2_disparity',
    'ph2_segmentation',
    'ph2_multitask',
    'ph3_multi2disp',
    'ph3_seg2disp',
    'ph3_multi2seg',
    'ph3_disp2seg',
    'ablation_disparity_only',
    'ablation_segmentation_only',
}


@pytest.fixture
def write(tmp_path, tiny):
    def written(**changes):
        path = tmp_path / 'config.json'
        path.write_text(json.dumps(tiny.tiny_content('shards', **changes)), encoding='utf-8')
        return path

    return written


def test_every_configuration_that_ships_is_valid(project_root):
    files = sorted((project_root / 'config' / 'train').glob('*.json'))
    assert {file.stem for file in files} == {
        *PHASES,
        'fast_small',
        'fast_base',
        'fast_large',
        'fast_mask',
        'light_eighth',
        'light_quarter',
        'light_full',
        'finetune',
    }
    for file in files:
        config = read_config(file)
        with torch.device('meta'):
            network = network_of(config)
        objective_of(config, network)


@pytest.mark.parametrize(
    ('file', 'epochs', 'batch', 'lr', 'kind', 'crop'),
    [
        ('ph1_disparity', 150, 15, 1e-3, 'onecycle', (640, 384)),
        ('ph2_disparity', 600, 7, 1e-4, 'constant', (640, 384)),
        ('ph2_segmentation', 40, 16, 1e-4, 'constant', (1280, 1024)),
        ('ph2_multitask', 70, 10, 1e-4, 'constant', (640, 512)),
    ],
)
def test_the_published_phases_have_the_published_numbers(
    project_root, file, epochs, batch, lr, kind, crop
):
    config = read_config(project_root / 'config' / 'train' / f'{file}.json')
    schedule = config.optimiser.schedule
    assert (schedule.epochs, schedule.lr, schedule.kind) == (epochs, lr, kind)
    assert (config.optimiser.batch_size, config.data.crops) == (batch, (crop,))
    assert (config.optimiser.weight_decay, config.seed) == (1e-4, 5)
    assert config.network['max_disparity'] == 320
    assert config.published_loss.disparity_segmentation_weight == 0.2


SCARED_COLOURS, IMAGENET_COLOURS = (0.5339, 0.3666, 0.4537), (0.485, 0.456, 0.406)
MONOCULAR = ('ris17_train_monocular', 7 * 225, 225, SCARED_COLOURS)
STEREO = ('ris17_124', 2 * 225, 225, SCARED_COLOURS)
KEY_FRAMES = ('scared', 17, 8, SCARED_COLOURS)


@pytest.mark.parametrize(
    ('file', 'wanted'),
    [
        ('ph2_disparity', KEY_FRAMES),
        ('ph2_segmentation', MONOCULAR),
        ('ph2_multitask', STEREO),
        ('ph3_multi2disp', KEY_FRAMES),
        ('ph3_seg2disp', KEY_FRAMES),
        ('ph3_multi2seg', MONOCULAR),
        ('ph3_disp2seg', MONOCULAR),
        ('ablation_disparity_only', STEREO),
        ('ablation_segmentation_only', STEREO),
    ],
)
def test_the_published_phases_name_their_data_and_validate_once_an_epoch(
    project_root, file, wanted
):
    layout, train, validation, colours = wanted
    config = read_config(project_root / 'config' / 'train' / f'{file}.json')
    for part, split in (('train', 'train'), ('validation', 'validation')):
        (source,) = getattr(config.data, part)
        assert (source.layout, source.split) == (layout, split)
        assert source.root.startswith('data/')
    assert config.run.validate_every == math.ceil(train / config.optimiser.batch_size)
    assert config.data.validation_frames == validation
    assert config.mean == colours


def test_the_first_phase_has_flyingthings_and_the_colours_of_imagenet(project_root):
    config = read_config(project_root / 'config' / 'train' / 'ph1_disparity.json')
    assert [source.layout for source in config.data.train] == ['flyingthings3d']
    assert (config.mean, config.std) == (IMAGENET_COLOURS, (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'sede': 1}, 'sede is unknown; known keys of the configuration: name, task'),
        ({'optimiser__schedule__lrr': 1}, r'optimiser\.schedule\.lrr is unknown.* lr, steps'),
        ({'data__workers': -1}, r'data: workers is -1; expected 0 or more'),
        ({'data__when_broken': 'skp'}, "when_broken is 'skp'; known: stop, skip"),
        ({'run__threads': -2}, r'threads is -2; expected 1 or more, or null'),
        ({'augment__photometric': {'gian': 1}}, r'augment\.photometric\.gian is unknown.* gain'),
        ({'mask_encoder': {'frozen_stages': 9}}, 'frozen_stages is 9; expected 0 to 8'),
        ({'mask_encoder': {'lr_share': 0}}, r'lr_share is 0\.0; expected more than 0'),
        (
            {'network': {'family': 'msdesis'}, 'mask_encoder': {'lr_share': 0.5}},
            'mask_encoder is for the family msdesis_fast',
        ),
        ({'seed': -1}, 'seed is -1; expected 0 or more'),
        ({'optimiser__weight_decay': -1.0}, r'weight_decay is -1\.0; expected 0 or more'),
        ({'optimiser__clip_norm': -1.0}, r'clip_norm is -1\.0; expected more than 0'),
        ({'published_loss': {'match_weight': -1}}, r'match_weight is -1\.0; expected 0 or more'),
        ({'data__train': [{}]}, r'data\.train\.0: a source has either shards, or a layout'),
        ({'data__train': [{'shards': 'x', 'layout': 'scared'}]}, 'has either shards, or a layout'),
        ({'data__train': [{'shards': 'x', 'root': 'y'}]}, 'keys of a layout; shards have neither'),
        ({'data__train': [{'layout': 'kitti', 'root': 'x'}]}, "layout is 'kitti'; known: flying"),
        ({'data__train': [{'layout': 'scared', 'split': 'train'}]}, 'scared needs the root'),
        (
            {'data__train': [{'layout': 'scared', 'root': 'x'}]},
            r'data\.train\.0: split of the layout scared is None; known: train, validation',
        ),
        (
            {'data__train': [{'layout': 'scared_test', 'root': 'x', 'split': 'train'}]},
            "split of the layout scared_test is 'train'; known: test",
        ),
        (
            {'data__train': [{'layout': 'own_frames', 'root': 'x', 'split': 'train'}]},
            'the layout own_frames has no splits; leave split out',
        ),
        ({'data__train': 'x'}, r"data\.train is 'x'; expected a list"),
        ({'seed': 'five'}, "seed is 'five'; expected a whole number"),
        ({'seed': True}, 'seed is True; expected a whole number'),
        ({'data__crops': [[64]]}, r'data\.crops\.0 is \[64\]; expected 2 values'),
        ({'optimiser': 3}, 'optimiser is 3; expected an object'),
        ({'run__precision': 'fp8'}, 'known: fp32, bf16'),
        ({'run__precision': 'bf16'}, 'bf16 needs 64 px or more'),
        ({'task': 'depth'}, 'known: disparity, multitask, segmentation'),
        ({'network': {'size': 'base'}}, 'network needs a family'),
        ({'name': '../x'}, 'name is'),
        ({'optimiser__batch_size': 0}, 'batch_size is 0'),
        ({'optimiser__ema_decay': 1.0}, 'ema_decay is 1.0'),
        ({'published_loss': {'scale_weights': [1.0]}}, 'six numbers'),
        ({'fast_loss': {'dice': -1}}, 'the loss weight dice is -1.0'),
    ],
)
def test_a_slip_of_the_pen_is_refused(write, changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        read_config(write(**changes))


def test_changes_reach_every_depth(write):
    changes = [
        'optimiser.schedule.lr=0.5',
        'data.train.0.shards=elsewhere',
        'augment.scale=[0.5, 1]',
        'init=weights/a.pt',
        'run.threads=null',
    ]
    config = read_config(write(), changes)
    assert config.optimiser.schedule.lr == 0.5
    assert config.data.train[0].shards == config.data.train[0].place == 'elsewhere'
    assert config.augment.scale == (0.5, 1.0)
    assert config.init == 'weights/a.pt' and config.run.threads is None


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ('optimiser.batch_size', 'is no key=value'),
        ('optimiser.btch=4', r'optimiser\.btch is unknown'),
        ('data.train.7.shards=x', 'no position in a list of 1'),
        ('seed.deep=1', 'has no keys'),
        ('name.deep.deeper=1', 'has no keys'),
    ],
)
def test_a_wrong_change_is_refused(write, change, sentence):
    with pytest.raises(UsageError, match=sentence):
        read_config(write(seed=3), [change])


@pytest.mark.parametrize('text', ['', '[1]', '{"name": '])
def test_a_file_that_is_no_object_is_refused(tmp_path, text):
    path = tmp_path / 'broken.json'
    path.write_text(text)
    with pytest.raises(FileFormatError, match=r'broken\.json'):
        read_config(path)


def test_a_mode_against_the_task_is_refused(tiny):
    config = tiny.tiny_config(
        'x', network={'family': 'msdesis', 'encoder': 'light', 'mode': 'disparity'}
    )
    with pytest.raises(UsageError, match='but the task is multitask'):
        network_of(config)


def test_a_task_without_losses_is_refused(tiny):
    nothing = {'mask': 0.0, 'dice': 0.0, 'parts': 0.0}
    config = tiny.tiny_config('x', task='segmentation', fast_loss=nothing)
    with pytest.raises(UsageError, match='every loss weight'):
        objective_of(config, network_of(config))
