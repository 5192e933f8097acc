"""msdesis_fast deploys like the published networks, and for pictures of any size."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys

import cv2
import numpy as np
import pytest

from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.cards import load_card
from msdesis_ros.runtime.factory import create_backend, open_graph

# Exports take seconds, on a busy machine minutes.
pytestmark = pytest.mark.timeout(600)
NORMALISED = {'mean': (0.5, 0.4, 0.3), 'std': (0.2, 0.3, 0.4)}
CARD = """
name = 'trained'
family = 'msdesis_fast'
summary = 'random weights'
heads = ['disparity', 'instrument_mask', 'uncertainty']
licence = 'MIT'
min_disparity_px = 0
max_disparity_px = 64
intended_use = 'tests'
known_failures = ['everything']
outputs = []
[[measured]]
figure = 'EPE'
value = 1.5
unit = 'px'
data = 'noise'
machine = 'm'
command = 'c'
[input]
mean = [0.5, 0.4, 0.3]
std = [0.2, 0.3, 0.4]
enlarged = [[7, 4, 737280], [3, 2, 1310720]]
[training]
data = 'rendered'
seed = 7
commit = 'abc123'
[[files]]
path = 'model.safetensors'
format = 'safetensors'
sha256 = '{sha256}'
"""


def expected(network, views, **normalisation):
    """What the network says in PyTorch: disparity px, mask logits, 1 sigma px."""
    import torch

    from msdesis_ros.nets.pictures import PictureNetwork

    with torch.inference_mode():
        planes = PictureNetwork(network, **normalisation)(
            *(torch.from_numpy(view)[None] for view in views)
        )
    disparity, logits, log_scale = (plane[0, 0].numpy() for plane in planes)
    return disparity, logits, math.sqrt(2) * np.exp(log_scale)


def require_same(output, wanted, *, most=1e-3, least=0.05):
    planes = (output.disparity_px, output.mask_logits, output.uncertainty_px)
    for plane, other in zip(planes, wanted, strict=True):
        assert plane.dtype == np.float32 and plane.shape == other.shape
        np.testing.assert_allclose(plane, other, atol=most)
        assert other.std() > least


def run(*arguments):
    from msdesis_ros.cli import app

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['msdesis', *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            app.main()
    return left.value.code or 0


@pytest.fixture(scope='module')
def trained(lively, tmp_path_factory):
    """A folder as a training leaves it. Not to be changed."""
    from msdesis_ros.nets.checkpoints import checkpoint_bytes

    folder = tmp_path_factory.mktemp('trained')
    content = checkpoint_bytes(lively.lively_fast(), **NORMALISED)
    (folder / 'model.safetensors').write_bytes(content)
    text = CARD.format(sha256=hashlib.sha256(content).hexdigest())
    (folder / 'trained.toml').write_text(text, encoding='utf-8')
    return folder


@pytest.fixture(scope='module')
def models(trained, tmp_path_factory):
    """What one command makes of it: graphs for any size and for one, weights and a card."""
    folder = tmp_path_factory.mktemp('models')
    given = ('export', '--model', 'trained', '--models-dir', trained, '--with-weights')
    given += ('--size', 'any', '--size', '64x48', '--out', folder / 'mine.onnx')
    assert run(*given) == 0
    return folder


def reported(models, name):
    return json.loads((models / f'{name}.json').read_text())


def test_from_a_training_to_files_that_ship_in_one_command(trained, models, lively):
    names = {'mine.onnx', 'mine_64x48.onnx', 'mine.safetensors', 'mine.toml'}
    assert names <= {path.name for path in models.iterdir()}
    card = load_card('mine', models)
    assert card.heads == {'disparity', 'instrument_mask', 'uncertainty'} and card.verify() == []
    assert [plane.name for plane in card.outputs] == ['disparity', 'mask_logits', 'log_scale']
    assert [(file.path, file.image_size) for file in card.files] == [
        ('mine.safetensors', None),
        ('mine.onnx', None),
        ('mine_64x48.onnx', (64, 48)),
    ]
    assert (card.input.mean, card.input.sizes) == ((0.5, 0.4, 0.3), ())
    assert card.input.enlarged == ((7, 4, 960 * 768), (3, 2, 1280 * 1024))
    assert (card.training.seed, card.measured[0].value, card.licence) == (7, 1.5, 'MIT')
    assert [check.image_size for check in card.self_check] == [(64, 48), (320, 256)]
    assert all(check.uncertainty_px for check in card.self_check)
    weights = (trained / 'model.safetensors').read_bytes()
    assert (models / 'mine.safetensors').read_bytes() == weights
    for size in ((64, 48), (75, 40)):
        pair = lively.picture_pair(*size)
        wanted = expected(lively.lively_fast(), pair, **NORMALISED)
        for backend in ('onnxruntime', 'torch'):
            opened = create_backend('mine', backend=backend, models_dir=models)
            output = opened.run(*pair)
            require_same(output, wanted)
            # 64 and 96 px, enlarged by 7/4 to multiples of 32, are 128 and 192: half is searched.
            assert output.max_disparity_px == pytest.approx(32)


def test_native_size_makes_another_model_of_the_same_weights(trained, lively, tmp_path):
    for path in trained.iterdir():
        shutil.copy(path, tmp_path)
    before = load_card('trained', tmp_path)
    given = ('export', '--model', 'trained', '--models-dir', tmp_path, '--with-weights')
    given += ('--native-size', '--size', '96x64', '--out', tmp_path / 'native.onnx')
    assert run(*given) == 0
    assert load_card('trained', tmp_path).files == before.files
    card = load_card('native', tmp_path)
    assert [file.path for file in card.files] == ['native.safetensors', 'native.onnx']
    assert card.input.enlarged == ()
    # Neither figures nor sizes in words hold for it.
    assert card.measured == () and card.known_failures[:-1] == before.known_failures
    assert 'another size' in card.known_failures[-1]
    pair = lively.picture_pair(96, 64)
    wanted = expected(lively.lively_fast(enlarged=()), pair, **NORMALISED)
    enlarged = expected(lively.lively_fast(), pair, **NORMALISED)
    for own, larger in zip(wanted, enlarged, strict=True):
        assert np.abs(own - larger).max() > 0.1
    for backend in ('onnxruntime', 'torch'):
        output = create_backend('native', backend=backend, models_dir=tmp_path).run(*pair)
        require_same(output, wanted)
        assert output.max_disparity_px == 64


def test_another_family_has_no_native_size(capsys, tmp_path):
    from msdesis_ros.nets.checkpoints import checkpoint_bytes
    from msdesis_ros.nets.registry import create_network

    path = tmp_path / 'light.safetensors'
    network = create_network('msdesis', encoder='light')
    path.write_bytes(checkpoint_bytes(network))
    given = ('--checkpoint', path, '--native-size', '--size', '64x48')
    assert run('export', *given, '--out', tmp_path / 'light.onnx') == 1
    assert 'msdesis, which has no enlarged' in capsys.readouterr().err


@pytest.mark.parametrize('name', ['mine_64x48', 'mine'])
def test_the_graph_has_no_scatter_no_loop_and_one_product_of_rows(models, name):
    nodes = reported(models, name)['nodes']
    assert not {name for name in nodes if 'Scatter' in name} | {'Loop', 'If', 'Scan'} & set(nodes)
    assert (nodes['MatMul'], nodes['GridSample'], nodes['Conv']) == (1, 2, 128)


@pytest.mark.parametrize('name', ['mine_64x48', 'mine'])
def test_every_plane_is_compared_and_differs_by_rounding_alone(models, name):
    rows = reported(models, name)['parity']
    assert {row['output'] for row in rows} == {'disparity', 'mask_logits', 'log_scale'}
    if name == 'mine':
        sizes = {row['pictures'].split()[-1] for row in rows}
        assert sizes == {'320x256', '165x128', '96x77'}
    assert all(row['holds'] and row['mean'] < 1e-4 for row in rows)
    # Random weights answer hard contrasts in jumps, where rounding counts for more. Pictures are
    # enlarged, so that there are more places at which they do.
    assert all(row['greatest'] < 2e-3 for row in rows if row['pictures'].startswith('texture'))


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_one_graph_answers_pictures_of_any_size(models, lively, backend):
    pytest.importorskip(backend, reason=f'{backend} is not installed')
    report = reported(models, 'mine')
    assert json.loads(report['metadata']['input_rule'])['size'] == 'any'
    opened = open_graph(
        (models / 'mine.onnx').read_bytes(),
        identity=ModelIdentity('fast', report['sha256'], backend),
        max_disparity_px=64.0,
    )
    network = lively.lively_fast()
    # The last one is too large to be enlarged.
    for size in ((59, 51), (96, 32), (130, 70), (7, 5), (800, 736)):
        pair = lively.picture_pair(*size)
        # Among many pixels some differ by more; 7x5 px enlarged are nearly one colour.
        bounds = {(800, 736): {'most': 5e-3}, (7, 5): {'least': 0.01}}.get(size, {})
        require_same(opened.run(*pair), expected(network, pair, **NORMALISED), **bounds)


def test_half_precision_is_close_and_half_the_size(exported, models):
    half = exported('fast', precision='fp16')
    assert half.size_bytes < 0.55 * reported(models, 'mine_64x48')['size_bytes']
    worst = {row.output: row.mean for row in half.parity}
    assert 1e-5 < worst['disparity'] < 0.05


@pytest.mark.parametrize(
    ('mode', 'outputs'),
    [('disparity', ['disparity', 'log_scale']), ('segmentation', ['mask_logits'])],
)
def test_a_mode_exports_its_planes_alone(exported, mode, outputs):
    import onnx

    report = exported('tiny', mode, size=None)
    graph = onnx.load(report.path).graph
    assert [node.name for node in graph.output] == outputs
    needed = ['left', 'right'] if mode == 'disparity' else ['left']
    assert [node.name for node in graph.input] == needed
    assert report.metadata['mode'] == mode and report.metadata['size'] == 'tiny'
    assert report.metadata['family'] == 'msdesis_fast'


def test_infer_writes_the_uncertainty_and_leaves_the_left_border_out(
    trained, lively, tmp_path, capsys
):
    from msdesis_ros.data.images import write_image

    pair = lively.picture_pair(150, 90)
    for name, picture in zip('lr', pair, strict=True):
        write_image(tmp_path / f'{name}.png', picture)
    out = tmp_path / 'out'
    given = ('infer', 'pair', tmp_path / 'l.png', tmp_path / 'r.png', '--rectified', '--out', out)
    given += ('--checkpoint', trained / 'model.safetensors', '--network-size', 'small')
    assert run(*given, '--threads', 1) == 0, capsys.readouterr().err
    found = {
        name: cv2.imread(str(out / f'{name}.tiff'), cv2.IMREAD_UNCHANGED)
        for name in ('disparity', 'uncertainty')
    }
    # Without a card the file itself says how pictures are normalised.
    disparity, _, sigma = expected(lively.lively_fast(), pair, **NORMALISED)
    np.testing.assert_allclose(found['disparity'], disparity, atol=1e-3)
    np.testing.assert_allclose(found['uncertainty'], sigma, atol=1e-3)
    valid = cv2.imread(str(out / 'valid.png'), cv2.IMREAD_UNCHANGED) > 0
    outside = np.arange(150) - found['disparity'] < 0
    assert outside.sum() > 100 and np.isfinite(found['disparity']).all()
    np.testing.assert_array_equal(valid, ~outside & (found['disparity'] > 0))
