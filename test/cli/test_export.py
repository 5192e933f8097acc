from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

from msdesis_ros.data.images import write_image
from msdesis_ros.runtime.cards import load_card
from msdesis_ros.runtime.factory import create_backend

# Exports take seconds, on a busy machine minutes.
pytestmark = pytest.mark.timeout(600)
CARD = """
name = 'tiny'
family = 'msdesis'
summary = 'random weights'
heads = ['instrument_mask']
licence = 'MIT'
min_disparity_px = 0
max_disparity_px = 320
intended_use = 'tests'
known_failures = ['everything']
measured = []
outputs = []
[input]
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
[training]
data = 'none'
commit = 'abc123'
[[files]]
path = 'tiny.safetensors'
format = 'safetensors'
sha256 = '{sha256}'
"""


def msdesis_export(*arguments):
    """`msdesis export ...` as a user runs it."""
    command = [sys.executable, '-m', 'msdesis_ros.cli.app', 'export']
    return subprocess.run(
        [*command, *(str(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """A light network as both kinds of file, and a card."""
    for package in ('torch', 'safetensors', 'onnx', 'onnxscript'):
        pytest.importorskip(package, reason=f'the extra export is not installed: no {package}')
    import torch

    from msdesis_ros.nets.checkpoints import checkpoint_bytes
    from msdesis_ros.nets.registry import create_network

    folder = tmp_path_factory.mktemp('weights')
    torch.manual_seed(0)
    network = create_network('msdesis', encoder='light')
    torch.save(network.state_dict(), folder / 'tiny.pt')
    content = checkpoint_bytes(network)
    (folder / 'tiny.safetensors').write_bytes(content)
    (folder / 'tiny.toml').write_text(CARD.format(sha256=hashlib.sha256(content).hexdigest()))
    return folder


def run_here(monkeypatch, *arguments):
    """The same in this process, where PyTorch is loaded already; the exit code."""
    from msdesis_ros.cli import app

    monkeypatch.setattr(sys, 'argv', ['msdesis', 'export', *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        app.main()
    return left.value.code


def test_a_checkpoint_becomes_an_onnx_file_with_a_parity_table(weights, tmp_path):
    done = msdesis_export(
        *('--checkpoint', weights / 'tiny.pt', '--encoder', 'light', '--mode', 'segmentation'),
        *('--out', tmp_path / 'x.onnx', '--size', '40x33'),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / 'x.json').read_text())
    assert report['sha256'] == hashlib.sha256((tmp_path / 'x.onnx').read_bytes()).hexdigest()
    assert report['sha256'] in done.stdout
    assert done.stdout.count('mask_logits') == 2
    assert report['metadata']['model'] == 'tiny.pt'
    digest = hashlib.sha256((weights / 'tiny.pt').read_bytes()).hexdigest()
    assert report['metadata']['weights_sha256'] == digest
    assert done.stderr == '', 'a status line is for terminals'
    assert f'card: {tmp_path / "x.toml"}' in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ['x.json', 'x.onnx', 'x.toml']


def test_a_card_gives_name_heads_normalisation_and_commit(weights, tmp_path, monkeypatch):
    code = run_here(
        monkeypatch,
        *('--model', 'tiny', '--models-dir', weights, '--out', tmp_path / 'x.onnx'),
        *('--size', '40x33', '--precision', 'fp16'),
    )
    assert not code
    metadata = json.loads((tmp_path / 'x.json').read_text())['metadata']
    assert metadata['model'] == 'tiny' and metadata['training_commit'] == 'abc123'
    assert metadata['mode'] == 'segmentation' and metadata['precision'] == 'fp16'
    rule = json.loads(metadata['input_rule'])
    assert rule['mean'] == [0.5, 0.5, 0.5] and rule['size'] == [40, 33]
    card = load_card('x', tmp_path)
    assert (card.licence, card.known_failures, card.input.mean) == (
        'MIT',
        ('everything',),
        (0.5, 0.5, 0.5),
    )
    assert [file.path for file in card.files] == ['x.onnx']


def test_an_int8_file_with_ranges_of_own_pairs_is_a_model_that_runs(
    weights, tmp_path, monkeypatch
):
    rng = np.random.default_rng(3)
    for number in range(5):
        for side in ('left', 'right'):
            view = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
            write_image(tmp_path / 'own' / side / f'{number}.png', view)
    given = ('--checkpoint', weights / 'tiny.pt', '--size', '64x48', '--precision', 'int8')
    for name, options in (('own', ('--int8-pairs', tmp_path / 'own')), ('made_up', ())):
        path = tmp_path / 'out' / name / 'x.onnx'
        path.parent.mkdir(parents=True)
        assert not run_here(monkeypatch, *given, '--out', path, *options)
        card = load_card('x', path.parent)
        assert [(file.format, file.precision) for file in card.files] == [('onnx', 'int8')]
        for backend in ('onnxruntime', 'openvino'):
            if backend == 'openvino' and importlib.util.find_spec('openvino') is None:
                continue
            model = create_backend('x', backend=backend, models_dir=path.parent)
            assert np.isfinite(model.run(view[:48, :64], view[:48, :64]).disparity_px).all()
            model.close()
    # Other pairs, other ranges.
    assert (
        len({(tmp_path / 'out' / name / 'x.onnx').read_bytes() for name in ('own', 'made_up')})
        == 2
    )


def test_a_size_that_the_card_does_not_take_is_refused_before_the_export(
    weights, tmp_path, monkeypatch, capsys
):
    text = (weights / 'tiny.toml').read_text().replace('[input]', '[input]\nmultiple_of = 32')
    (tmp_path / 'tiny.toml').write_text(text)
    given = ('--model', 'tiny', '--models-dir', tmp_path, '--out', tmp_path / 'x.onnx')
    assert run_here(monkeypatch, *given, '--size', '40x33') == 1
    assert 'tiny cannot take 40x33 pictures' in capsys.readouterr().err
    assert not (tmp_path / 'x.onnx').exists()


@pytest.mark.parametrize(
    ('arguments', 'code', 'sentence'),
    [
        ((), 2, 'give either --model NAME or --checkpoint FILE'),
        (('--model', 'tiny', '--checkpoint', 'a.pt'), 2, 'give either --model NAME'),
        (('--model', 'tiny', '--encoder', 'light'), 2, 'a model card says its encoder'),
        (('--model', 'opencv_sgbm'), 1, 'the card of opencv_sgbm lists no weights'),
        (('--model', 'tiny', '--network-size', 'base'), 2, 'a model card says its encoder'),
        (('--checkpoint', '{tiny.pt}', '--network-size', 'base'), 1, 'msdesis, which has no size'),
        (('--checkpoint', '{tiny.pt}', '--size', 'any', '--engine'), 2, 'made for one size'),
        (('--checkpoint', 'none.pt'), 1, 'cannot read the checkpoint none.pt'),
        (('--checkpoint', '{tiny.pt}', '--encoder', 'resnet34'), 1, 'encoder light, not resnet34'),
        (('--checkpoint', '{tiny.pt}', '--encoder', 'vgg'), 2, "encoder is 'vgg'; known: light"),
        (('--checkpoint', '{tiny.pt}', '--mode', 'depth'), 2, "mode is 'depth'; known: multi"),
        (('--checkpoint', '{tiny.pt}', '--max-disparity', '64'), 1, 'max_disparity 320, not 64'),
        (('--checkpoint', '{tiny.pt}', '--size', '64'), 2, "size is '64'; expected width x h"),
        (('--checkpoint', '{tiny.pt}', '--size', '0x64'), 2, "size is '0x64'; expected width x h"),
        (('--checkpoint', '{tiny.pt}', '--precision', 'int4'), 2, "precision is 'int4'; known"),
        (('--checkpoint', '{tiny.pt}', '--int8-pairs', 'own'), 2, 'are for --precision int8'),
        (('--checkpoint', '{tiny.pt}', '--out', 'x.pt'), 2, 'x.pt must end in .onnx'),
    ],
)
def test_wrong_use_is_one_sentence_and_leaves_nothing(
    weights, tmp_path, monkeypatch, capsys, arguments, code, sentence
):
    given = [a.replace('{tiny.pt}', str(weights / 'tiny.pt')) for a in arguments]
    if '--out' not in given:
        given += ['--out', 'x.onnx']
    monkeypatch.chdir(tmp_path)
    found = run_here(monkeypatch, *given)
    told = capsys.readouterr().err
    assert found == code and sentence in told, told
    assert told.count('\n') == 1
    assert not list(tmp_path.iterdir())


def test_an_engine_is_refused_before_the_export_where_none_can_be_made(
    weights, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    monkeypatch.setitem(sys.modules, 'tensorrt_rtx', None)
    given = ('--checkpoint', weights / 'tiny.pt', '--out', tmp_path / 'x.onnx', '--engine')
    assert run_here(monkeypatch, *given) == 1
    assert 'pip install tensorrt' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
