"""Names become backends, and wrong names become sentences."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import MissingExtraError, ModelError, UsageError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.cards import DEFAULT_MODEL, load_card
from msdesis_ros.runtime.factory import create_backend, require_usable

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (uint8[1,H,W,3] left, uint8[1,H,W,3] right) => (float[1,1,H,W] disparity)
{
  l = Cast<to=1>(left)
  r = Cast<to=1>(right)
  larger = Max(l, r)
  mean = ReduceMean<axes=[3], keepdims=1>(larger)
  disparity = Transpose<perm=[0,3,1,2]>(mean)
}
"""
CARD = """
name = '{name}'
family = 'test'
summary = 'mean of the brighter view'
heads = ['disparity']
licence = 'MIT'
min_disparity_px = 0
max_disparity_px = 255
intended_use = 'tests'
known_failures = []
outputs = []
measured = []
[input]
[[files]]
path = 'tiny.{format}'
format = '{format}'
sha256 = '{sha256}'
[training]
data = 'none'
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    onnx = pytest.importorskip('onnx', reason='the package onnx makes the test graph')
    model = onnx.parser.parse_model(GRAPH).SerializeToString()
    digest = hashlib.sha256(model).hexdigest()
    for name, format in (('tiny', 'onnx'), ('unexported', 'safetensors')):
        (tmp_path / f'tiny.{format}').write_bytes(model)
        text = CARD.format(name=name, format=format, sha256=digest)
        (tmp_path / f'{name}.toml').write_text(text, encoding='utf-8')
    return tmp_path


def test_the_default_model_is_one_that_ships() -> None:
    assert create_backend().identity.name == DEFAULT_MODEL


def test_the_matcher_needs_no_weights() -> None:
    backend = create_backend('opencv_sgbm')
    assert backend.identity == ModelIdentity('opencv_sgbm', None, 'opencv')
    assert (backend.min_disparity_px, backend.max_disparity_px) == (0.0, 255.0)
    assert backend.heads == {'disparity'}


def test_a_network_card_runs_with_onnx_runtime_unless_told_otherwise(models: Path) -> None:
    for backend in (
        create_backend('tiny', models_dir=models),
        create_backend('tiny', backend='onnxruntime', threads=1, models_dir=models),
    ):
        digest = hashlib.sha256((models / 'tiny.onnx').read_bytes()).hexdigest()
        assert backend.identity == ModelIdentity('tiny', digest, 'onnxruntime')
        left = np.full((6, 8, 3), 40, dtype=np.uint8)
        output = backend.run(left, left // 2)
        np.testing.assert_array_equal(output.disparity_px, np.full((6, 8), 40, np.float32))


def test_an_unknown_model_is_refused_listing_the_known_ones(models: Path) -> None:
    with pytest.raises(ModelError, match='tiny, unexported'):
        create_backend('tyni', models_dir=models)


def test_an_unknown_backend_is_refused_listing_the_known_ones() -> None:
    with pytest.raises(UsageError, match='known: opencv, onnxruntime, onnxruntime_cuda'):
        create_backend(backend='onxruntime')


@pytest.mark.parametrize(
    ('model', 'backend'), [('opencv_sgbm', 'onnxruntime'), ('tiny', 'opencv')]
)
def test_a_backend_that_cannot_run_the_model_is_refused_naming_those_that_can(
    models: Path, model: str, backend: str
) -> None:
    folder = models if model == 'tiny' else None
    with pytest.raises(UsageError, match='it runs with: (opencv$|onnxruntime, )'):
        create_backend(model, backend=backend, models_dir=folder)


def test_a_card_whose_files_no_backend_runs_is_refused(models: Path) -> None:
    with pytest.raises(ModelError, match='no file that a backend can run'):
        create_backend('unexported', models_dir=models)


def test_a_changed_file_is_refused(models: Path) -> None:
    path = models / 'tiny.onnx'
    path.write_bytes(path.read_bytes() + b'\0')
    with pytest.raises(ModelError, match='SHA-256'):
        create_backend('tiny', models_dir=models)


@pytest.mark.parametrize('threads', [0, -1])
def test_a_number_of_threads_below_one_is_refused(threads: int) -> None:
    with pytest.raises(UsageError, match='1 or more'):
        create_backend(threads=threads)


def test_the_number_of_threads_reaches_opencv() -> None:
    before = cv2.getNumThreads()
    try:
        create_backend('opencv_sgbm', threads=1)
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


def test_a_missing_package_is_named_with_the_command_that_adds_it(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(MissingExtraError, match='tiny needs ONNX Runtime.*pip install'):
        create_backend('tiny', models_dir=models)
    create_backend('opencv_sgbm')  # which needs no such package


def test_what_a_backend_needs_is_asked_for_without_opening_a_file(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / 'tiny.onnx').unlink()
    card = load_card('tiny', models)
    require_usable(card)
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(MissingExtraError, match='onnxruntime needs ONNX Runtime.*pip install'):
        require_usable(card)
    require_usable(load_card('opencv_sgbm'))
    with pytest.raises(UsageError, match='it runs with: onnxruntime'):
        require_usable(card, 'torch')


def test_importing_the_factory_loads_no_inference_program() -> None:
    code = (
        'import sys, msdesis_ros.runtime.factory as f; '
        "sys.exit('onnxruntime' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
