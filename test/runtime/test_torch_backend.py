"""PyTorch gives what the network gives, with pictures of any size."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError, MissingExtraError, ModelError, UsageError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.factory import create_backend, create_from_checkpoint
from msdesis_ros.runtime.torch_backend import TorchBackend

torch = pytest.importorskip('torch', reason='the extra torch is not installed')
pytest.importorskip('safetensors', reason='the extra torch is not installed')
TOLERANCE = 1e-3


@pytest.fixture(scope='module')
def lively(project_root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        'runtime_lively', project_root / 'test' / 'nets' / 'lively.py'
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def network(lively: ModuleType) -> Any:
    return lively.lively_network('light')


def load(network: Any, **options: Any) -> TorchBackend:
    identity = ModelIdentity(name='light', sha256=None, backend=options.pop('backend', 'torch'))
    return TorchBackend(network, identity=identity, max_disparity_px=320.0, **options)


def expected(
    network: Any,
    left: np.ndarray,
    right: np.ndarray,
    *,
    mean: tuple[float, ...] = (0.5339, 0.3666, 0.4537),
    std: tuple[float, ...] = (0.2006, 0.1978, 0.2128),
) -> tuple[np.ndarray, np.ndarray]:
    """The network alone; normalising, padding and cropping spelt out."""
    height, width = left.shape[:2]
    inputs = []
    for picture in (left, right):
        values = (picture / 255.0 - mean) / std
        padded = np.pad(values, ((0, -height % 32), (0, -width % 32), (0, 0)))
        inputs.append(torch.from_numpy(padded.transpose(2, 0, 1)[None].astype(np.float32)))
    with torch.no_grad():
        disparities, logits = network(*inputs)
    return tuple(plane[0, 0, :height, :width].numpy() for plane in (disparities[0], logits))


@pytest.mark.parametrize('plain', [False, True])
@pytest.mark.parametrize('size', [(96, 64), (90, 59), (33, 97)])
def test_the_planes_are_those_of_the_network(
    lively: ModuleType, network: Any, size: tuple[int, int], plain: bool
) -> None:
    left, right = lively.picture_pair(*size)
    output = load(network, plain=plain).run(left, right)
    disparity, logits = expected(network, left, right)
    np.testing.assert_allclose(output.disparity_px, disparity, atol=TOLERANCE)
    np.testing.assert_allclose(output.mask_logits, logits, atol=TOLERANCE)
    assert np.ptp(disparity) > 1, 'a network that says the same everywhere would prove nothing'


def test_the_network_given_is_left_as_it_was(lively: ModuleType, network: Any) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for plain in (False, True):
        load(network, plain=plain).run(*lively.picture_pair(64, 64))
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    strides = {value.stride() for name, value in after.items() if value.ndim == 4}
    assert strides == {value.stride() for value in before.values() if value.ndim == 4}


def test_threads_are_those_asked_for(network: Any) -> None:
    before = torch.get_num_threads()
    try:
        load(network, threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_the_gpu_is_refused_where_there_is_none(network: Any) -> None:
    if torch.cuda.is_available():
        pytest.skip('this machine has a GPU')
    with pytest.raises(MissingExtraError, match='finds no NVIDIA GPU.*or use the backend torch'):
        load(network, backend='torch_cuda')


def test_half_precision_on_a_gpu_agrees_with_the_cpu(lively: ModuleType, network: Any) -> None:
    if not torch.cuda.is_available():
        pytest.skip('no NVIDIA GPU that PyTorch can use')
    pair = lively.picture_pair(150, 90)
    on_cpu, gpu = load(network).run(*pair), load(network, backend='torch_cuda')
    # The second run replays the captured graph; other sizes come in between.
    for size in ((150, 90), (64, 64), (32, 32), (96, 32), (64, 32), (150, 90)):
        other = gpu.run(*lively.picture_pair(*size))
    for found in (other, gpu.run(*pair)):
        assert np.abs(found.disparity_px - on_cpu.disparity_px).mean() < 0.05
        assert np.abs(found.mask_logits - on_cpu.mask_logits).mean() < 0.05


def test_weights_that_overflow_are_an_error_and_no_result(
    lively: ModuleType, network: Any
) -> None:
    spoilt = lively.lively_network('light')
    with torch.no_grad():
        spoilt.disparity_head.refine.conv6[3].bias.fill_(float('inf'))
    with pytest.raises(BackendError, match='NaN or infinity'):
        load(spoilt).run(*lively.picture_pair(64, 64))


def test_a_missing_package_is_named_with_its_extra(
    network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'torch', None)
    with pytest.raises(MissingExtraError, match=r'needs the package torch.*msdesis_ros\[torch\]'):
        load(network)


# From files.


@pytest.fixture
def weights(network: Any, tmp_path: Path) -> Path:
    from msdesis_ros.nets.checkpoints import checkpoint_bytes

    path = tmp_path / 'tissue.safetensors'
    path.write_bytes(checkpoint_bytes(network))
    return path


@pytest.mark.parametrize('suffix', ['.safetensors', '.pt'])
def test_a_checkpoint_runs_without_a_card(
    lively: ModuleType, network: Any, weights: Path, suffix: str
) -> None:
    if suffix == '.pt':
        weights = weights.with_suffix('.pt')
        torch.save(network.state_dict(), weights)
    backend = create_from_checkpoint(weights, encoder='light', max_disparity=320)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert backend.identity == ModelIdentity('tissue', digest, 'torch')
    assert (backend.min_disparity_px, backend.max_disparity_px) == (0.0, 320.0)
    pair = lively.picture_pair(90, 59)
    np.testing.assert_allclose(
        backend.run(*pair).disparity_px, expected(network, *pair)[0], atol=TOLERANCE
    )


@pytest.mark.parametrize(
    ('mode', 'heads'), [('disparity', {'disparity'}), ('segmentation', {'instrument_mask'})]
)
def test_a_mode_computes_its_heads_alone(
    lively: ModuleType, weights: Path, mode: str, heads: set[str]
) -> None:
    backend = create_from_checkpoint(weights, mode=mode)
    output = backend.run(*lively.picture_pair(64, 64))
    assert backend.heads == heads
    assert (output.disparity_px is None) == ('disparity' not in heads)
    assert (output.mask_logits is None) == ('instrument_mask' not in heads)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'backend': 'opencv'}, 'cannot run a checkpoint'),
        ({'backend': 'pytorch'}, 'no backend is called'),
        ({'backend': 'onnxruntime'}, 'runs exported networks only'),
        ({'threads': 0}, '1 or more'),
        ({'mode': 'stereo'}, "mode is 'stereo'"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(
    weights: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        create_from_checkpoint(weights, **options)


def test_another_encoder_than_asked_for_is_refused(weights: Path) -> None:
    with pytest.raises(ModelError, match='not resnet34'):
        create_from_checkpoint(weights, encoder='resnet34')


def test_an_exporter_lets_other_backends_run_a_checkpoint(weights: Path) -> None:
    onnx = pytest.importorskip('onnx', reason='the package onnx makes the test graph')
    graph = """<ir_version: 8, opset_import: ["" : 17]>
    tiny (uint8[1,H,W,3] left) => (float[1,1,H,W] mask_logits)
    { l = Cast<to=1>(left)
      mean = ReduceMean<axes=[3], keepdims=1>(l)
      mask_logits = Transpose<perm=[0,3,1,2]>(mean) }"""
    given = []

    def to_onnx(loaded: Any) -> bytes:
        given.append(loaded.network.config.mode)
        return onnx.parser.parse_model(graph).SerializeToString()

    backend = create_from_checkpoint(
        weights, mode='segmentation', backend='onnxruntime', to_onnx=to_onnx
    )
    assert given == ['segmentation']
    assert backend.identity.backend == 'onnxruntime'
    white = np.full((8, 8, 3), 255, np.uint8)
    np.testing.assert_array_equal(backend.run(white, white).mask_logits, 255.0)


CARD = """
name = 'tissue'
family = 'msdesis'
summary = 's'
heads = {heads}
licence = 'MIT'
min_disparity_px = 0
max_disparity_px = 320
intended_use = 'tests'
known_failures = []
outputs = []
measured = []
input = {{}}
training = {{ data = 'none' }}
[[files]]
path = 'tissue.safetensors'
format = 'safetensors'
sha256 = '{sha256}'
size_bytes = {size}
"""


def write_card(weights: Path, heads: str, *, extra_bytes: int = 0) -> None:
    content = weights.read_bytes()
    text = CARD.format(
        heads=heads,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content) + extra_bytes,
    )
    weights.with_suffix('.toml').write_text(text, encoding='utf-8')


def test_a_card_with_weights_runs_in_torch(lively: ModuleType, weights: Path) -> None:
    write_card(weights, "['instrument_mask']")
    backend = create_backend('tissue', models_dir=weights.parent)
    assert backend.identity.backend == 'torch'
    assert backend.heads == {'instrument_mask'}
    assert backend.run(*lively.picture_pair(64, 64)).mask_logits is not None


def test_pictures_are_normalised_as_the_card_says(
    lively: ModuleType, network: Any, weights: Path
) -> None:
    write_card(weights, "['disparity', 'instrument_mask']")
    pair = lively.picture_pair(64, 64)
    default = create_backend('tissue', models_dir=weights.parent).run(*pair)
    mean, std = (0.1, 0.2, 0.3), (1.0, 0.5, 0.25)
    path = weights.with_suffix('.toml')
    rule = f'input = {{ mean = {list(mean)}, std = {list(std)} }}'
    path.write_text(path.read_text(encoding='utf-8').replace('input = {}', rule))
    found = create_backend('tissue', models_dir=weights.parent).run(*pair)
    wanted = expected(network, *pair, mean=mean, std=std)
    np.testing.assert_allclose(found.disparity_px, wanted[0], atol=TOLERANCE)
    np.testing.assert_allclose(found.mask_logits, wanted[1], atol=TOLERANCE)
    assert np.abs(found.disparity_px - default.disparity_px).max() > 0.1


def test_heads_that_no_mode_has_are_refused(weights: Path) -> None:
    write_card(weights, "['disparity', 'uncertainty']")
    with pytest.raises(ModelError, match='no mode of the family msdesis'):
        create_backend('tissue', models_dir=weights.parent)


def test_a_file_of_another_length_than_the_cards_is_refused(weights: Path) -> None:
    write_card(weights, "['disparity']", extra_bytes=1)
    with pytest.raises(ModelError, match=r'has \d+ bytes; .* in \d+ bytes'):
        create_backend('tissue', models_dir=weights.parent)
