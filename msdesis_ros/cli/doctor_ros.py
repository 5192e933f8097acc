"""What the doctor says about ROS: where rclpy comes from, and whether it is complete."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

from msdesis_ros.cli.doctor_checks import install_command
from msdesis_ros.cli.findings import Finding, State, ok
from msdesis_ros.ros.installation import RosImports, RosInstallation

# The wheels of ROS 2 Jazzy exist for these.
WHEEL_PYTHONS = ((3, 11), (3, 13))
WHEEL_MACHINES = ('x86_64', 'AMD64')


def ros_findings(installation: RosInstallation, imports: RosImports | None) -> Iterator[Finding]:
    """Where rclpy is and whether it works; `imports` is None where there is none to try."""
    if installation.rclpy_path is None or imports is None:
        sentence = 'rclpy is not installed: `msdesis infer` works, the node and the demo do not'
        yield Finding('rclpy', State.WARN, sentence, _command_for_ros(installation))
        return
    if 'rclpy' in imports.failed:
        yield _broken_rclpy(installation, imports.failed['rclpy'])
        return
    yield _rclpy_source(installation)
    missing = [name for name in imports.failed if name != 'rclpy']
    if missing:
        yield Finding(
            'messages',
            State.FAIL,
            '; '.join(f'{name}: {imports.failed[name]}' for name in missing),
            _command_for_messages(installation, missing),
        )
    else:
        yield ok('messages', 'every message package of the node can be imported')
    yield ok('RMW', f'the middleware is {imports.rmw}')


def _rclpy_source(installation: RosInstallation) -> Finding:
    path = installation.rclpy_path
    if installation.source == 'wheels' and installation.distribution:
        return Finding(
            'rclpy',
            State.WARN,
            f'rclpy comes from Python wheels ({path}), but the shell has sourced ROS 2 '
            f'{installation.distribution}: libraries of both may be mixed',
            'unset ROS_DISTRO AMENT_PREFIX_PATH PYTHONPATH LD_LIBRARY_PATH'
            '   # or use a Python without the wheels',
        )
    names = {
        'wheels': 'Python wheels',
        'distribution': f'the ROS 2 distribution {installation.distribution}'.rstrip(),
    }
    source = names.get(installation.source, 'neither wheels nor a sourced distribution')
    return ok('rclpy', f'rclpy comes from {source} ({path})')


def _broken_rclpy(installation: RosInstallation, error: str) -> Finding:
    version = '.'.join(map(str, sys.version_info[:2]))
    sentence = f'rclpy ({installation.rclpy_path}) cannot be imported by Python {version}: {error}'
    if installation.source == 'wheels':
        cure = install_command('ros', '--force-reinstall')
    elif installation.distribution:
        cure = '/usr/bin/python3 -m venv --system-site-packages .venv   # the Python of ROS'
    else:
        cure = _command_for_ros(installation)
    return Finding('rclpy', State.FAIL, sentence, cure)


def _command_for_ros(installation: RosInstallation) -> str:
    if installation.distribution:
        return f'sudo apt install ros-{installation.distribution}-rclpy'
    if installation.installed:
        return f'source /opt/ros/{installation.installed[-1]}/setup.bash'
    first, last = WHEEL_PYTHONS
    if first <= sys.version_info[:2] <= last and platform.machine() in WHEEL_MACHINES:
        return install_command('ros')
    versions = f'{first[0]}.{first[1]} to {last[0]}.{last[1]}'
    return (
        f'install a ROS 2 distribution and source it   # the wheels need Python {versions} '
        'on x86-64'
    )


def _command_for_messages(installation: RosInstallation, missing: list[str]) -> str:
    if installation.source == 'wheels' or not installation.distribution:
        return install_command('ros')
    names = ' '.join(name.replace('_', '-') for name in missing)
    prefix = f'ros-{installation.distribution}-'
    return 'sudo apt install ' + ' '.join(prefix + name for name in names.split())
