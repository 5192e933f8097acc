"""One contract for every backend, and for each clause a backend that breaks it and is caught."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError, ImageError, MissingExtraError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.backend import HEADS, Backend, RawOutput, contiguous_pair
from msdesis_ros.runtime.cards import load_card
from msdesis_ros.runtime.factory import BUILDERS, create_backend, open_graph
from msdesis_ros.runtime.model_card import InputRule, Training
from msdesis_ros.runtime.model_file import ModelFile
from msdesis_ros.runtime.sized_backend import SizedBackend
from msdesis_ros.runtime.tensorrt_backend import TensorRtBackend
from msdesis_ros.runtime.torch_backend import TorchBackend

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (uint8[1,H,W,3] left, uint8[1,H,W,3] right)
  => (float[1,1,H,W] disparity, float[1,1,H,W] mask_logits, float[1,1,H,W] log_scale)
{
  l = Cast<to=1>(left)
  r = Cast<to=1>(right)
  difference = Sub(l, r)
  mean = ReduceMean<axes=[3], keepdims=1>(difference)
  signed = Transpose<perm=[0,3,1,2]>(mean)
  disparity = Relu(signed)
  mask_logits = Neg(signed)
  log_scale = Tanh(signed)
}
"""
SIZE = (96, 64)


class NumpyBackend:
    """What keeps every clause with the least code; its children below break one each."""

    heads = frozenset({'disparity', 'instrument_mask'})
    min_disparity_px = 0.0
    max_disparity_px = 255.0
    disparity_step_px = 0.0

    def __init__(self) -> None:
        self.identity = ModelIdentity(name='numpy', sha256=None, backend='numpy')
        self.closed = False

    def warm_up(self, image_size: tuple[int, int]) -> None:
        self.require(image_size)

    def require(self, image_size: tuple[int, int]) -> None:
        if self.closed:
            raise BackendError('closed')
        InputRule(multiple_of=8).require(image_size, model='numpy')

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        left, right = contiguous_pair(left, right)
        self.require((left.shape[1], left.shape[0]))
        return self.infer(left, right)

    def infer(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        difference = (left.astype(np.float32) - right).mean(axis=2)
        disparity = np.where(difference > 0, difference, np.nan).astype(np.float32)
        return RawOutput(disparity_px=disparity, mask_logits=-difference)

    def close(self) -> None:
        self.closed = True


@dataclass(frozen=True)
class Candidate:
    """How to make a backend, and a size that it does not take.

    `bounded`: its disparities cannot leave the range it searches; a network's may.
    """

    make: Callable[[], Backend]
    refused_size: tuple[int, int]
    bounded: bool = True


MASK_ONLY = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (uint8[1,H,W,3] left) => (float[1,1,H,W] mask_logits)
{
  l = Cast<to=1>(left)
  mean = ReduceMean<axes=[3], keepdims=1>(l)
  mask_logits = Transpose<perm=[0,3,1,2]>(mean)
}
"""
EIGHTS = InputRule(multiple_of=8)


def tiny_network(backend: str, size: str, sizes: InputRule, text: str = GRAPH) -> Backend:
    onnx = pytest.importorskip('onnx', reason='the package onnx makes the test graph')
    return skipping_what_is_missing(
        open_graph,
        onnx.parser.parse_model(text.replace('H,W', size)).SerializeToString(),
        identity=ModelIdentity(name='tiny', sha256='0' * 64, backend=backend),
        max_disparity_px=255.0,
        sizes=sizes,
    )


def network_of_sizes() -> Backend:
    """One file for each of two sizes, opened when they come."""
    files = [
        ModelFile(f'{width}.onnx', 'onnx', '0' * 64, image_size=(width, height))
        for width, height in (SIZE, (40, 24))
    ]
    card = replace(
        load_card('opencv_sgbm'),
        name='tiny',
        family='test',
        heads=frozenset({'disparity', 'instrument_mask', 'uncertainty'}),
        files=tuple(files),
        training=Training('none'),
    )

    def open_file(file: ModelFile) -> Any:
        assert file.image_size is not None
        width, height = file.image_size
        return tiny_network('onnxruntime', f'{height},{width}', InputRule())

    return SizedBackend(card, files, backend='onnxruntime', open_file=open_file)


def tensorrt_network() -> Backend:
    onnx = pytest.importorskip('onnx', reason='the package onnx makes the test graph')
    return skipping_what_is_missing(
        TensorRtBackend,
        onnx.parser.parse_model(GRAPH.replace('H,W', '64,96')).SerializeToString(),
        identity=ModelIdentity(name='tiny', sha256='0' * 64, backend='tensorrt'),
        max_disparity_px=255.0,
        build_engine=True,
    )


def torch_network(backend: str, mode: str = 'multitask') -> Backend:
    pytest.importorskip('torch', reason='the extra torch is not installed')
    return skipping_what_is_missing(
        TorchBackend,
        light_network(mode),
        identity=ModelIdentity(name='light', sha256=None, backend=backend),
        max_disparity_px=320.0,
        sizes=EIGHTS,
    )


@functools.cache
def light_network(mode: str) -> Any:
    path = Path(__file__).parents[1] / 'nets' / 'lively.py'
    spec = importlib.util.spec_from_file_location('contract_lively', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.lively_network('light', mode=mode)


def skipping_what_is_missing(make: Callable[..., Backend], *args: Any, **options: Any) -> Backend:
    try:
        return make(*args, **options)
    except MissingExtraError as error:
        pytest.skip(str(error))


def graph_candidates(backend: str) -> dict[str, Candidate]:
    return {
        f'{backend}, one size': Candidate(
            lambda: tiny_network(backend, '64,96', InputRule()), (64, 96)
        ),
        f'{backend}, any size': Candidate(lambda: tiny_network(backend, 'H,W', EIGHTS), (97, 64)),
        f'{backend}, no disparity': Candidate(
            lambda: tiny_network(backend, 'H,W', EIGHTS, MASK_ONLY), (97, 64)
        ),
    }


CANDIDATES = {
    'opencv': Candidate(lambda: create_backend('opencv_sgbm'), (4, 64)),
    **graph_candidates('onnxruntime'),
    'onnxruntime, a file for each size': Candidate(network_of_sizes, (64, 96)),
    **graph_candidates('onnxruntime_cuda'),
    **graph_candidates('openvino'),
    **graph_candidates('openvino_bf16'),
    # TensorRT compiles an engine for one size.
    'tensorrt': Candidate(tensorrt_network, (64, 96)),
    **{
        f'{backend}, {mode}': Candidate(
            functools.partial(torch_network, backend, mode), (97, 64), bounded=False
        )
        for backend in ('torch', 'torch_cuda')
        for mode in ('multitask', 'disparity', 'segmentation')
    },
    'numpy': Candidate(NumpyBackend, (97, 64)),
}


def pictures(seed: int = 0, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A random texture shifted by 12 px, with noise."""
    width, height = size
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 250, (height, width, 3), dtype=np.uint8)
    right = np.roll(left, -12, axis=1) + rng.integers(0, 5, left.shape, dtype=np.uint8)
    return left, right


def planes(output: RawOutput) -> dict[str, np.ndarray | None]:
    return {
        'disparity': output.disparity_px,
        'instrument_mask': output.mask_logits,
        'uncertainty': output.uncertainty_px,
    }


def assert_equal(one: RawOutput, other: RawOutput) -> None:
    for head, plane in planes(one).items():
        np.testing.assert_array_equal(plane, planes(other)[head], err_msg=head)


def says_who_it_is_and_what_it_can(candidate: Candidate) -> None:
    backend = candidate.make()
    assert isinstance(backend.identity, ModelIdentity)
    assert backend.identity.name
    assert backend.identity.backend
    assert backend.heads
    assert backend.heads <= set(HEADS)
    assert 0 <= backend.min_disparity_px < backend.max_disparity_px
    assert backend.disparity_step_px >= 0


def gives_the_declared_planes_at_the_size_of_the_left_picture(candidate: Candidate) -> None:
    backend = candidate.make()
    for head, plane in planes(backend.run(*pictures())).items():
        assert (plane is not None) == (head in backend.heads), head
        if plane is not None:
            assert (plane.shape, plane.dtype) == (SIZE[::-1], np.float32), head


def has_nan_for_no_value_and_otherwise_stays_in_range(candidate: Candidate) -> None:
    backend = candidate.make()
    for seed in range(3):
        output = backend.run(*pictures(seed))
        if output.disparity_px is not None:
            found = output.disparity_px[~np.isnan(output.disparity_px)]
            assert found.size
            assert np.isfinite(found).all()
            if candidate.bounded:
                assert found.min() >= backend.min_disparity_px
                assert found.max() <= backend.max_disparity_px
        for plane in (output.mask_logits, output.uncertainty_px):
            assert plane is None or np.isfinite(plane).all()
        assert output.uncertainty_px is None or (output.uncertainty_px > 0).all()


def refuses_a_size_it_cannot_take_before_it_runs(candidate: Candidate) -> None:
    backend = candidate.make()
    backend.warm_up(SIZE)
    with pytest.raises(BackendError, match=r'cannot take \d+x\d+'):
        backend.warm_up(candidate.refused_size)
    with pytest.raises(BackendError, match=r'cannot take \d+x\d+'):
        backend.run(*pictures(size=candidate.refused_size))
    backend.run(*pictures())


def leaves_the_pictures_as_they_are(candidate: Candidate) -> None:
    backend = candidate.make()
    left, right = pictures()
    backend.run(left, right)
    for picture, before in zip((left, right), pictures(), strict=True):
        np.testing.assert_array_equal(picture, before)
        picture.setflags(write=False)
    backend.run(left, right)


def gives_results_that_no_later_run_changes(candidate: Candidate) -> None:
    backend = candidate.make()
    first = backend.run(*pictures(1))
    for seed in range(2, 6):
        backend.run(*pictures(seed))
    assert_equal(first, candidate.make().run(*pictures(1)))


def gives_results_that_share_no_memory_with_anything(candidate: Candidate) -> None:
    backend = candidate.make()
    left, right = pictures()
    found = planes(backend.run(left, right))
    for head, plane in found.items():
        if plane is None:
            continue
        assert plane.flags.writeable, head
        assert not np.shares_memory(plane, left), head
        assert not np.shares_memory(plane, right), head
        plane[:] = 7777.0
    assert_equal(backend.run(left, right), candidate.make().run(left, right))


def answers_the_same_pair_the_same_way(candidate: Candidate) -> None:
    backend = candidate.make()
    first = backend.run(*pictures())
    assert_equal(first, backend.run(*pictures()))
    assert_equal(first, candidate.make().run(*pictures()))


def can_be_closed_twice_and_then_refuses_to_run(candidate: Candidate) -> None:
    backend = candidate.make()
    backend.run(*pictures())
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match='closed'):
        backend.run(*pictures())
    with pytest.raises(BackendError, match='closed'):
        backend.warm_up(SIZE)


def refuses_views_of_different_sizes(candidate: Candidate) -> None:
    backend = candidate.make()
    left, right = pictures()
    for cut in (right[:, :-8], right[:-8], right[:1]):
        with pytest.raises(ImageError):
            backend.run(left, np.ascontiguousarray(cut))


def refuses_pictures_that_are_not_rgb_bytes(candidate: Candidate) -> None:
    backend = candidate.make()
    left, right = pictures()
    for wrong in (
        left.astype(np.float32),
        left.astype(np.uint16),
        left[..., 0],
        left[..., :1],
        np.concatenate([left, left[..., :1]], axis=2),
        left[None],
    ):
        with pytest.raises(ImageError):
            backend.run(np.ascontiguousarray(wrong), right)
        with pytest.raises(ImageError):
            backend.run(left, np.ascontiguousarray(wrong))


def takes_pictures_that_are_not_contiguous(candidate: Candidate) -> None:
    backend = candidate.make()
    left, right = pictures()
    expected = backend.run(left, right)
    wide = np.zeros((SIZE[1], SIZE[0] + 9, 4), dtype=np.uint8)
    wide[:, 4:-5, :3] = left
    view, fortran = wide[:, 4:-5, :3], np.asfortranarray(right)
    assert not view.flags.c_contiguous
    assert not fortran.flags.c_contiguous
    assert_equal(backend.run(view, fortran), expected)


class Nameless(NumpyBackend):
    def __init__(self) -> None:
        super().__init__()
        self.heads = frozenset({'depth'})


class Transposed(NumpyBackend):
    def infer(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        good = super().infer(left, right)
        assert good.disparity_px is not None
        assert good.mask_logits is not None
        return RawOutput(disparity_px=good.disparity_px.T, mask_logits=good.mask_logits.T)


class MinusOneForInvalid(NumpyBackend):
    def infer(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        good = super().infer(left, right)
        assert good.disparity_px is not None
        disparity = np.nan_to_num(good.disparity_px, nan=-1.0)
        return RawOutput(disparity_px=disparity, mask_logits=good.mask_logits)


class AnySize(NumpyBackend):
    def require(self, image_size: tuple[int, int]) -> None:
        if self.closed:
            raise BackendError('closed')


class WritesIntoThePicture(NumpyBackend):
    def infer(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        left[0, 0] = 0
        return super().infer(left, right)


class ReusesItsMemory(NumpyBackend):
    def infer(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        good = super().infer(left, right)
        if not hasattr(self, 'kept'):
            self.kept = good
        for kept, new in zip(planes(self.kept).values(), planes(good).values(), strict=True):
            if kept is not None and new is not None:
                kept[:] = new
        return self.kept


class GivesItsCacheAway(NumpyBackend):
    cache: RawOutput | None = None

    def infer(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        if self.cache is None:
            self.cache = super().infer(left, right)
        return self.cache


class Random(NumpyBackend):
    def infer(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        noise = np.random.default_rng().normal(size=left.shape[:2]).astype(np.float32)
        good = super().infer(left, right)
        return RawOutput(disparity_px=good.disparity_px, mask_logits=noise)


class NeverCloses(NumpyBackend):
    def close(self) -> None:
        pass


class CutsToTheSmaller(NumpyBackend):
    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        height, width = np.minimum(left.shape[:2], right.shape[:2])
        return super().run(left[:height, :width], right[:height, :width])


class CastsAnything(NumpyBackend):
    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        pair = (np.resize(view, (SIZE[1], SIZE[0], 3)).astype(np.uint8) for view in (left, right))
        return super().run(*pair)


class ReadsTheBuffer(NumpyBackend):
    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        shape = left.shape
        return super().run(left.ravel('K').reshape(shape), right.ravel('K').reshape(shape))


CLAUSES: dict[Callable[[Candidate], None], type[NumpyBackend]] = {
    says_who_it_is_and_what_it_can: Nameless,
    gives_the_declared_planes_at_the_size_of_the_left_picture: Transposed,
    has_nan_for_no_value_and_otherwise_stays_in_range: MinusOneForInvalid,
    refuses_a_size_it_cannot_take_before_it_runs: AnySize,
    leaves_the_pictures_as_they_are: WritesIntoThePicture,
    gives_results_that_no_later_run_changes: ReusesItsMemory,
    gives_results_that_share_no_memory_with_anything: GivesItsCacheAway,
    answers_the_same_pair_the_same_way: Random,
    can_be_closed_twice_and_then_refuses_to_run: NeverCloses,
    refuses_views_of_different_sizes: CutsToTheSmaller,
    refuses_pictures_that_are_not_rgb_bytes: CastsAnything,
    takes_pictures_that_are_not_contiguous: ReadsTheBuffer,
}


@pytest.mark.parametrize('clause', CLAUSES, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize('candidate', CANDIDATES.values(), ids=CANDIDATES)
def test_every_backend_keeps_the_contract(
    candidate: Candidate, clause: Callable[[Candidate], None]
) -> None:
    clause(candidate)


def test_every_backend_of_the_product_is_a_candidate() -> None:
    assert set(BUILDERS) <= {name.split(',')[0] for name in CANDIDATES}


@pytest.mark.parametrize(
    ('clause', 'wrong'), CLAUSES.items(), ids=[wrong.__name__ for wrong in CLAUSES.values()]
)
def test_a_backend_that_breaks_a_clause_is_caught(
    clause: Callable[[Candidate], None], wrong: type[NumpyBackend]
) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        clause(Candidate(wrong, (97, 64)))
