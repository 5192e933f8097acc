"""`msdesis finetune`: from a folder of own frames to a model that runs, or a reason why not."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip('torch', reason='the extra torch is not installed')
pytest.importorskip('onnxscript', reason='the extra export is not installed')

from msdesis_ros.cli.app import app  # noqa: E402
from msdesis_ros.cli.finetune_options import FineTuneOptions  # noqa: E402
from msdesis_ros.core.errors import FileFormatError, UsageError  # noqa: E402
from msdesis_ros.data.images import write_image  # noqa: E402
from msdesis_ros.data.synth.generate import generate_shards  # noqa: E402
from msdesis_ros.runtime.cards import load_card  # noqa: E402
from msdesis_ros.training import comparison, fine_tune_files, rehearsal  # noqa: E402

# Exports and trainings take seconds, on a busy machine minutes.
pytestmark = pytest.mark.timeout(600)
TRAINING = Path(__file__).parents[1] / 'training'
PAIRS = 8


def load(name):
    spec = importlib.util.spec_from_file_location(
        f'msdesis_finetune_{name}', TRAINING / f'{name}.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def scenes():
    torch.set_num_threads(1)
    load('tiny')  # registers the size 'tiny'
    return load('scenes')


@pytest.fixture(scope='module')
def frames(scenes, tmp_path_factory):
    """Own pairs of 128x96 px in left/ and right/. Not to be changed."""
    folder = tmp_path_factory.mktemp('own')
    write_frames(scenes, folder)
    return folder


def write_frames(scenes, folder, count=PAIRS):
    for number in range(count):
        frame = scenes.boxed_wall(500 + number)
        for side in ('left', 'right'):
            write_image(folder / side / f'{number:04d}.png', getattr(frame, side))


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """An untrained network whose answers are at least numbers of different pixels."""
    from msdesis_ros.nets.checkpoints import checkpoint_bytes
    from msdesis_ros.nets.registry import create_network

    torch.manual_seed(4)
    network = create_network('msdesis_fast', size='tiny', max_disparity=64).eval()
    path = tmp_path_factory.mktemp('weights') / 'start.safetensors'
    path.write_bytes(checkpoint_bytes(network, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2)))
    return path


@pytest.fixture(scope='module')
def generated_once(tmp_path_factory):
    """`generate_shards` that copies what it made before; its worker takes seconds to start."""
    kept = {}

    def generate(folder, recipe, *, frames, progress, **options):
        if not folder.exists():
            if (recipe, frames) not in kept:
                kept[recipe, frames] = tmp_path_factory.mktemp('rehearsal') / 'made'
                generate_shards(kept[recipe, frames], recipe, frames=frames, **options)
            shutil.copytree(kept[recipe, frames], folder)
        return generate_shards(folder, recipe, frames=frames, progress=progress, **options)

    return generate


@pytest.fixture(autouse=True)
def quick(monkeypatch, generated_once):
    """Rehearsal pairs that are small and few."""
    monkeypatch.setattr(rehearsal, 'generate_shards', generated_once)
    monkeypatch.setattr(rehearsal, 'REHEARSAL_SIZE', (128, 96))
    few = {'train': (('layered', 4, 11),), 'validation': (('layered', 1, 12),)}
    monkeypatch.setattr(rehearsal, 'REHEARSAL', few)
    monkeypatch.setattr('msdesis_ros.cli.finetune.usable_cores', lambda: 1)


SMALL = (
    'optimiser.schedule.steps=4', 'optimiser.schedule.warmup=1', 'optimiser.batch_size=2',
    'data.crops=[[64,64]]', 'data.workers=0', 'data.validation_frames=3', 'run.threads=1',
    'run.validate_every=2', 'run.checkpoint_every=1', 'run.log_every=1', 'run.device=cpu',
)  # fmt: skip


def finetune(*arguments, changes=()):
    settings = [part for change in (*SMALL, *changes) for part in ('--set', change)]
    return CliRunner().invoke(app, ['finetune', *map(str, arguments), *settings])


@pytest.mark.parametrize(
    ('seconds', 'lots'),
    [(0, 1), (7999, 1), (12_001, 3), (100_000, rehearsal.MOST_LOTS)],
)
def test_as_many_pairs_are_made_as_a_part_of_the_time_allows(monkeypatch, tmp_path, seconds, lots):
    """Each lot of 80 pairs takes ten minutes here; 15 % of the time is for them."""
    now, made = [0.0], []

    def generate(folder, recipe, *, frames, **options):
        made.append((folder.parent.name, recipe.kind, recipe.seed))
        now[0] += 600.0

    monkeypatch.setattr(rehearsal, 'generate_shards', generate)
    monkeypatch.setattr(rehearsal, 'time', SimpleNamespace(monotonic=lambda: now[0]))
    pairs = {'validation': (('render', 9, 1),), 'train': (('layered', 96, 2), ('render', 80, 50))}
    monkeypatch.setattr(rehearsal, 'REHEARSAL', pairs)
    sources = rehearsal.make_rehearsal(tmp_path, seconds=seconds, workers=1)
    assert made[:2] == [('validation', 'render', 1), ('train', 'layered', 2)]
    assert made[2:] == [('train', 'render', 50 + lot) for lot in range(lots)]
    places = [source['shards'] for source in sources['train']]
    assert len(set(places)) == 1 + lots and len(sources['validation']) == 1
    # However many there are, a fifth of the lessons is layered.
    layered, *rendered = (source['weight'] for source in sources['train'])
    assert layered == 0.2 and rendered == pytest.approx([0.8 / lots] * lots)


@pytest.fixture
def always_better(monkeypatch):
    """Four steps of an untrained network are no improvement: let them pass for one."""
    monkeypatch.setattr(comparison.Comparison, 'reasons', property(lambda self: ()))


@pytest.fixture
def not_exported(monkeypatch):
    """The result is known from another test; making it takes most of the time. Lists what was
    told to make it.
    """
    told = []

    def write_deployment(network, config, *_, **options):
        told.append({'network': network, 'config': config, **options})
        return Path('not exported.toml')

    monkeypatch.setattr(fine_tune_files, 'write_deployment', write_deployment)
    return told


@pytest.fixture(scope='module')
def cards(scenes, tmp_path_factory):
    """A folder with the card `depth`: tiny untrained weights for disparity alone."""
    from msdesis_ros.nets.registry import create_network
    from msdesis_ros.training.config import TrainConfig, build
    from msdesis_ros.training.finish import write_result
    from msdesis_ros.training.loop import TrainResult

    folder = tmp_path_factory.mktemp('cards')
    content = load('tiny').tiny_content('shards', name='depth', task='disparity')
    torch.manual_seed(4)
    path = write_result(
        create_network('msdesis_fast', size='tiny', max_disparity=64).eval(),
        build(TrainConfig, content, where=''),
        TrainResult(1, None, None),
        folder,
        data='nothing',
        command=['msdesis'],
        commit=None,
    )
    text = path.read_text().replace("licence = 'not stated'", "licence = 'Apache-2.0'")
    path.write_text(text.replace("known_failures = ['not stated']", "known_failures = ['smoke']"))
    return folder


def bare(*arguments):
    """Without any --set."""
    return CliRunner().invoke(app, ['finetune', *map(str, arguments)])


@pytest.mark.parametrize(
    ('image_size', 'enlarged'),
    [
        ((448, 352), 800 / 448),
        ((640, 512), 1.5),
        ((590, 512), 896 / 590),
        ((1280, 1024), 1.0),
        ((1920, 1080), 1.0),
    ],
)
def test_pairs_are_learned_from_at_the_size_at_which_they_are_matched(
    frames, weights, image_size, enlarged
):
    options = FineTuneOptions(frames=frames, checkpoint=weights)
    _, config = options.begin()
    low, high = config.augment.scale
    assert low < 1 < high
    found = options.at_deployed_size(config, image_size)
    assert found.augment.scale == pytest.approx((enlarged * low, enlarged * high))
    assert replace(found, augment=config.augment) == config
    native = replace(config, network={**config.network, 'enlarged': []})
    assert options.at_deployed_size(native, image_size) == native
    set_by_hand = replace(options, changes=('augment.scale=[0.5, 0.6]',))
    _, config = set_by_hand.begin()
    assert set_by_hand.at_deployed_size(config, image_size).augment.scale == (0.5, 0.6)


def test_own_frames_end_in_a_model_that_runs(frames, weights, tmp_path, always_better):
    from safetensors.torch import load_file

    out = tmp_path / 'out'
    done = finetune(frames, '--checkpoint', weights, '--out', out, '--name', 'ours')
    assert done.exit_code == 0, done.output
    assert '6 pairs of 128x96 px to learn from, 2 held out to compare on' in done.output
    assert 'on 2 of 2 held-out pairs' in done.output
    assert 'error on 1 pairs with truth' in done.output
    assert f'model:=ours models_dir:={out}' in done.output
    card = load_card('ours', out)
    assert card.verify() == [] and {file.format for file in card.files} == {'onnx', 'safetensors'}
    assert card.heads == {'disparity', 'instrument_mask', 'uncertainty'}
    assert '6 own pairs without truth' in card.training.data
    assert '2 more pairs held out, 2 of them compared' in card.training.data
    told_of = {figure.figure: figure.data for figure in card.measured}
    assert told_of['unlikeness'] == f'2 of 2 held-out pairs of {frames}'
    assert told_of['general_epe_px'] == '1 validation pairs with truth'
    assert {'unlikeness', 'unlikeness_before', 'general_epe_px'} <= {
        figure.figure for figure in card.measured
    }
    assert card.input.mean == (0.5, 0.4, 0.3)
    # The mask is promised as before, and is the same to the bit.
    before, after = (load_file(path) for path in (weights, out / 'model.safetensors'))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and not any(name.startswith('mask_head.') for name in changed)
    left, right = (frames / side / '0000.png' for side in ('left', 'right'))
    answered = CliRunner().invoke(
        app,
        ['infer', 'pair', str(left), str(right), '--rectified', '--model', 'ours']
        + ['--models-dir', str(out), '--out', str(tmp_path / 'pair')],
    )
    assert answered.exit_code == 0, answered.output
    assert (tmp_path / 'pair' / 'disparity.tiff').exists()


def test_what_is_no_better_is_not_written(frames, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(
        comparison.Comparison, 'reasons', property(lambda self: ('the eyes disagree more',))
    )
    out = tmp_path / 'out'
    done = finetune(frames, '--checkpoint', weights, '--out', out)
    assert done.exit_code == 1
    assert 'made it no better (the eyes disagree more), so that nothing was written' in done.output
    assert not list(out.glob('*.toml')) and not list(out.glob('*.onnx'))
    assert not (out / 'model.safetensors').exists()


def test_a_fine_tuning_goes_on_where_it_ended(
    frames, weights, tmp_path, always_better, not_exported
):
    straight, halves = tmp_path / 'straight', tmp_path / 'halves'
    whole = finetune(frames, '--checkpoint', weights, '--out', straight)
    assert whole.exit_code == 0, whole.output
    # No time at all: one step, and what follows from it.
    first = finetune(frames, '--checkpoint', weights, '--out', halves, '--minutes', 0)
    assert first.exit_code == 0 and 'step 1 of 1' in first.output, first.output
    refused = finetune(frames, '--checkpoint', weights, '--out', halves)
    assert isinstance(refused.exception, UsageError) and '--resume' in str(refused.exception)
    again = bare(frames, '--out', halves, '--resume')
    assert again.exit_code == 0 and 'of 4' in again.output, again.output

    def rows(folder):
        lines = (folder / 'metrics.csv').read_text().splitlines()
        return [line for line in lines if line.split(',')[0] in ('2', '3', '4')]

    assert rows(halves) == rows(straight)


def test_other_weights_and_another_mode_do_not_go_on(
    frames, weights, tmp_path, always_better, not_exported
):
    out = tmp_path / 'out'
    finetune(frames, '--checkpoint', weights, '--out', out, '--minutes', 0)
    from msdesis_ros.nets.checkpoints import checkpoint_bytes
    from msdesis_ros.nets.registry import create_network

    other = tmp_path / 'other.safetensors'
    network = create_network('msdesis_fast', size='tiny', max_disparity=64)
    other.write_bytes(checkpoint_bytes(network))
    done = finetune(frames, '--checkpoint', other, '--out', out, '--resume')
    assert isinstance(done.exception, UsageError)
    assert 'began with other weights' in str(done.exception)
    # What it teaches is disparity; what it began with answers more.
    less = bare(frames, '--out', out, '--resume', '--mode', 'disparity')
    assert isinstance(less.exception, UsageError)
    assert str(less.exception).startswith(
        f'--mode is disparity, but {out} began with multitask; go on with that'
    )


def test_pairs_with_truth_are_given_once(frames, weights, tmp_path):
    done = finetune(
        frames, '--checkpoint', weights, '--out', tmp_path / 'out',
        '--rehearsal', tmp_path / 'shards', '--set', 'data.train=[{"shards": "other"}]',
    )  # fmt: skip
    assert isinstance(done.exception, UsageError)
    assert 'say the same; give one' in str(done.exception)


def test_what_is_resumed_is_set_as_it_began(
    frames, cards, tmp_path, always_better, not_exported, monkeypatch
):
    out = tmp_path / 'out'
    first = finetune(
        frames, '--model', 'depth', '--models-dir', cards, '--out', out, '--name', 'ours',
        '--minutes', 0,
    )  # fmt: skip
    assert first.exit_code == 0, first.output
    (begun,) = not_exported
    # A card without a mask: none is promised.
    assert begun['beginning'].mode == 'disparity'

    for option, value in (
        ('--name', 'other'),
        ('--set', 'optimiser.batch_size=1'),
        ('--calibration', 'stereo.yaml'),
        ('--unit', 'mm'),
        ('--rehearsal', tmp_path / 'shards'),
        ('--mode', 'multitask'),
    ):
        refused = bare(frames, '--out', out, '--resume', option, value)
        assert isinstance(refused.exception, UsageError), (option, refused.output)
        assert str(refused.exception).startswith(f'{option} '), str(refused.exception)
    refused = bare(tmp_path, '--out', out, '--resume')
    assert str(refused.exception).startswith(f'FRAMES is {tmp_path}, but {out}')

    # The same in other words, and what may change.
    monkeypatch.chdir(frames.parent)
    done = bare(
        frames.name, '--out', out, '--resume', '--name', 'ours',
        '--rehearsal', out / 'rehearsal' / 'train' / 'layered_11',
        '--set', 'run.log_every=2', '--set', 'optimiser.batch_size=2',
    )  # fmt: skip
    assert done.exit_code == 0 and 'of 4' in done.output, done.output
    again = not_exported[-1]
    assert again['config'].name == 'ours'
    assert (again['beginning'].name, again['beginning'].mode) == ('depth', 'disparity')
    assert again['beginning'].licence == 'Apache-2.0'
    assert again['beginning'].known_failures == ('smoke',)
    assert again['beginning'].weights_sha256 == begun['beginning'].loaded.sha256


def test_nothing_is_no_fine_tuning_to_go_on_with(frames, tmp_path):
    done = bare(frames, '--out', tmp_path / 'out', '--resume')
    assert isinstance(done.exception, UsageError)
    assert 'holds no fine-tuning to go on with' in str(done.exception)


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['--size', '64x64', '--size', '64x64'], '64x64 is given twice'),
        (['--size', '9000x64'], 'cannot export for 9000x64'),
        (['--name', 'finetune'], 'the name finetune is taken'),
        (['--set', 'name=FineTune'], 'the name FineTune is taken'),
        (['--unit', 'mm'], 'give --calibration too'),
    ],
)
def test_what_could_not_be_written_is_refused_before_anything_begins(
    frames, weights, tmp_path, options, sentence
):
    out = tmp_path / 'out'
    done = finetune(frames, '--checkpoint', weights, '--out', out, *options)
    assert isinstance(done.exception, UsageError)
    assert sentence in str(done.exception) and not out.exists()


def test_a_mode_describes_weights_without_a_card(frames, weights, cards, tmp_path):
    out = tmp_path / 'out'
    masks = finetune(frames, '--checkpoint', weights, '--mode', 'segmentation', '--out', out)
    assert isinstance(masks.exception, UsageError)
    assert 'begin with weights that answer it' in str(masks.exception)
    card = finetune(
        frames, '--model', 'depth', '--models-dir', cards, '--mode', 'disparity', '--out', out
    )
    assert isinstance(card.exception, UsageError) and 'give --checkpoint' in str(card.exception)


def sgbm_card(folder):
    """The card of block matching, as `ours` in a folder."""
    text = (load_card('opencv_sgbm').folder / 'opencv_sgbm.toml').read_text()
    folder.mkdir()
    (folder / 'ours.toml').write_text(text.replace("name = 'opencv_sgbm'", "name = 'ours'", 1))
    return folder


def test_the_demo_runs_a_model_of_another_folder(tmp_path, monkeypatch):
    from msdesis_ros.cli import demo_graph
    from msdesis_ros.core.errors import MsdesisError

    asked = {}

    class Child:
        def __init__(self, module, parameters, **_):
            asked[module] = parameters
            if module.endswith('stereo_endoscope'):
                raise MsdesisError('no node in this test')

        def stop(self):
            pass

    monkeypatch.setattr(demo_graph, 'Child', Child)
    monkeypatch.setattr(demo_graph, 'enter_private_domain', lambda _: {})
    monkeypatch.chdir(tmp_path)
    sgbm_card(tmp_path / 'cards')
    command = ['demo', '--model', 'ours', '--models-dir', 'cards', '--out', 'out']
    done = CliRunner().invoke(app, command)
    assert str(done.exception) == 'no node in this test', done.output
    node = asked['msdesis_ros.ros.stereo_endoscope']
    assert (node['model'], node['models_dir']) == ('ours', str(tmp_path / 'cards'))


def test_a_replay_runs_a_model_of_another_folder(record_stereo, tmp_path):
    recording = record_stereo(tmp_path / 'in.mcap', count=2)
    command = ['replay', str(recording), '--out', str(tmp_path / 'out.mcap'), '--model', 'ours']
    done = CliRunner().invoke(app, [*command, '--models-dir', str(sgbm_card(tmp_path / 'cards'))])
    assert done.exit_code == 0, done.output
    assert '2 pairs through ours' in done.output


def test_every_wrong_file_is_named_before_anything_begins(scenes, weights, tmp_path):
    folder, out = tmp_path / 'own', tmp_path / 'out'
    write_frames(scenes, folder)
    (folder / 'left' / '0001.png').write_bytes(b'no picture')
    (folder / 'right' / '0003.png').unlink()
    whole = (folder / 'right' / '0005.png').read_bytes()
    # Its header and its end are right, its middle is not.
    (folder / 'right' / '0005.png').write_bytes(whole[:200] + bytes(400) + whole[600:])
    write_image(folder / 'odd.png', np.zeros((8, 8), np.uint8))
    done = finetune(folder, '--checkpoint', weights, '--out', out)
    assert isinstance(done.exception, FileFormatError)
    said = str(done.exception)
    for name in ('left/0001.png', 'right/0003.png', 'right/0005.png', 'odd.png'):
        assert name in said
    assert 'left/0002.png' not in said and not out.exists()


def test_broken_files_can_be_left_out(scenes, weights, tmp_path, always_better, not_exported):
    folder = tmp_path / 'own'
    write_frames(scenes, folder)
    (folder / 'right' / '0003.png').unlink()
    done = finetune(
        folder, '--checkpoint', weights, '--out', tmp_path / 'out',
        changes=['data.when_broken=skip'],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert '5 pairs of 128x96 px to learn from' in done.output


def test_too_few_pairs_are_refused(scenes, weights, tmp_path):
    write_frames(scenes, tmp_path / 'own', 3)
    done = finetune(tmp_path / 'own', '--checkpoint', weights, '--out', tmp_path / 'out')
    assert isinstance(done.exception, UsageError) and 'at least 4' in str(done.exception)


def test_another_family_is_refused(frames, tmp_path):
    from msdesis_ros.nets.checkpoints import checkpoint_bytes
    from msdesis_ros.nets.registry import create_network

    path = tmp_path / 'light.safetensors'
    path.write_bytes(checkpoint_bytes(create_network('msdesis', encoder='light')))
    done = finetune(frames, '--checkpoint', path, '--out', tmp_path / 'out')
    assert isinstance(done.exception, UsageError)
    assert 'is of the family msdesis; fine-tuning without truth knows' in str(done.exception)


def test_a_typo_in_a_change_is_refused(frames, weights, tmp_path):
    done = finetune(
        frames, '--checkpoint', weights, '--out', tmp_path / 'out',
        changes=['self_supervised.ankor=1'],
    )  # fmt: skip
    assert isinstance(done.exception, UsageError)
    assert 'self_supervised.ankor is unknown' in str(done.exception)


def test_frames_are_rectified_with_a_calibration(scenes, tmp_path):
    from msdesis_ros.training.own_frames_source import OwnFrames, OwnFramesSource

    # The right camera looks 6 px too high: its pictures show everything 6 px lower.
    folder, shift = tmp_path / 'own', 6
    for number in range(4):
        frame = scenes.boxed_wall(number)
        write_image(folder / 'left' / f'{number}.png', frame.left)
        moved = np.roll(frame.right, shift, axis=0)
        write_image(folder / 'right' / f'{number}.png', moved)
    calibration = tmp_path / 'stereo.yaml'
    storage = cv2.FileStorage(str(calibration), cv2.FILE_STORAGE_WRITE)
    camera = np.array([[100.0, 0, 64], [0, 100.0, 48], [0, 0, 1]])
    lower = camera + np.array([[0, 0, 0], [0, 0, shift], [0, 0, 0]])
    values = {'K1': camera, 'D1': np.zeros(5), 'K2': lower, 'D2': np.zeros(5), 'R': np.eye(3)}
    for name, value in (values | {'T': np.array([-5.0, 0, 0])}).items():
        storage.write(name, value)
    storage.release()
    raw = OwnFramesSource(OwnFrames(str(folder)), 'train').sample(0)
    source = OwnFramesSource(OwnFrames(str(folder), str(calibration)), 'train')
    sample, frame = source.sample(0), scenes.boxed_wall(0)

    def rows_down(found, wanted):
        """By how many rows the picture was moved."""
        inner = np.s_[20:-20, 20:-20]

        def apart(rows):
            return np.abs(found[inner].astype(int) - np.roll(wanted, rows, axis=0)[inner]).mean()

        return min(range(-10, 11), key=apart)

    # Both views are moved to common rows; which these are is for the rectification to choose.
    assert rows_down(raw.right, frame.right) - rows_down(raw.left, frame.left) == shift
    assert rows_down(sample.right, frame.right) == rows_down(sample.left, frame.left)
    assert np.isnan(sample.truth.disparity_px).all() and (sample.truth.mask == 255).all()
