"""TensorRT as far as a machine without a GPU can tell: NVIDIA's parser and builder accept it."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from msdesis_ros.core.errors import BackendError, MissingExtraError, ModelError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime import tensorrt_backend
from msdesis_ros.runtime.engine_cache import EngineCache, EngineFingerprint
from msdesis_ros.runtime.tensorrt_backend import TensorRtBackend, open_engine, require_an_engine
from msdesis_ros.runtime.tensorrt_builder import build_plan, import_tensorrt, interface_of

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (uint8[1,64,96,3] left, uint8[1,64,96,3] right)
  => (float[1,1,64,96] disparity, float[1,1,64,96] mask_logits)
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
    onnx = pytest.importorskip('onnx', reason='the package onnx makes the test graphs')
    text = GRAPH
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return onnx.parser.parse_model(text).SerializeToString()


@pytest.fixture(scope='module')
def flavour() -> str:
    """A TensorRT that is installed; skips where there is none."""
    try:
        return import_tensorrt('tensorrt_rtx').__name__
    except MissingExtraError as error:
        pytest.skip(str(error))


def test_the_builder_makes_a_plan_and_names_its_interface(flavour: str) -> None:
    plan, nodes = build_plan(graph(), name='tiny', flavour=flavour)
    assert len(plan) > 1000
    assert [True, 'left', 'UINT8', [1, 64, 96, 3]] in nodes
    assert [False, 'disparity', 'FLOAT', [1, 1, 64, 96]] in nodes
    interface = interface_of(nodes, 'tiny')
    assert (interface.width, interface.height) == (96, 64)
    assert interface.heads == {'disparity', 'instrument_mask'}


@pytest.mark.parametrize(
    ('edits', 'message'),
    [
        ((('= Cast<to=1>(left)', '= NonZero(left)'),), 'does not accept the graph of tiny'),
        ((('disparity', 'depth'),), 'gives the outputs depth'),
        ((('64,96', 'H,W'),), 'has no fixed size; export it with --size'),
    ],
)
def test_a_graph_that_cannot_become_an_engine_is_refused(
    flavour: str, edits: tuple[tuple[str, str], ...], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        build_plan(graph(*edits), name='tiny', flavour=flavour)


@pytest.mark.parametrize('content', [b'', b'no model at all', bytes(range(256))])
def test_bytes_that_are_no_model_are_refused(flavour: str, content: bytes) -> None:
    # The parser takes some of these for a graph with nothing in it.
    with pytest.raises(ModelError, match='does not accept the graph of tiny|inputs none'):
        build_plan(content, name='tiny', flavour=flavour)


def test_a_machine_without_tensorrt_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ('tensorrt', 'tensorrt_rtx'):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match='pip install tensorrt'):
        TensorRtBackend(
            b'', identity=ModelIdentity('tiny', None, 'tensorrt'), max_disparity_px=255.0
        )


# What follows runs our own logic on a TensorRT made of a few lines.

NODES = [[True, 'left', 'UINT8', [1, 64, 96, 3]], [False, 'mask_logits', 'FLOAT', [1, 1, 64, 96]]]


class FakeEngine:
    def __init__(self, nodes: list[Any]) -> None:
        self.nodes = {name: (given, kind, shape) for given, name, kind, shape in nodes}
        self.num_io_tensors = len(nodes)

    def get_tensor_name(self, index: int) -> str:
        return list(self.nodes)[index]

    def get_tensor_mode(self, name: str) -> str:
        return 'in' if self.nodes[name][0] else 'out'

    def get_tensor_dtype(self, name: str) -> Any:
        return types.SimpleNamespace(name=self.nodes[name][1])

    def get_tensor_shape(self, name: str) -> list[int]:
        return self.nodes[name][2]


class FakeTensorRt:
    __name__ = 'tensorrt'
    __version__ = '10.0'
    TensorIOMode = types.SimpleNamespace(INPUT='in')

    class ILogger:
        Severity = types.SimpleNamespace(ERROR=1, INTERNAL_ERROR=0)

    def __init__(self) -> None:
        self.opens: dict[bytes, FakeEngine] = {}

    def Runtime(self, logger: Any) -> Any:  # noqa: N802 - TensorRT's name
        def deserialize(plan: bytes) -> FakeEngine | None:
            if plan not in self.opens:
                logger.log(1, 'serialization version mismatch')
            return self.opens.get(plan)

        return types.SimpleNamespace(deserialize_cuda_engine=deserialize)


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch) -> FakeTensorRt:
    fingerprint = EngineFingerprint(
        model_sha256='ab' * 32,
        flavour='tensorrt',
        version='10.0',
        gpu='a GPU',
        compute_capability='9.0',
        cuda='13',
        driver='580',
        recipe='strongly typed fp16',
    )
    monkeypatch.setattr(tensorrt_backend, 'machine_fingerprint', lambda *_: fingerprint)
    monkeypatch.setattr(tensorrt_backend, 'build_plan', lambda *_, **__: (b'built', NODES))
    fake = FakeTensorRt()
    fake.opens[b'built'] = FakeEngine(NODES)
    return fake


def opened(trt: FakeTensorRt, cache: EngineCache, *, build: bool) -> list[Any]:
    return open_engine(trt, b'onnx', 'tiny', precision='fp16', build=build, cache=cache)[1]


def test_loading_never_compiles_but_names_the_command_that_does(
    trt: FakeTensorRt, tmp_path: Path
) -> None:
    cache = EngineCache(tmp_path)
    with pytest.raises(BackendError, match='msdesis export --model tiny --engine'):
        opened(trt, cache, build=False)
    assert opened(trt, cache, build=True) == NODES
    assert opened(trt, cache, build=False) == NODES


def test_an_engine_that_tensorrt_cannot_open_any_more_is_deleted_and_said_so(
    trt: FakeTensorRt, tmp_path: Path
) -> None:
    said: list[str] = []
    cache = EngineCache(tmp_path, say=said.append)
    opened(trt, cache, build=True)
    trt.opens.clear()
    with pytest.raises(BackendError, match='there is no engine of tiny for a GPU'):
        opened(trt, cache, build=False)
    assert 'cannot open it (serialization version mismatch)' in said[-1]
    assert list(tmp_path.iterdir()) == []


def test_without_any_engine_the_command_is_named(
    trt: FakeTensorRt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_backend, 'import_tensorrt', lambda: trt)
    cache, models = EngineCache(tmp_path), [(b'onnx', 'fp16'), (b'other', 'fp32')]
    with pytest.raises(BackendError, match='msdesis export --model tiny --engine'):
        require_an_engine(models, name='tiny', cache=cache)
    opened(trt, cache, build=True)
    require_an_engine(models, name='tiny', cache=cache)


def test_a_stale_engine_that_may_not_be_deleted_is_left_aside(
    trt: FakeTensorRt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    cache = EngineCache(tmp_path, say=said.append)
    opened(trt, cache, build=True)
    trt.opens.clear()

    def refuse(path: Path) -> None:
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(Path, 'unlink', refuse)
    with pytest.raises(BackendError, match='msdesis export --model tiny --engine'):
        opened(trt, cache, build=False)
    assert said[-1].startswith('left aside the engine')


def test_an_engine_with_another_interface_than_its_note_is_deleted(
    trt: FakeTensorRt, tmp_path: Path
) -> None:
    cache = EngineCache(tmp_path)
    opened(trt, cache, build=True)
    trt.opens[b'built'] = FakeEngine(NODES[:1])
    with pytest.raises(BackendError, match='there is no engine'):
        opened(trt, cache, build=False)
