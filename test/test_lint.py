"""Format, lint, types and import rules as tests; `make lint` runs them alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PYTHON_FILES = ('msdesis_ros', 'test', 'launch', 'scripts', 'setup.py')


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', *command], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_code_is_formatted(project_root):
    done = _run(project_root, 'ruff', 'format', '--check', *PYTHON_FILES)
    assert done.returncode == 0, f'{done.stdout}{done.stderr}\nrun: ruff format .'


def test_the_code_has_no_lint(project_root):
    done = _run(project_root, 'ruff', 'check', '--output-format', 'concise', *PYTHON_FILES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ('source', 'rule'),
    [
        ('import os\n', 'F401'),
        ('X = "double quotes"\n', 'Q000'),
        ("print('to the terminal')\n", 'T201'),
        ('try:\n    pass\nexcept* ValueError:\n    pass\n', 'invalid-syntax'),
    ],
    ids=['unused import', 'quotes', 'print', 'syntax newer than Python 3.10'],
)
def test_the_lint_rules_find_a_planted_fault(project_root, tmp_path, source, rule):
    shutil.copy(project_root / 'pyproject.toml', tmp_path)
    (tmp_path / 'planted.py').write_text(source)
    done = _run(tmp_path, 'ruff', 'check', '--output-format', 'concise', 'planted.py')
    assert done.returncode != 0 and rule in done.stdout


@pytest.mark.timeout(300)
def test_the_types_of_core_runtime_and_ros_hold(project_root):
    done = _run(project_root, 'mypy')
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rooms_import_downwards_only(project_root):
    done = _lint_imports(project_root)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope='module')
def empty_rooms(project_root, tmp_path_factory):
    """The packages alone, whose imports keep the rules. Leave it as it was."""
    folder = tmp_path_factory.mktemp('rooms')
    shutil.copy(project_root / 'pyproject.toml', folder)
    for source in (project_root / 'msdesis_ros').rglob('__init__.py'):
        empty = folder / source.relative_to(project_root)
        empty.parent.mkdir(parents=True, exist_ok=True)
        empty.touch()
    assert _lint_imports(folder).returncode == 0, 'the control without an arrow must pass'
    return folder


@pytest.mark.parametrize(
    ('room', 'forbidden'),
    [
        ('core', 'msdesis_ros.data'),
        ('data', 'msdesis_ros.runtime'),
        ('runtime', 'msdesis_ros.ros'),
        ('ros', 'msdesis_ros.nets'),
        ('core', 'yaml'),
        ('runtime', 'rclpy'),
        ('ros', 'torch'),
    ],
)
def test_the_import_rules_find_a_planted_arrow(empty_rooms, room, forbidden):
    planted = empty_rooms / 'msdesis_ros' / room / 'planted.py'
    planted.write_text(f'import {forbidden}\n')
    done = _lint_imports(empty_rooms)
    planted.unlink()
    assert done.returncode == 1 and 'BROKEN' in done.stdout
    assert f'msdesis_ros.{room}.planted' in done.stdout


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    # `python -m` would need a module; this is the command's own entry point, run in `folder`.
    code = 'from importlinter.cli import lint_imports_command as run; run()'
    return subprocess.run(
        [sys.executable, '-c', code, '--no-cache'],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
