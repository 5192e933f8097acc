"""What the tests of exports share."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

WEIGHTS = Path(__file__).parents[1] / 'nets' / 'lively.py'
NEEDED = ('torch', 'safetensors', 'onnx', 'onnxscript', 'onnxruntime')


@pytest.fixture(scope='session')
def lively() -> ModuleType:
    """`lively_network` and `picture_pair`; skips where the extra export is not installed."""
    for package in NEEDED:
        pytest.importorskip(package, reason=f'the extra export is not installed: no {package}')
    import torch

    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location('msdesis_test_lively', WEIGHTS)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='session')
def exported(lively, tmp_path_factory):
    """Give the report of an export by encoder, mode, precision and size, made once if kept.

    The encoder 'fast' is the small network of msdesis_fast; the size None is any.
    """
    from msdesis_ros.export.onnx_export import Origin, export_onnx

    folder = tmp_path_factory.mktemp('exported')
    made = {}

    def get(encoder='light', mode='multitask', precision='fp32', size=(59, 51)):
        key = (encoder, mode, precision, size)
        if key not in made or not made[key].path.exists():
            if encoder == 'fast':
                network = lively.lively_fast(mode=mode)
            else:
                network = lively.lively_network(encoder, mode=mode)
            name = '_'.join(map(str, (*key[:3], *(size or ('any',)))))
            sha256 = hashlib.sha256(encoder.encode()).hexdigest()
            made[key] = export_onnx(
                network,
                folder / f'{name}.onnx',
                image_size=size,
                origin=Origin(name, sha256, 'abc123'),
                precision=precision,
            )
        return made[key]

    return get
