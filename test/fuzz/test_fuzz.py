"""Malformed messages and files by the thousand: each is refused with a sentence, or valid.

Each target runs in a process of its own (`run.py`), where a crash, an endless loop and memory that
grows can be seen.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUN = Path(__file__).parent / 'run.py'
NEEDS_ROS = ('images', 'camera_infos')
TARGETS = (
    *NEEDS_ROS,
    'compressed_images',
    'picture_files',
    'calibration_files',
    'model_cards',
    'recordings',
    'stamp_files',
)
FEW, MANY = 300, 100_000
# What the allocator keeps; a leak of one kilobyte an example would be three times as much.
GROWTH_MB = 32


@pytest.fixture
def start(project_root, tmp_path):
    """Return a way to run a target: `start('images', 300)` gives the finished process."""

    def start(name: str, count: int, *options: str) -> subprocess.CompletedProcess[str]:
        if name in NEEDS_ROS and importlib.util.find_spec('rclpy') is None:
            pytest.skip('rclpy is not installed')
        return subprocess.run(
            [sys.executable, str(RUN), name, str(count), *options],
            cwd=tmp_path,
            env={**os.environ, 'PYTHONPATH': str(project_root)},
            capture_output=True,
            text=True,
            # Decoders print parts of what they read.
            errors='replace',
            check=False,
        )

    return start


def checked(process: subprocess.CompletedProcess[str], count: int) -> dict[str, Any]:
    """What the run found, where it came to its end and nothing stood out."""
    tail = process.stderr[-6000:]
    assert process.returncode == 0, f'ended with {process.returncode}: {tail}'
    found = json.loads(process.stdout)
    assert found['examples'] >= count
    # Both ends are reached: what is only refused, or never, is not fuzzed at the edge.
    assert found['valid'] >= 0.01 * count, found
    assert sum(found['refused'].values()) >= 0.3 * count, found
    before_mb, after_mb = found['resident_mb']
    assert after_mb - before_mb < GROWTH_MB, f'memory grew: {found}'
    return found


@pytest.mark.parametrize('name', TARGETS)
def test_what_is_malformed_is_refused_with_a_sentence(start, name):
    checked(start(name, FEW), FEW)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize('name', TARGETS)
def test_a_hundred_thousand_malformed_inputs_are_refused_or_valid(start, name):
    found = checked(start(name, MANY, '--seed=1000'), MANY)
    found.pop('slowest')
    print(f'\n{name}: {found}')  # noqa: T201 - the measured figures, for the reader


# --- The control: what a defect looks like. ---


@pytest.mark.parametrize(
    ('name', 'code', 'words'),
    [
        ('control_error', 1, 'KeyError'),
        ('control_words', 1, 'has several lines'),
        ('control_allocation', 1, 'Unable to allocate'),
        ('control_hang', -signal.SIGALRM, 'in _hang'),
        ('control_crash', -signal.SIGABRT, 'in _crash'),
    ],
)
def test_a_planted_defect_ends_the_run(start, name, code, words):
    process = start(name, FEW, '--hang-s=2')
    assert process.returncode == code
    assert words in process.stderr


def test_a_planted_leak_is_measured(start):
    process = start('control_leak', FEW)
    with pytest.raises(AssertionError, match='memory grew'):
        checked(process, FEW)
