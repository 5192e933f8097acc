"""A card with one ONNX file for each picture size: opened when met, refused with the sizes."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError, MissingExtraError, ModelError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime import factory, sized_backend
from msdesis_ros.runtime.card_writer import card_toml
from msdesis_ros.runtime.check_samples import Tolerance
from msdesis_ros.runtime.factory import create_backend, open_graph
from msdesis_ros.runtime.model_card import InputRule, ModelCard, Training
from msdesis_ros.runtime.model_file import ModelFile
from msdesis_ros.runtime.network_backend import NetworkBackend
from msdesis_ros.runtime.self_check import make_self_check
from msdesis_ros.runtime.sized_backend import SizedBackend
from msdesis_ros.runtime.supervisor import SupervisedBackend

onnx = pytest.importorskip('onnx', reason='the package onnx makes the test graphs')

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (uint8[1,{size},3] left, uint8[1,{size},3] right) => (float[1,1,{size}] disparity)
{{
  l = Cast<to=1>(left)
  r = Cast<to=1>(right)
  difference = Sub(l, r)
  mean = ReduceMean<axes=[3], keepdims=1>(difference)
  plane = Transpose<perm=[0,3,1,2]>(mean)
  number = Constant<value_float={number}>()
  disparity = Add(plane, number)
}}
"""
# Each file adds a number of its own, so that an answer tells which one ran.
NUMBERS = {(40, 24): 1000.0, (64, 48): 2000.0, None: 3000.0}
SIZES = ((40, 24), (64, 48))
FP32 = Tolerance('fp32', disparity_px=0.01, mask_logits=0.01, uncertainty_px=0.01)
BACKENDS = ('onnxruntime', 'openvino')


def graph(size: tuple[int, int] | None, number: float | None = None) -> bytes:
    sides = 'H,W' if size is None else f'{size[1]},{size[0]}'
    text = GRAPH.format(size=sides, number=NUMBERS[size] if number is None else number)
    return onnx.parser.parse_model(text).SerializeToString()


def write_card(
    folder: Path,
    sizes: Sequence[tuple[int, int] | None] = SIZES,
    *,
    rule: InputRule | None = None,
    checked: bool = True,
) -> ModelCard:
    files, checks = [], []
    for size in sizes:
        content, name = graph(size), f'{size[0] if size else "any"}.onnx'
        (folder / name).write_bytes(content)
        files.append(ModelFile(name, 'onnx', hashlib.sha256(content).hexdigest(), image_size=size))
        if checked:
            identity = ModelIdentity('tiny', None, 'onnxruntime')
            trusted = open_graph(content, identity=identity, max_disparity_px=255.0)
            checks.append(make_self_check(trusted, image_size=size or (8, 8), tolerances=(FP32,)))
    card = ModelCard(
        name='tiny',
        family='test',
        summary='difference of the views',
        heads=frozenset({'disparity'}),
        licence='MIT',
        min_disparity_px=0.0,
        max_disparity_px=255.0,
        intended_use='tests',
        known_failures=(),
        input=rule or InputRule(),
        outputs=(),
        measured=(),
        files=tuple(files),
        training=Training('none'),
        self_check=tuple(checks),
        folder=folder,
    )
    (folder / 'tiny.toml').write_text(card_toml(card), encoding='utf-8')
    return card


def picture(size: tuple[int, int]) -> np.ndarray:
    return np.zeros((size[1], size[0], 3), np.uint8)


def answer(backend: SizedBackend, size: tuple[int, int]) -> float:
    plane = backend.run(picture(size), picture(size)).disparity_px
    assert plane is not None and plane.shape == size[::-1] and np.ptp(plane) == 0
    return float(plane[0, 0])


def opened(folder: Path, backend: str = 'onnxruntime') -> SizedBackend:
    pytest.importorskip(backend, reason=f'{backend} is not installed')
    created = create_backend('tiny', backend=backend, models_dir=folder)
    assert isinstance(created, SizedBackend)
    return created


@pytest.mark.parametrize('name', BACKENDS)
def test_the_size_of_the_pictures_picks_the_file(tmp_path: Path, name: str) -> None:
    card = write_card(tmp_path)
    backend = opened(tmp_path, name)
    assert backend.identity == ModelIdentity('tiny', None, name)
    assert (backend.heads, backend.max_disparity_px) == ({'disparity'}, 255.0)
    for size in (*SIZES, *SIZES):
        assert answer(backend, size) == NUMBERS[size]
        digest = next(file.sha256 for file in card.files if file.image_size == size)
        assert backend.identity == ModelIdentity('tiny', digest, name)


@pytest.mark.parametrize('name', BACKENDS)
def test_a_size_without_a_file_is_refused_naming_the_sizes(tmp_path: Path, name: str) -> None:
    write_card(tmp_path)
    backend = opened(tmp_path, name)
    for use in (backend.warm_up, lambda size: answer(backend, size)):
        with pytest.raises(BackendError, match='cannot take 24x40 .* files for 40x24, 64x48'):
            use((24, 40))
    assert answer(backend, (40, 24)) == 1000.0


@pytest.mark.parametrize('name', BACKENDS)
def test_a_file_for_any_size_takes_what_no_other_file_is_made_for(
    tmp_path: Path, name: str
) -> None:
    write_card(tmp_path, (None, (40, 24)), rule=InputRule(multiple_of=8), checked=False)
    backend = opened(tmp_path, name)
    assert answer(backend, (40, 24)) == 1000.0
    assert answer(backend, (24, 40)) == answer(backend, (64, 48)) == 3000.0
    with pytest.raises(BackendError, match='multiples of 8'):
        backend.warm_up((41, 24))


def counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[SizedBackend, list[tuple[int, int] | None], list[NetworkBackend]]:
    """A backend, and what it has opened."""
    write_card(tmp_path)
    sizes: list[tuple[int, int] | None] = []
    members: list[NetworkBackend] = []
    real = factory.open_card_file

    def open_card_file(card: ModelCard, file: ModelFile, **options: object) -> NetworkBackend:
        sizes.append(file.image_size)
        members.append(real(card, file, **options))
        return members[-1]

    monkeypatch.setattr(factory, 'open_card_file', open_card_file)
    return opened(tmp_path), sizes, members


def test_a_file_is_opened_when_its_size_comes_and_then_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, sizes, _ = counted(tmp_path, monkeypatch)
    assert sizes == []
    backend.warm_up((64, 48))
    for _ in range(3):
        answer(backend, (64, 48))
    assert sizes == [(64, 48)]
    answer(backend, (40, 24))
    answer(backend, (64, 48))
    assert sizes == [(64, 48), (40, 24)]


def test_only_so_many_files_stay_open_and_the_least_used_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sized_backend, 'MOST_OPEN', 1)
    backend, sizes, members = counted(tmp_path, monkeypatch)
    for size in (*SIZES, SIZES[0]):
        answer(backend, size)
    assert sizes == [*SIZES, SIZES[0]]
    assert [member._closed for member in members] == [True, True, False]
    backend.close()
    assert members[-1]._closed
    with pytest.raises(BackendError, match='closed'):
        backend.warm_up(SIZES[0])


@pytest.mark.parametrize('name', ['40.onnx', '64.onnx'])
def test_a_damaged_file_is_told_before_any_picture(tmp_path: Path, name: str) -> None:
    write_card(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(bytes(len(content)))
    with pytest.raises(ModelError, match=f'{name} has SHA-256'):
        opened(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match=f'{name} is missing'):
        opened(tmp_path)


def test_a_file_that_changes_is_refused_once_and_for_all_and_the_others_run(
    tmp_path: Path,
) -> None:
    write_card(tmp_path)
    whole = (tmp_path / '64.onnx').read_bytes()
    backend = opened(tmp_path)
    (tmp_path / '64.onnx').write_bytes(graph((64, 48), 7.0))
    with pytest.raises(BackendError, match='SHA-256'):
        backend.warm_up((64, 48))
    (tmp_path / '64.onnx').write_bytes(whole)
    with pytest.raises(BackendError, match='SHA-256'):
        answer(backend, (64, 48))
    assert answer(backend, (40, 24)) == 1000.0
    assert answer(opened(tmp_path), (64, 48)) == 2000.0


def test_each_file_must_give_the_answers_of_its_own_size(tmp_path: Path) -> None:
    write_card(tmp_path)
    path = tmp_path / 'tiny.toml'
    wrong = graph((64, 48), 2001.0)
    old = hashlib.sha256((tmp_path / '64.onnx').read_bytes()).hexdigest()
    (tmp_path / '64.onnx').write_bytes(wrong)
    text = path.read_text(encoding='utf-8').replace(old, hashlib.sha256(wrong).hexdigest())
    path.write_text(text, encoding='utf-8')
    backend = opened(tmp_path)
    assert answer(backend, (40, 24)) == 1000.0
    with pytest.raises(BackendError, match='fails its self-check'):
        answer(backend, (64, 48))


@pytest.mark.parametrize('sizes', [((40, 24),), SIZES], ids=['alone', 'of two'])
def test_a_file_of_another_size_than_its_card_says_is_refused(
    tmp_path: Path, sizes: tuple[tuple[int, int], ...]
) -> None:
    write_card(tmp_path, sizes, checked=False)
    path = tmp_path / 'tiny.toml'
    text = path.read_text(encoding='utf-8')
    path.write_text(text.replace('image_size = [40, 24]', 'image_size = [48, 24]'))
    with pytest.raises((ModelError, BackendError), match='made for 48x24, but .* for 40x24'):
        create_backend('tiny', models_dir=tmp_path).warm_up((48, 24))


def test_one_file_for_one_size_is_opened_at_once(tmp_path: Path) -> None:
    write_card(tmp_path, SIZES[:1])
    (tmp_path / '40.onnx').unlink()
    with pytest.raises(ModelError, match='is missing'):
        create_backend('tiny', models_dir=tmp_path)


def test_a_missing_program_is_told_before_any_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_card(tmp_path)
    for name in BACKENDS:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(MissingExtraError, match='pip install'):
                create_backend('tiny', backend=name, models_dir=tmp_path)


def test_tensorrt_picks_in_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_card(tmp_path, checked=False)
    made: list[tuple[bytes, str]] = []

    class Engine(factory.OnnxRuntimeBackend):
        """ONNX Runtime in the place of TensorRT, which needs a GPU."""

        precisions = staticmethod(factory.TensorRtBackend.precisions)
        require_usable = staticmethod(lambda backend: made.append((b'', backend)))

        def __init__(self, model: bytes, *, identity: ModelIdentity, **options: object) -> None:
            made.append((model, identity.backend))
            identity = ModelIdentity(identity.name, identity.sha256, 'onnxruntime')
            super().__init__(model, identity=identity, **options)  # type: ignore[arg-type]

    monkeypatch.setitem(factory.GRAPH_BACKENDS, 'tensorrt', Engine)
    monkeypatch.setitem(factory.BUILDERS, 'tensorrt', partial(factory._graph, Engine))
    backend = create_backend('tiny', backend='tensorrt', models_dir=tmp_path)
    assert made == [(b'', 'tensorrt')]
    assert answer(backend, (64, 48)) == 2000.0
    assert made[1:] == [((tmp_path / '64.onnx').read_bytes(), 'tensorrt')]


def test_without_any_engine_tensorrt_says_so_before_any_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_card(tmp_path, checked=False)
    asked: list[list[str]] = []

    def refuse(contents: list[tuple[bytes, str]], *, name: str) -> None:
        asked.append([precision for _, precision in contents])
        raise BackendError(f'there is no engine of {name}')

    monkeypatch.setattr(factory.TensorRtBackend, 'require_usable', staticmethod(lambda _: None))
    monkeypatch.setattr(factory, 'require_an_engine', refuse)
    with pytest.raises(BackendError, match='no engine of tiny'):
        create_backend('tiny', backend='tensorrt', models_dir=tmp_path)
    assert asked == [['fp32', 'fp32']]


def test_engines_are_built_before_any_picture_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = write_card(tmp_path, checked=False)
    built: list[tuple[bytes, str, str]] = []
    monkeypatch.setattr(
        factory,
        'compile_engine',
        lambda content, *, name, precision: built.append((content, name, precision)),
    )
    monkeypatch.setattr(factory.TensorRtBackend, 'require_usable', staticmethod(lambda _: None))
    monkeypatch.setattr(factory, 'require_an_engine', lambda contents, *, name: None)
    options = {'backend': 'tensorrt', 'models_dir': tmp_path}
    create_backend('tiny', **options)
    assert built == []
    create_backend('tiny', **options, build_engine=True)
    assert built == [(card.file_bytes(file), 'tiny', 'fp32') for file in card.files]
    create_backend('tiny', backend='onnxruntime', models_dir=tmp_path, build_engine=True)
    assert len(built) == len(card.files)


def test_a_supervised_backend_has_the_identity_of_the_file_in_use(tmp_path: Path) -> None:
    card = write_card(tmp_path)
    backend = SupervisedBackend(lambda: opened(tmp_path))
    for size, file in zip(SIZES, card.files, strict=True):
        backend.run(picture(size), picture(size))
        assert backend.identity.sha256 == file.sha256


def test_files_are_preferred_by_precision_and_then_by_size(tmp_path: Path) -> None:
    def file(name: str, precision: str, size: tuple[int, int] | None) -> ModelFile:
        return ModelFile(name, 'onnx', '0' * 64, precision=precision, image_size=size)

    any_full, full, half = (
        file('any', 'fp32', None),
        file('full', 'fp32', (40, 24)),
        file('half', 'fp16', (40, 24)),
    )
    card = write_card(tmp_path)

    def chosen(*files: ModelFile, precisions: tuple[str, ...] = ('fp32', 'fp16')) -> list[str]:
        return [f.path for f in replace(card, files=files).onnx_files(*precisions)]

    assert chosen(any_full, full, half) == ['full', 'any']
    assert chosen(full, half) == ['full']
    assert chosen(full, any_full, half, precisions=('fp16', 'fp32')) == ['half', 'any']
    with pytest.raises(ModelError, match='no ONNX file of fp16; export one'):
        chosen(full, precisions=('fp16',))
