"""What the tests of training share: small shards with exact truth."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def _beside(name: str) -> ModuleType:
    path = Path(__file__).with_name(f'{name}.py')
    spec = importlib.util.spec_from_file_location(f'msdesis_test_{name}', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='session')
def scenes() -> ModuleType:
    """`boxed_wall`, `write_boxed_walls`, `break_record`."""
    return _beside('scenes')


@pytest.fixture(scope='session')
def shards(scenes, tmp_path_factory) -> Path:
    """Ten pairs of 128x96 px. Not to be changed."""
    return scenes.write_boxed_walls(tmp_path_factory.mktemp('shards') / 'boxes', 10)


@pytest.fixture(scope='session')
def tiny() -> ModuleType:
    """`tiny_content`, `tiny_config`; skips where PyTorch is not installed."""
    pytest.importorskip('torch', reason='the extra torch is not installed').set_num_threads(1)
    return _beside('tiny')


@pytest.fixture(scope='session')
def trees() -> ModuleType:
    """`write_flyingthings`, `write_scared`, `write_ris2017`."""
    return _beside('layout_trees')


@pytest.fixture(scope='session')
def roots(trees, scenes, tmp_path_factory) -> dict[str, Path]:
    """Whole data sets in miniature, by their layouts. Not to be changed."""
    folder, frame_of = tmp_path_factory.mktemp('layouts'), scenes.boxed_wall
    monocular, stereo = folder / 'monocular', folder / 'stereo'
    return {
        'flyingthings3d': trees.write_flyingthings(folder / 'flying', frame_of),
        'scared': trees.write_scared(folder / 'scared', frame_of),
        'ris17_train_monocular': trees.write_ris2017(
            monocular, frame_of, sets=range(1, 9), stereo=False
        ),
        'ris17_124': trees.write_ris2017(stereo, frame_of, sets=(1, 2, 4), stereo=True),
    }
