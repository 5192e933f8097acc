"""An exported checkpoint is kept for the next time, and not believed once it was changed."""

from __future__ import annotations

import hashlib
import json
import types
from pathlib import Path
from typing import Any

import pytest

from msdesis_ros.cli.checkpoint_backend import exported_onnx
from msdesis_ros.nets.checkpoints import LoadedCheckpoint

SIZE = (64, 32)


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What an exporter that takes no time was asked for."""
    from msdesis_ros.export import onnx_export

    asked: list[Path] = []

    def export(network: Any, path: Path, *, image_size: tuple[int, int], origin: Any) -> None:
        asked.append(path)
        content = f'graph of {origin.weights_sha256} for {image_size}'.encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        report = {'sha256': hashlib.sha256(content).hexdigest()}
        path.with_suffix('.json').write_text(json.dumps(report), encoding='utf-8')

    monkeypatch.setattr(onnx_export, 'export_onnx', export)
    return asked


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / 'weights.pt'
    path.write_bytes(b'these bytes stand for weights')
    return path


def loaded(weights: Path, mode: str = 'multitask', max_disparity: int = 320) -> LoadedCheckpoint:
    config = types.SimpleNamespace(mode=mode, max_disparity=max_disparity)
    network: Any = types.SimpleNamespace(config=config)
    return LoadedCheckpoint(network, hashlib.sha256(weights.read_bytes()).hexdigest())


def test_it_is_exported_once(exports: list[Path], weights: Path, tmp_path: Path) -> None:
    first = exported_onnx(loaded(weights), weights, image_size=SIZE, folder=tmp_path)
    assert exported_onnx(loaded(weights), weights, image_size=SIZE, folder=tmp_path) == first
    assert len(exports) == 1


def test_other_weights_modes_ranges_and_sizes_are_other_files(
    exports: list[Path], weights: Path, tmp_path: Path
) -> None:
    exported_onnx(loaded(weights), weights, image_size=SIZE, folder=tmp_path)
    exported_onnx(loaded(weights, 'disparity'), weights, image_size=SIZE, folder=tmp_path)
    exported_onnx(loaded(weights, max_disparity=192), weights, image_size=SIZE, folder=tmp_path)
    exported_onnx(loaded(weights), weights, image_size=(96, 32), folder=tmp_path)
    weights.write_bytes(b'other weights')
    exported_onnx(loaded(weights), weights, image_size=SIZE, folder=tmp_path)
    assert len(set(exports)) == 5


@pytest.mark.parametrize('suffix', ['.onnx', '.json'])
@pytest.mark.parametrize('content', [None, b'', b'{}', b'[]', b'something else'])
def test_a_kept_file_that_was_changed_is_exported_again(
    exports: list[Path], weights: Path, tmp_path: Path, suffix: str, content: bytes | None
) -> None:
    first = exported_onnx(loaded(weights), weights, image_size=SIZE, folder=tmp_path)
    changed = exports[0].with_suffix(suffix)
    if content is None:
        changed.unlink()
    else:
        changed.write_bytes(content)
    assert exported_onnx(loaded(weights), weights, image_size=SIZE, folder=tmp_path) == first
    assert len(exports) == 2
