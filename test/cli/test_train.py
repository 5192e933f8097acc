"""`msdesis train`: from a configuration to weights with a card, in one run or in several."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.cli.app import app  # noqa: E402
from msdesis_ros.core.errors import UsageError  # noqa: E402
from msdesis_ros.runtime.cards import load_card  # noqa: E402

TRAINING = Path(__file__).parents[1] / 'training'


def load(name):
    spec = importlib.util.spec_from_file_location(f'msdesis_cli_{name}', TRAINING / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def tiny():
    torch.set_num_threads(1)
    return load('tiny')


@pytest.fixture(scope='module')
def shards(tmp_path_factory):
    return load('scenes').write_boxed_walls(tmp_path_factory.mktemp('cli') / 'boxes', 6)


@pytest.fixture
def config(tiny, shards, tmp_path):
    path = tmp_path / 'tiny.json'
    content = tiny.tiny_content(shards, optimiser__schedule={'steps': 4, 'lr': 0.002})
    path.write_text(json.dumps(content), encoding='utf-8')
    return path


def msdesis(*arguments):
    return CliRunner().invoke(app, ['train', *map(str, arguments)])


def test_a_training_ends_in_weights_with_a_card(config, tmp_path):
    out = tmp_path / 'out'
    done = msdesis('multitask', '--config', config, '--out', out)
    assert done.exit_code == 0, done.output
    assert '4 steps are done, best at step 4' in done.output
    card = load_card('tiny', out)
    assert card.family == 'msdesis_fast' and card.verify() == []
    assert card.heads == {'disparity', 'instrument_mask', 'uncertainty'}
    assert card.training.seed == 5 and '6 synthetic pairs' in card.training.data
    figures = {figure.figure for figure in card.measured}
    assert 'validation epe_px at step 4' in figures
    assert {'metrics.csv', 'last.pt', 'best.pt'} <= {file.name for file in out.iterdir()}


def test_the_card_of_a_training_runs_as_it_is(config, tmp_path):
    from msdesis_ros.nets.checkpoints import load_checkpoint
    from msdesis_ros.runtime.factory import create_backend
    from msdesis_ros.runtime.self_check import check_pictures

    out = tmp_path / 'out'
    done = msdesis('multitask', '--config', config, '--out', out, '--set', 'mean=[0.5, 0.4, 0.3]')
    assert done.exit_code == 0, done.output
    loaded = load_checkpoint(out / 'model.safetensors', size='tiny', max_disparity=64)
    assert (loaded.metadata['card'], loaded.mean) == ('tiny', (0.5, 0.4, 0.3))
    card = load_card('tiny', out)
    assert (card.input.mean, card.input.std) == (loaded.mean, loaded.std)
    assert [plane.name for plane in card.outputs] == ['disparity', 'mask_logits', 'log_scale']
    backend = create_backend('tiny', models_dir=out)
    assert (backend.identity.backend, backend.heads) == ('torch', card.heads)
    output = backend.run(*check_pictures(seed=1, image_size=(75, 50)))
    assert output.uncertainty_px.shape == (50, 75) and (output.uncertainty_px > 0).all()


def test_the_weights_are_those_that_were_validated(config, tmp_path):
    from safetensors.torch import load_file

    out = tmp_path / 'out'
    msdesis('multitask', '--config', config, '--out', out)
    best = torch.load(out / 'best.pt', weights_only=True)['network']
    shipped = load_file(out / 'model.safetensors')
    assert shipped.keys() == best.keys()
    assert all(torch.equal(shipped[name], best[name]) for name in best)


def test_no_time_left_ends_in_a_checkpoint_that_goes_on(config, tmp_path):
    out = tmp_path / 'out'
    ended = msdesis('multitask', '--config', config, '--out', out, '--minutes', 0)
    assert ended.exit_code == 0 and 'steps 0 to 1 of 4 are done' in ended.output, ended.output
    assert not (out / 'model.safetensors').exists()
    done = msdesis('multitask', '--config', config, '--out', out, '--resume')
    assert done.exit_code == 0 and (out / 'model.safetensors').exists(), done.output


def test_time_that_ends_with_the_last_step_ends_in_weights(config, tmp_path):
    out = tmp_path / 'out'
    steps = 'optimiser.schedule.steps=1'
    done = msdesis('multitask', '--config', config, '--out', out, '--minutes', 0, '--set', steps)
    assert done.exit_code == 0 and (out / 'model.safetensors').exists(), done.output


@pytest.mark.parametrize('workers', [0, 1])
def test_ctrl_c_in_a_terminal_ends_in_a_checkpoint_and_says_so(config, tmp_path, workers):
    # As a terminal does it: to the program and to its workers.
    out, log = tmp_path / 'out', tmp_path / 'log'
    changes = ('--set', 'optimiser.schedule.steps=100000', '--set', f'data.workers={workers}')
    code = (
        'import importlib.util, sys\n'
        f'spec = importlib.util.spec_from_file_location("tiny", {str(TRAINING / "tiny.py")!r})\n'
        'spec.loader.exec_module(importlib.util.module_from_spec(spec))\n'
        'from msdesis_ros.cli.app import main\n'
        'if __name__ == "__main__":\n'
        '    main()\n'
    )
    program = tmp_path / 'program.py'
    program.write_text(code, encoding='utf-8')
    command = [sys.executable, program, 'train', 'multitask', '--config', config, '--out', out]
    with log.open('w') as file:
        process = subprocess.Popen(
            [*map(str, command), *changes], stdout=file, stderr=file, start_new_session=True
        )
        deadline = time.monotonic() + 90
        while not (out / 'metrics.csv').exists() and time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130, log.read_text()
    assert 'SIGINT came' in log.read_text() and 'Traceback' not in log.read_text()
    assert (out / 'last.pt').exists()


def test_two_trainings_do_not_share_a_folder(config, tmp_path):
    from msdesis_ros.training.state_files import alone_in

    out = tmp_path / 'out'
    with alone_in(out):
        second = msdesis('multitask', '--config', config, '--out', out)
    assert isinstance(second.exception, UsageError)
    assert f'another process trains in {out}' in str(second.exception)
    assert [path.name for path in out.iterdir()] == ['.lock']
    assert msdesis('multitask', '--config', config, '--out', out).exit_code == 0


def test_a_training_goes_on_without_the_weights_that_it_began_with(config, tmp_path):
    first, out = tmp_path / 'first', tmp_path / 'out'
    assert msdesis('multitask', '--config', config, '--out', first).exit_code == 0
    given = ('multitask', '--config', config, '--out', out)
    given += ('--set', f'init={first / "model.safetensors"}')
    assert msdesis(*given, '--minutes', 0).exit_code == 0
    (first / 'model.safetensors').unlink()
    done = msdesis(*given, '--resume')
    assert done.exit_code == 0, done.output


def test_a_training_is_not_overwritten(config, tmp_path):
    out = tmp_path / 'out'
    msdesis('multitask', '--config', config, '--out', out, '--minutes', 0)
    again = msdesis('multitask', '--config', config, '--out', out)
    assert isinstance(again.exception, UsageError) and '--resume' in str(again.exception)


def test_the_task_must_be_that_of_the_configuration(config):
    done = msdesis('disparity', '--config', config)
    assert isinstance(done.exception, UsageError)
    assert 'msdesis train multitask' in str(done.exception)


def test_a_typo_in_a_change_is_refused(config, tmp_path):
    done = msdesis('multitask', '--config', config, '--set', 'optimizer.lr=1', '--out', tmp_path)
    assert isinstance(done.exception, UsageError) and 'optimizer is unknown' in str(done.exception)


def test_the_published_network_gets_a_checkpoint_that_loads(config, tmp_path):
    from msdesis_ros.nets.checkpoints import load_checkpoint

    out = tmp_path / 'out'
    network = '{"family": "msdesis", "encoder": "light", "max_disparity": 64}'
    done = msdesis(
        'disparity', '--config', config, '--out', out, '--set', f'network={network}',
        '--set', 'task=disparity', '--set', 'optimiser.schedule.steps=1',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    loaded = load_checkpoint(out / 'model.safetensors', encoder='light', max_disparity=64)
    assert loaded.network.config.candidates == 3
    assert load_card('tiny', out).heads == {'disparity'}
