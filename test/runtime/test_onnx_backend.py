"""ONNX Runtime on tiny graphs whose outputs NumPy computes as easily."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError, MissingExtraError, ModelError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.cards import load_card
from msdesis_ros.runtime.factory import create_backend
from msdesis_ros.runtime.model_card import InputRule
from msdesis_ros.runtime.onnx_backend import OnnxRuntimeBackend

onnx = pytest.importorskip('onnx', reason='the package onnx makes the test graphs')

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (uint8[1,H,W,3] left, uint8[1,H,W,3] right)
  => (float[1,1,H,W] disparity, float[1,1,H,W] mask_logits, float[1,1,H,W] log_scale)
{
  l = Cast<to=1>(left)
  r = Cast<to=1>(right)
  difference = Sub(l, r)
  mean = ReduceMean<axes=[3], keepdims=1>(difference)
  disparity = Transpose<perm=[0,3,1,2]>(mean)
  half = Constant<value_float=0.5>()
  halved = Mul(disparity, half)
  mask_logits = Neg(halved)
  hundredth = Constant<value_float=0.01>()
  log_scale = Mul(disparity, hundredth)
}
"""


def graph(*edits: tuple[str, str]) -> bytes:
    """The tiny model as bytes, with parts of its text exchanged."""
    text = GRAPH
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return onnx.parser.parse_model(text).SerializeToString()


STATIC = (('H,W', '24,40'),)


def load(model: bytes, **options: Any) -> OnnxRuntimeBackend:
    identity = ModelIdentity(
        name='tiny', sha256=hashlib.sha256(model).hexdigest(), backend='onnxruntime'
    )
    return OnnxRuntimeBackend(model, identity=identity, max_disparity_px=255.0, **options)


def pictures(width: int = 40, height: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    return left, right


@pytest.mark.parametrize('edits', [(), STATIC], ids=['symbolic', 'static'])
def test_the_planes_are_what_the_graph_computes(edits: tuple[tuple[str, str], ...]) -> None:
    backend = load(graph(*edits))
    left, right = pictures()
    output = backend.run(left, right)
    expected = (left.astype(np.float32) - right).mean(axis=2)
    np.testing.assert_allclose(output.disparity_px, expected, atol=1e-4)
    np.testing.assert_allclose(output.mask_logits, -expected / 2, atol=1e-4)
    one_sigma = np.sqrt(2) * np.exp(expected / 100)
    np.testing.assert_allclose(output.uncertainty_px, one_sigma, rtol=1e-5)
    assert backend.heads == {'disparity', 'instrument_mask', 'uncertainty'}


def test_left_and_right_are_not_exchanged_and_red_is_the_first_channel() -> None:
    model = graph(('difference = Sub(l, r)', 'weights = Constant<value_floats=[3.0,0.0,0.0]>()\n'
                   'difference = Mul(l, weights)'))  # fmt: skip
    left, right = pictures()
    np.testing.assert_allclose(load(model).run(left, right).disparity_px, left[..., 0], atol=1e-4)


def test_outputs_a_graph_lacks_are_none() -> None:
    model = graph(
        (', float[1,1,H,W] mask_logits, float[1,1,H,W] log_scale', ''),
    )
    backend = load(model)
    output = backend.run(*pictures())
    assert backend.heads == {'disparity'}
    assert output.disparity_px is not None
    assert output.mask_logits is None
    assert output.uncertainty_px is None


def test_outputs_are_taken_by_name_and_not_by_place() -> None:
    swapped = graph(
        (
            '(float[1,1,H,W] disparity, float[1,1,H,W] mask_logits',
            '(float[1,1,H,W] mask_logits, float[1,1,H,W] disparity',
        )
    )
    plain, other = load(graph()).run(*pictures()), load(swapped).run(*pictures())
    np.testing.assert_array_equal(plain.disparity_px, other.disparity_px)


def test_a_later_run_changes_no_earlier_result() -> None:
    backend = load(graph())
    first = backend.run(*pictures(seed=1))
    kept = [np.copy(plane) for plane in (first.disparity_px, first.mask_logits)]
    for seed in range(2, 8):
        backend.run(*pictures(seed=seed))
    np.testing.assert_array_equal(first.disparity_px, kept[0])
    np.testing.assert_array_equal(first.mask_logits, kept[1])
    backend.close()
    np.testing.assert_array_equal(first.disparity_px, kept[0])


@pytest.mark.parametrize('size', [(1, 1), (41, 24), (333, 101)])
def test_a_symbolic_graph_takes_any_size(size: tuple[int, int]) -> None:
    backend = load(graph())
    backend.warm_up(size)
    assert backend.run(*pictures(*size)).disparity_px.shape == (size[1], size[0])


def test_a_static_graph_refuses_other_sizes_naming_its_own() -> None:
    backend = load(graph(*STATIC))
    backend.warm_up((40, 24))
    with pytest.raises(BackendError, match='cannot take 24x40 .* made for 40x24'):
        backend.warm_up((24, 40))
    with pytest.raises(BackendError, match='made for 40x24'):
        backend.run(*pictures(41, 24))


def test_a_graph_of_fixed_height_names_the_free_width() -> None:
    backend = load(graph(('H,W', '24,W')))
    backend.run(*pictures(57, 24))
    with pytest.raises(BackendError, match='made for anyx24'):
        backend.run(*pictures(57, 25))


def test_the_sizes_of_the_card_restrict_a_symbolic_graph() -> None:
    backend = load(graph(), sizes=InputRule(multiple_of=8))
    backend.run(*pictures(40, 24))
    with pytest.raises(BackendError, match='multiples of 8'):
        backend.run(*pictures(41, 24))


@pytest.mark.parametrize(
    ('size', 'searched_px'),
    [
        ((32, 24), 127.5),
        ((40, 24), 170.0),
        ((64, 32), 170.0),
        ((64, 36), 255.0),
        ((65, 32), 255.0),
    ],
)
def test_where_the_network_enlarges_pictures_it_searches_less(size, searched_px) -> None:
    # 32x32 px enlarged by 2 are 64x64, 64x32 px by 3/2 are 96x48; 64x36 are padded to 64x64.
    backend = load(graph(), sizes=InputRule(enlarged=((2, 1, 64 * 64), (3, 2, 96 * 48))))
    assert backend.run(*pictures(*size)).max_disparity_px == searched_px
    assert load(graph()).run(*pictures(*size)).max_disparity_px == 255.0


@pytest.mark.parametrize(
    ('values', 'found'), [('0.0', 'nan'), ('1.0', 'inf')], ids=['nan', 'infinity']
)
def test_an_output_that_is_not_finite_is_an_error_and_no_result(values: str, found: str) -> None:
    zero = 'zero = Constant<value_float=0.0>()\n'
    model = graph(
        (
            'mask_logits = Neg(halved)',
            f'{zero} number = Constant<value_float={values}>()\n nought = Mul(halved, zero)\n'
            'counted = Add(nought, number)\n mask_logits = Div(counted, nought)',
        )
    )
    with pytest.raises(BackendError, match='NaN or infinity in 960 of 960 values of mask_logits'):
        load(model).run(*pictures())


def test_a_scale_beyond_float32_is_an_error() -> None:
    model = graph(('value_float=0.01', 'value_float=10.0'))
    white, black = np.full((8, 8, 3), 255, np.uint8), np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(BackendError, match=r'exp\(log_scale\)'):
        load(model).run(white, black)


def test_an_output_of_another_size_than_the_pictures_is_an_error() -> None:
    model = graph(
        ('float[1,1,H,W] disparity', 'float[1,1,A,B] disparity'),
        ('perm=[0,3,1,2]', 'perm=[0,3,2,1]'),
        ('float[1,1,H,W] mask_logits', 'float[1,1,A,B] mask_logits'),
        ('float[1,1,H,W] log_scale', 'float[1,1,A,B] log_scale'),
    )
    with pytest.raises(BackendError, match=r'shape \(1, 1, 40, 24\); expected \(1, 1, 24, 40\)'):
        load(model).run(*pictures())


def test_a_run_that_fails_inside_is_a_backend_error_and_the_next_one_works() -> None:
    # The graph looks the column 40 up, which narrower pictures do not have.
    model = graph(
        (
            'halved = Mul(disparity, half)',
            'column = Constant<value_ints=[40]>()\n found = Gather<axis=3>(disparity, column)\n'
            'sum = Add(disparity, found)\n halved = Mul(sum, half)',
        )
    )
    backend = load(model)
    with pytest.raises(BackendError, match='failed on a 40x24 pair'):
        backend.run(*pictures(40, 24))
    assert backend.run(*pictures(41, 24)).disparity_px is not None


@pytest.mark.parametrize(
    ('edits', 'message'),
    [
        ((('left', 'first'),), 'takes the inputs first, right; expected left, right'),
        (
            (('(uint8[1,H,W,3] left,', '(uint8[1,H,W,3] extra, uint8[1,H,W,3] left,'),),
            'takes the inputs extra, left, right',
        ),
        ((('uint8[1,H,W,3] left', 'float[1,H,W,3] left'),), r'left is tensor\(float\)'),
        (
            (('uint8[1,H,W,3] left', 'uint8[1,H,W,4] left'), ('Sub(l, r)', 'Add(r, r)')),
            r'left is tensor\(uint8\) \[1, .*4\]; expected tensor\(uint8\) \[1, H, W, 3\]',
        ),
        (
            (('uint8[1,H,W,3] left', 'uint8[H,W,3] left'), ('Sub(l, r)', 'Add(r, r)')),
            'expected .*1, H, W, 3',
        ),
        ((('disparity', 'depth'),), 'gives the outputs depth, .*expected disparity'),
        ((('mask_logits', 'mask'),), 'gives the outputs .*mask; expected disparity'),
        (
            (('float[1,1,H,W] disparity', 'float[1,2,H,W] disparity'),
             ('disparity = Transpose<perm=[0,3,1,2]>(mean)',
              'd = Transpose<perm=[0,3,1,2]>(mean)\n disparity = Concat<axis=1>(d, d)'),
             ('float[1,1,H,W] mask', 'float[1,2,H,W] mask'),
             ('float[1,1,H,W] log', 'float[1,2,H,W] log')),
            r'disparity is .*expected tensor\(float\) \[1, 1, H, W\]',
        ),
        (
            (('H,W', '24,40'), ('[0,3,1,2]', '[0,3,2,1]'),
             ('float[1,1,24,40] disparity', 'float[1,1,40,24] disparity'),
             ('float[1,1,24,40] mask', 'float[1,1,40,24] mask'),
             ('float[1,1,24,40] log', 'float[1,1,40,24] log')),
            'disparity is 24 wide and 40 high where .* 40 x 24',
        ),
        (
            (('float[1,1,H,W] mask_logits', 'double[1,1,H,W] mask_logits'),
             ('mask_logits = Neg(halved)', 'n = Neg(halved)\n mask_logits = Cast<to=11>(n)')),
            r'mask_logits is tensor\(double\)',
        ),
        (
            (('uint8[1,H,W,3] left', 'uint8[1,24,40,3] left'),
             ('uint8[1,H,W,3] right', 'uint8[1,24,48,3] right'), ('Sub(l, r)', 'Add(r, r)')),
            'must have the size of the pictures',
        ),
    ],
)  # fmt: skip
def test_a_graph_that_breaks_the_contract_is_refused_saying_where(
    edits: tuple[tuple[str, str], ...], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load(graph(*edits))


def halved(model: bytes) -> bytes:
    return model[: len(model) // 2]


@pytest.mark.parametrize(
    'spoil',
    [
        halved,
        lambda model: model[:-1],
        lambda model: b'',
        lambda model: b'this is a text and no model\n' * 9,
        lambda model: bytes(range(256)) * 8,
        lambda model: b'\x89PNG\r\n\x1a\n' + bytes(64),
    ],
    ids=['half of it', 'one byte less', 'empty', 'text', 'bytes', 'picture'],
)
def test_a_file_that_is_no_onnx_model_is_refused_in_one_sentence(
    spoil: Callable[[bytes], bytes],
) -> None:
    with pytest.raises(ModelError, match='is no ONNX model that ONNX Runtime') as refusal:
        load(spoil(graph()))
    assert '\n' not in str(refusal.value)


def test_a_run_takes_the_threads_given_and_they_do_not_spin() -> None:
    options = load(graph(), threads=1)._session.get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry('session.intra_op.allow_spinning') == '0'


def test_cuda_is_refused_where_this_onnx_runtime_lacks_it() -> None:
    onnxruntime = pytest.importorskip('onnxruntime')
    if 'CUDAExecutionProvider' in onnxruntime.get_available_providers():
        pytest.skip('this ONNX Runtime has CUDA')
    identity = ModelIdentity(name='tiny', sha256=None, backend='onnxruntime_cuda')
    with pytest.raises(MissingExtraError, match='onnxruntime-gpu'):
        OnnxRuntimeBackend(graph(), identity=identity, max_disparity_px=255.0)


CARD = """
name = 'tiny'
family = 'test'
summary = 'mean grey difference'
heads = ['disparity', 'instrument_mask', 'uncertainty']
licence = 'MIT'
min_disparity_px = 0
max_disparity_px = 255
intended_use = 'tests'
known_failures = []
outputs = []
measured = []
[input]
multiple_of = 8
[[files]]
path = 'tiny.safetensors'
format = 'safetensors'
sha256 = '{other}'
[[files]]
path = 'tiny.onnx'
format = 'onnx'
sha256 = '{sha256}'
[training]
data = 'none'
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    model = graph()
    (tmp_path / 'tiny.onnx').write_bytes(model)
    text = CARD.format(other='0' * 64, sha256=hashlib.sha256(model).hexdigest())
    (tmp_path / 'tiny.toml').write_text(text, encoding='utf-8')
    return tmp_path


def test_a_card_gives_identity_range_and_sizes(models: Path) -> None:
    card = load_card('tiny', models)
    backend = create_backend('tiny', models_dir=models)
    assert backend.identity == ModelIdentity('tiny', card.files[1].sha256, 'onnxruntime')
    assert (backend.min_disparity_px, backend.max_disparity_px) == (0.0, 255.0)
    with pytest.raises(BackendError, match='multiples of 8'):
        backend.warm_up((41, 24))


def test_a_file_whose_hash_is_not_the_cards_is_refused(models: Path) -> None:
    changed = graph(('value_float=0.5', 'value_float=0.25'))
    load(changed)  # it would run
    (models / 'tiny.onnx').write_bytes(changed)
    with pytest.raises(ModelError, match='SHA-256'):
        create_backend('tiny', models_dir=models)


def test_heads_that_are_not_the_cards_are_refused(models: Path) -> None:
    path = models / 'tiny.toml'
    text = path.read_text(encoding='utf-8').replace(", 'uncertainty'", '')
    path.write_text(text, encoding='utf-8')
    with pytest.raises(ModelError, match='promises the heads'):
        create_backend('tiny', models_dir=models)
