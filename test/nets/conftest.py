"""What the tests of networks share; the modules beside this file hold it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f'msdesis_test_{name}', HERE / f'{name}.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='session')
def lively() -> ModuleType:
    """`lively_network` and `picture_pair`; skips where PyTorch is not installed."""
    torch = pytest.importorskip('torch', reason='the extra torch is not installed')
    torch.set_num_threads(1)
    return _beside('lively')


@pytest.fixture(scope='session')
def reference() -> ModuleType:
    """The same network in NumPy, one pixel at a time."""
    return _beside('reference')
