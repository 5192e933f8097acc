"""What the tests of exports share."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pickle
from pathlib import Path
from types import ModuleType

import pytest

TESTS = Path(__file__).parents[1]
NEEDED = ('torch', 'safetensors', 'onnx', 'onnxscript', 'onnxruntime')


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f'msdesis_test_{path.stem}', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='session')
def lively() -> ModuleType:
    """`lively_network` and `picture_pair`; skips where the extra export is not installed.

    msdesis_fast has the size 'tiny' too, for what does not depend on the size.
    """
    for package in NEEDED:
        pytest.importorskip(package, reason=f'the extra export is not installed: no {package}')
    import torch

    torch.set_num_threads(1)
    _module(TESTS / 'training' / 'tiny.py')
    return _module(TESTS / 'nets' / 'lively.py')


@pytest.fixture(scope='session')
def exported(lively, tmp_path_factory):
    """Give the report of an export by encoder, mode, precision, size and normalisation.

    The encoders 'fast' and 'tiny' are networks of msdesis_fast; the size None is any. Each export
    takes seconds: it is made once for all processes of a run, and again where its file is gone.
    """
    from msdesis_ros.export.onnx_export import Origin, export_onnx

    together = 'PYTEST_XDIST_WORKER' in os.environ
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if together else folder) / 'exported'
    folder.mkdir(exist_ok=True)

    def make(path, encoder, mode, precision, size, normalisation):
        if encoder in ('fast', 'tiny'):
            # Answers of the tiny one with other seeds jump where rounding decides.
            kind, seed = {'fast': ('small', 0), 'tiny': ('tiny', 1)}[encoder]
            network = lively.lively_fast(kind, mode=mode, seed=seed)
        else:
            network = lively.lively_network(encoder, mode=mode)
        sha256 = hashlib.sha256(encoder.encode()).hexdigest()
        return export_onnx(
            network,
            path,
            image_size=size,
            origin=Origin(path.stem, sha256, 'abc123', **normalisation),
            precision=precision,
        )

    def get(encoder='light', mode='multitask', precision='fp32', size=(59, 51), **normalisation):
        numbers = [number for values in normalisation.values() for number in values]
        parts = (encoder, mode, precision, *(size or ('any',)), *numbers)
        path = folder / f'{"_".join(map(str, parts))}.onnx'
        kept = path.with_suffix('.pickle')
        with path.with_suffix('.lock').open('w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (kept.exists() and path.exists()):
                report = make(path, encoder, mode, precision, size, normalisation)
                kept.write_bytes(pickle.dumps(report))
            return pickle.loads(kept.read_bytes())

    return get
