"""Engines on disk: found again, and thrown away when anything they depend on has changed."""

from __future__ import annotations

import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from msdesis_ros.core.errors import BackendError
from msdesis_ros.runtime.engine_cache import EngineCache, EngineFingerprint, default_folder

HERE = EngineFingerprint(
    model_sha256='ab' * 32,
    flavour='tensorrt',
    version='10.13.2',
    gpu='NVIDIA RTX 4090',
    compute_capability='8.9',
    cuda='13',
    driver='580',
    recipe='strongly typed fp16',
)
INTERFACE = [[True, 'left', 'UINT8', [1, 64, 96, 3]]]


class Compiler:
    """Stands for TensorRT: counts what it builds and opens."""

    def __init__(self, *, broken: tuple[bytes, ...] = ()) -> None:
        self.built = 0
        self.broken = broken

    def build(self) -> tuple[bytes, Any]:
        self.built += 1
        return b'plan %d' % self.built, INTERFACE

    def open(self, plan: bytes, interface: Any) -> bytes:
        assert interface == INTERFACE
        if plan in self.broken:
            raise BackendError('the plan is of another machine')
        return b'engine of ' + plan


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, said: list[str]) -> EngineCache:
    return EngineCache(tmp_path / 'engines', say=said.append)


def get(cache: EngineCache, compiler: Compiler, fingerprint: EngineFingerprint = HERE) -> bytes:
    return cache.load_or_build(fingerprint, compiler.open, compiler.build)


def test_an_engine_is_built_once_and_found_again(cache: EngineCache, said: list[str]) -> None:
    compiler = Compiler()
    assert get(cache, compiler) == b'engine of plan 1'
    assert 'building an engine for NVIDIA RTX 4090' in said[0]
    assert str(cache.paths(HERE)[0]) in said[1]
    said.clear()
    assert get(cache, compiler) == b'engine of plan 1'
    assert (compiler.built, said) == (1, [])


def test_nothing_is_built_where_only_loading_is_asked_for(cache: EngineCache) -> None:
    assert cache.load(HERE, Compiler().open) is None
    assert not cache.folder.exists()


@pytest.mark.parametrize('name', [field.name for field in fields(EngineFingerprint)])
def test_whatever_changes_the_old_engine_is_never_used(
    cache: EngineCache, said: list[str], name: str
) -> None:
    compiler = Compiler()
    get(cache, compiler)
    value = getattr(HERE, name)
    changed = replace(HERE, **{name: value + 1 if isinstance(value, int) else f'cd{value}'})
    said.clear()
    assert get(cache, compiler, changed) == b'engine of plan 2'
    if cache.paths(changed) == cache.paths(HERE):
        assert said[0].startswith('deleted the engine')
        assert f'made for {name} {value!r} instead of' in said[0]
    assert cache.load(changed, compiler.open) == b'engine of plan 2'


def test_engines_of_two_gpus_live_side_by_side(cache: EngineCache) -> None:
    compiler = Compiler()
    other = replace(HERE, gpu='NVIDIA H200')
    get(cache, compiler), get(cache, compiler, other)
    assert cache.load(HERE, compiler.open) == b'engine of plan 1'
    assert cache.load(other, compiler.open) == b'engine of plan 2'


def test_an_engine_that_cannot_be_opened_is_deleted_and_made_again(
    cache: EngineCache, said: list[str]
) -> None:
    get(cache, Compiler())
    said.clear()
    compiler = Compiler(broken=(b'plan 1',))
    compiler.built = 1
    assert get(cache, compiler) == b'engine of plan 2'
    assert 'deleted' in said[0] and 'the plan is of another machine' in said[0]


def test_an_engine_that_cannot_be_opened_even_when_new_is_an_error_and_not_kept(
    cache: EngineCache,
) -> None:
    with pytest.raises(BackendError, match='another machine'):
        get(cache, Compiler(broken=(b'plan 1',)))
    assert not cache.folder.exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize('which', ['plan', 'note'])
@pytest.mark.parametrize(
    'spoil', [cut, flip, Path.unlink, lambda path: path.write_bytes(b'')],
    ids=['cut', 'flipped', 'missing', 'empty'],
)  # fmt: skip
def test_a_damaged_file_is_found_deleted_and_made_again(
    cache: EngineCache, said: list[str], which: str, spoil: Any
) -> None:
    compiler = Compiler()
    get(cache, compiler)
    spoil(cache.paths(HERE)[which == 'note'])
    said.clear()
    assert get(cache, compiler) == b'engine of plan 2'
    assert said[0].startswith('deleted the engine')
    assert get(cache, compiler) == b'engine of plan 2'


@pytest.mark.parametrize('text', ['[]', '3', '{}', '{"fingerprint": 3}', 'null'])
def test_a_note_that_is_something_else_is_found(cache: EngineCache, text: str) -> None:
    compiler = Compiler()
    get(cache, compiler)
    cache.paths(HERE)[1].write_text(text, encoding='utf-8')
    assert cache.load(HERE, compiler.open) is None
    assert list(cache.folder.iterdir()) == []


def test_a_plan_of_a_later_build_beside_an_older_note_is_not_believed(
    cache: EngineCache,
) -> None:
    # What an interruption between the two renames leaves behind.
    compiler = Compiler()
    get(cache, compiler)
    cache.paths(HERE)[0].write_bytes(b'plan 2')
    assert cache.load(HERE, compiler.open) is None


def test_no_half_written_file_and_no_temporary_one_stays(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(BackendError, match='No space left.*MSDESIS_CACHE_DIR'):
        get(cache, Compiler())
    assert list(cache.folder.iterdir()) == []


def test_the_note_says_in_json_what_the_engine_depends_on(cache: EngineCache) -> None:
    get(cache, Compiler())
    note = json.loads(cache.paths(HERE)[1].read_text(encoding='utf-8'))
    assert note['fingerprint']['driver'] == '580'
    assert note['interface'] == INTERFACE


def test_the_folder_is_that_of_the_variable_or_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv('MSDESIS_CACHE_DIR', str(tmp_path))
    assert default_folder() == tmp_path / 'engines'
    monkeypatch.delenv('MSDESIS_CACHE_DIR')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert default_folder() == tmp_path / 'msdesis_ros' / 'engines'
    monkeypatch.setenv('XDG_CACHE_HOME', '')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert default_folder() == tmp_path / '.cache' / 'msdesis_ros' / 'engines'
