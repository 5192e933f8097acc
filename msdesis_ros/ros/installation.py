"""Which ROS this Python has: found without importing it here, then tried in a child process.

The child finds out what only importing can tell (a library that is missing, a build for another
Python), and a crash of native code ends the child alone.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.ros.transport_probe import last_json, run_bounded

IMPORT_LIMIT_S = 30.0
DISTRIBUTIONS = Path('/opt/ros')
# What the nodes import beside rclpy; each is a package of a distribution, and one of the wheels.
REQUIRED_PACKAGES = (
    'diagnostic_msgs',
    'geometry_msgs',
    'lifecycle_msgs',
    'sensor_msgs',
    'std_msgs',
    'stereo_msgs',
)
# The metadata name of the wheel that holds rclpy.
WHEEL = 'ros-rclpy'


@dataclass(frozen=True)
class RosInstallation:
    """Where rclpy comes from, before anybody imported it.

    rclpy_path: its folder, None where there is none. source: 'wheels', 'distribution', 'other' or
    'none'. distribution: ROS_DISTRO of the environment, '' where nothing is sourced. installed:
    the distributions in /opt/ros.
    """

    rclpy_path: Path | None
    source: str
    distribution: str
    installed: tuple[str, ...]


@dataclass(frozen=True)
class RosImports:
    """What importing said. failed: package -> error; rmw: the implementation in use, or None."""

    failed: Mapping[str, str]
    rmw: str | None


def find_installation(environment: Mapping[str, str] | None = None) -> RosInstallation:
    """Look for rclpy; imports nothing."""
    environment = os.environ if environment is None else environment
    distribution = environment.get('ROS_DISTRO', '')
    installed = sorted(path.parent.name for path in DISTRIBUTIONS.glob('*/setup.bash'))
    spec = importlib.util.find_spec('rclpy')
    if spec is None or spec.origin is None:
        return RosInstallation(None, 'none', distribution, tuple(installed))
    folder = Path(spec.origin).resolve().parent
    named = environment.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    prefixes = [DISTRIBUTIONS.resolve(), *(Path(name).resolve() for name in named if name)]
    if any(prefix in folder.parents for prefix in prefixes):
        source = 'distribution'
    elif _is_wheel(folder):
        source = 'wheels'
    else:
        source = 'other'
    return RosInstallation(folder, source, distribution, tuple(installed))


def try_imports(*, limit_s: float = IMPORT_LIMIT_S) -> RosImports:
    """Import rclpy and every message package in a child; never raises, never takes longer."""
    command = [sys.executable, '-m', 'msdesis_ros.ros.installation']
    try:
        return RosImports(**last_json(run_bounded(command, os.environ, limit_s=limit_s)))
    except MsdesisError as error:
        return RosImports(failed={'rclpy': str(error)}, rmw=None)


def _is_wheel(folder: Path) -> bool:
    try:
        found = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        return False
    return Path(str(found.locate_file('rclpy'))).resolve() == folder


def main() -> int:
    """Print a RosImports as one JSON line."""
    failed, rmw = {}, None
    for package in ('rclpy', *REQUIRED_PACKAGES):
        try:
            # The messages too: the package alone loads no library.
            importlib.import_module(package if package == 'rclpy' else f'{package}.msg')
        except Exception as error:  # whatever a broken library raises is the finding
            failed[package] = ' '.join(f'{type(error).__name__}: {error}'.split())
    try:
        from rclpy.utilities import get_rmw_implementation_identifier

        rmw = get_rmw_implementation_identifier()
    except Exception as error:
        failed.setdefault('rclpy', ' '.join(f'{type(error).__name__}: {error}'.split()))
    sys.stdout.write(json.dumps({'failed': failed, 'rmw': rmw}) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
