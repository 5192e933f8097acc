"""OpenVINO on tiny graphs: the same answers as NumPy, and the same refusals as ONNX Runtime."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError, MissingExtraError, ModelError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.openvino_backend import OpenVinoBackend

onnx = pytest.importorskip('onnx', reason='the package onnx makes the test graphs')

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (uint8[1,H,W,3] left, uint8[1,H,W,3] right)
  => (float[1,1,H,W] mask_logits, float[1,1,H,W] disparity)
{
  l = Cast<to=1>(left)
  r = Cast<to=1>(right)
  difference = Sub(l, r)
  mean = ReduceMean<axes=[3], keepdims=1>(difference)
  disparity = Transpose<perm=[0,3,1,2]>(mean)
  mask_logits = Neg(disparity)
}
"""


def graph(*edits: tuple[str, str]) -> bytes:
    text = GRAPH
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return onnx.parser.parse_model(text).SerializeToString()


def load(model: bytes, *, backend: str = 'openvino', **options: Any) -> OpenVinoBackend:
    identity = ModelIdentity(name='tiny', sha256=None, backend=backend)
    return OpenVinoBackend(model, identity=identity, max_disparity_px=255.0, **options)


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    if 'missing' not in request.node.name:
        pytest.importorskip('openvino', reason='the extra openvino is not installed')


def pictures(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize('edits', [(), (('H,W', '24,40'),)], ids=['symbolic', 'static'])
def test_the_planes_are_what_the_graph_computes(edits: tuple[tuple[str, str], ...]) -> None:
    left, right = pictures(40, 24)
    output = load(graph(*edits)).run(left, right)
    expected = (left.astype(np.float32) - right).mean(axis=2)
    np.testing.assert_allclose(output.disparity_px, expected, atol=1e-4)
    np.testing.assert_allclose(output.mask_logits, -expected, atol=1e-4)


def test_a_symbolic_graph_takes_one_size_after_another() -> None:
    backend = load(graph())
    for width in (1, 8, 41, 90, 33, 8):
        left, right = pictures(width, 16)
        found = backend.run(left, right).disparity_px
        np.testing.assert_allclose(
            found, (left.astype(np.float32) - right).mean(axis=2), atol=1e-4
        )


def test_a_static_graph_refuses_other_sizes_naming_its_own() -> None:
    backend = load(graph(('H,W', '24,40')))
    with pytest.raises(BackendError, match='cannot take 24x40 .* made for 40x24'):
        backend.warm_up((24, 40))


def convolution() -> bytes:
    """A convolution that has no exact answer in bfloat16."""
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    tiny (uint8[1,64,64,3] left, uint8[1,64,64,3] right) => (float[1,1,64,64] disparity)
    {
      l = Cast<to=1>(left)
      r = Cast<to=1>(right)
      both = Concat<axis=3>(l, r)
      planes = Transpose<perm=[0,3,1,2]>(both)
      size = Constant<value_ints=[16,6,3,3]>()
      weight = ConstantOfShape<value=float[1]{0.123456789}>(size)
      hidden = Conv<pads=[1,1,1,1]>(planes, weight)
      size2 = Constant<value_ints=[1,16,3,3]>()
      weight2 = ConstantOfShape<value=float[1]{0.0123456789}>(size2)
      disparity = Conv<pads=[1,1,1,1]>(hidden, weight2)
    }
    """
    return onnx.parser.parse_model(text).SerializeToString()


def test_float32_stays_float32_even_where_the_processor_has_bfloat16() -> None:
    left, right = pictures(64, 64)
    single = load(convolution()).run(left, right).disparity_px
    onnxruntime = pytest.importorskip('onnxruntime')
    session = onnxruntime.InferenceSession(convolution(), providers=['CPUExecutionProvider'])
    (reference,) = session.run(None, {'left': left[None], 'right': right[None]})
    np.testing.assert_allclose(single, reference[0, 0], rtol=1e-5)
    try:
        half = load(convolution(), backend='openvino_bf16')
    except MissingExtraError as error:
        pytest.skip(str(error))
    assert (load(convolution()).precision, half.precision) == ('fp32', 'bf16')
    error = np.abs(half.run(left, right).disparity_px / single - 1).max()
    assert 1e-4 < error < 0.05, 'asked for, bfloat16 is what runs'


@pytest.mark.parametrize(
    ('edits', 'message'),
    [
        ((('left', 'first'),), 'takes the inputs first, right; expected left, right'),
        ((('disparity', 'depth'),), 'gives the outputs depth, mask_logits; expected disparity'),
        ((('uint8[1,H,W,3] left', 'float[1,H,W,3] left'),), r'left is tensor\(float\)'),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused_saying_where(
    edits: tuple[tuple[str, str], ...], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load(graph(*edits))


@pytest.mark.parametrize('content', [b'', b'text and no model' * 9, bytes(range(256)) * 8])
def test_a_file_that_is_no_onnx_model_is_refused_in_one_sentence(content: bytes) -> None:
    with pytest.raises(ModelError, match='is no ONNX model that OpenVINO can load') as refusal:
        load(content)
    assert '\n' not in str(refusal.value)


def test_a_run_takes_the_threads_given() -> None:
    backend = load(graph(('H,W', '24,40')), threads=1)
    backend.warm_up((40, 24))
    compiled = next(iter(backend._requests.values())).get_compiled_model()
    assert compiled.get_property('INFERENCE_NUM_THREADS') == 1


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'openvino', None)
    with pytest.raises(MissingExtraError, match=r'msdesis_ros\[openvino\]'):
        load(graph())
