from __future__ import annotations

import importlib.machinery
import subprocess
import sys
from pathlib import Path

import pytest

from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.ros import installation


@pytest.fixture
def rclpy_at(monkeypatch, tmp_path):
    """Put an rclpy into a folder, or nowhere; no distribution is in /opt/ros."""
    monkeypatch.setattr(installation, 'DISTRIBUTIONS', tmp_path / 'opt')

    def put(folder: Path | None) -> None:
        spec = None
        if folder is not None:
            origin = str(folder / 'rclpy' / '__init__.py')
            spec = importlib.machinery.ModuleSpec('rclpy', None, origin=origin)
        monkeypatch.setattr(installation.importlib.util, 'find_spec', lambda _: spec)

    return put


def test_no_rclpy_is_said_with_the_distributions_that_could_be_sourced(rclpy_at, tmp_path):
    rclpy_at(None)
    (tmp_path / 'opt' / 'humble').mkdir(parents=True)
    (tmp_path / 'opt' / 'humble' / 'setup.bash').touch()
    found = installation.find_installation({})
    assert (found.rclpy_path, found.source) == (None, 'none')
    assert found.installed == ('humble',)


def test_an_rclpy_below_the_ament_prefix_is_a_distributions(rclpy_at, tmp_path):
    rclpy_at(tmp_path / 'ws' / 'lib')
    environment = {'AMENT_PREFIX_PATH': f'/other:{tmp_path}/ws', 'ROS_DISTRO': 'kilted'}
    found = installation.find_installation(environment)
    assert (found.source, found.distribution) == ('distribution', 'kilted')
    assert installation.find_installation({}).source == 'other', 'the control: nothing sourced'


def test_an_rclpy_of_the_system_is_a_distributions_even_unsourced(rclpy_at, tmp_path):
    rclpy_at(tmp_path / 'opt' / 'jazzy' / 'lib')
    assert installation.find_installation({}).source == 'distribution'


def test_an_rclpy_of_the_wheels_is_told_by_their_metadata(rclpy_at, tmp_path, monkeypatch):
    class Wheel:
        def locate_file(self, name: str) -> Path:
            return tmp_path / 'site' / name

    monkeypatch.setattr(installation.importlib.metadata, 'distribution', lambda _: Wheel())
    rclpy_at(tmp_path / 'site')
    assert installation.find_installation({}).source == 'wheels'
    rclpy_at(tmp_path / 'elsewhere')
    assert installation.find_installation({}).source == 'other'


def test_what_is_installed_here_can_be_imported():
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    assert installation.find_installation().rclpy_path is not None
    imports = installation.try_imports()
    assert imports.failed == {}
    assert imports.rmw.startswith('rmw_')


def test_imports_that_never_end_or_crash_are_a_finding(monkeypatch):
    def crashed(*_: object, **__: object) -> str:
        raise MsdesisError('it was ended by signal 11')

    monkeypatch.setattr(installation, 'run_bounded', crashed)
    assert installation.try_imports().failed == {'rclpy': 'it was ended by signal 11'}


def test_a_package_that_cannot_be_imported_is_named_with_its_error(project_root):
    code = (
        'import sys; sys.modules["stereo_msgs"] = None;'
        'from msdesis_ros.ros.installation import main; main()'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert '"stereo_msgs": "ModuleNotFoundError' in done.stdout
