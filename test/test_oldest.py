"""The oldest supported set: Python 3.10, NumPy 1.26 and OpenCV 4.5, as on ROS 2 Humble."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

OLDEST = ('numpy==1.26.4', 'opencv-python-headless==4.5.5.64')
NEEDED = ('onnxruntime', 'typer', 'rich', 'PyYAML', 'mcap', 'mcap-ros2-support', 'tomli')
FOR_TESTS = ('pytest', 'pytest-timeout', 'hypothesis', 'onnx', 'rosbags')
# ROS for Python 3.10 exists as a distribution only, so these are the rooms that can run.
ROOMS = ('core', 'data', 'runtime')


def _python_3_10() -> str | None:
    for name in ('python3.10', *map(str, Path.home().glob('.pyenv/versions/3.10*/bin/python3'))):
        found = shutil.which(name)
        probe = [found or 'false', '-c', 'import sys; sys.exit(sys.version_info[:2] != (3, 10))']
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return found
    return None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_rooms_without_ros_pass_their_tests_on_the_oldest_set(project_root, tmp_path):
    python = _python_3_10()
    if python is None:
        pytest.skip('there is no Python 3.10 on this machine')
    # An environment with the ROS wheels must not lend its libraries to another Python.
    ours = ('PYTHONPATH', 'LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE')
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    oldest = tmp_path / 'environment' / 'bin' / 'python'

    def run(*command: str, **environment: str) -> None:
        done = subprocess.run(
            command,
            cwd=project_root,
            env={**clean, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    run(python, '-m', 'venv', str(tmp_path / 'environment'))
    run(str(oldest), '-m', 'pip', 'install', '--quiet', *OLDEST, *NEEDED, *FOR_TESTS)
    tests = [f'test/{room}' for room in ROOMS]
    run(
        str(oldest),
        *('-B', '-m', 'pytest', '-m', 'not slow', '-p', 'no:cacheprovider', *tests),
        PYTHONPATH=str(project_root),
    )
