"""What the doctor finds without running anything: what is installed, and how it is set."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence

from msdesis_ros import __version__
from msdesis_ros.cli.findings import Finding, State, ok, one_line
from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.core.resources import share_dir
from msdesis_ros.ros.peers import Peer
from msdesis_ros.ros.transport import (
    PROFILE_VARIABLES,
    SEGMENT_BYTES,
    SHARED_MEMORY,
    TRANSPORTS_VARIABLE,
    USUAL_PROCESSES,
    TransportReport,
    child_environment,
)

# Module -> what setup.py asks for.
REQUIREMENTS = {
    'numpy': 'numpy>=1.26,<3',
    'cv2': 'opencv-python-headless>=4.5,<6',
    'onnxruntime': 'onnxruntime>=1.16',
    'typer': 'typer>=0.12',
    'rich': 'rich>=13',
    'yaml': 'PyYAML>=5.4',
    'mcap': 'mcap>=1.1',
    'mcap_ros2': 'mcap-ros2-support>=0.5',
}
OLDEST_PYTHON = (3, 10)
# Inference programs that later backends may use; nothing of this version does.
OTHER_ENGINES = ('torch', 'openvino', 'tensorrt')
RANGES = ('SUBNET', 'LOCALHOST', 'OFF', 'SYSTEM_DEFAULT')
# Above this one the ports of a domain are among those that Linux hands out to everybody; above
# the second there are none left.
LAST_SAFE_DOMAIN, LAST_DOMAIN = 101, 232
MIB = 2**20
FAST_DDS = 'rmw_fastrtps'


def system_findings() -> Iterator[Finding]:
    """Python, the machine, this package."""
    version = platform.python_version()
    if sys.version_info[:2] < OLDEST_PYTHON:
        wanted = '.'.join(map(str, OLDEST_PYTHON))
        yield Finding(
            'python', State.FAIL, f'Python {version} is too old; {wanted} or newer is needed'
        )
    else:
        yield ok('python', f'Python {version} ({sys.executable})')
    system = _system()
    if sys.platform == 'linux':
        yield ok('system', system)
    else:
        yield Finding('system', State.WARN, f'{system}: only Linux has been tried')
    yield package_finding()


def package_finding() -> Finding:
    """This package and the files that ship beside it."""
    try:
        folder = share_dir()
    except FileFormatError as error:
        return Finding('msdesis_ros', State.FAIL, one_line(error), 'pip install msdesis_ros')
    return ok('msdesis_ros', f'msdesis_ros {__version__}, shared files in {folder}')


def requirement_findings(requirements: Mapping[str, str] = REQUIREMENTS) -> Iterator[Finding]:
    """Every package that must be there: imported, and its version against the range."""
    for module, requirement in requirements.items():
        name = re.split('[<>=]', requirement, maxsplit=1)[0]
        try:
            imported = importlib.import_module(module)
        except Exception as error:  # a broken library raises anything
            yield Finding(
                name,
                State.FAIL,
                f'{name} cannot be imported: {one_line(error)}',
                f"pip install --force-reinstall '{requirement}'",
            )
            continue
        version = _version(imported, name)
        if version and not satisfies(version, requirement):
            yield Finding(
                name,
                State.FAIL,
                f'{name} {version} is not the version needed: {requirement}',
                f"pip install '{requirement}'",
            )
        else:
            yield ok(name, f'{name} {version or "of unknown version"}')


def other_engines_finding(modules: Sequence[str] = OTHER_ENGINES) -> Finding:
    """Inference programs nobody needs yet, named so that nobody looks for a backend of theirs."""
    found = []
    for module in modules:
        there = importlib.util.find_spec(module) is not None
        found.append(f'{module} {_metadata_version(module) if there else "not installed"}')
    return ok('other engines', f'{", ".join(found)}; no backend of this version uses them')


def shared_memory_finding(report: TransportReport) -> Finding:
    """Whether /dev/shm holds the segments of the usual processes."""
    check = 'shared memory'
    cure = (
        'docker run --shm-size=1g ...'
        f'   # outside of a container: sudo mount -o remount,size=1g {SHARED_MEMORY}'
    )
    total, free = report.shm_total_bytes, report.shm_free_bytes
    if total is None or free is None:
        sentence = f'{SHARED_MEMORY} does not exist: images go over UDP and many are lost'
        return Finding(
            check, State.FAIL, sentence, f'sudo mount -t tmpfs -o size=1g tmpfs {SHARED_MEMORY}'
        )
    sentence = f'{SHARED_MEMORY} has {free // MIB} of {total // MIB} MiB free'
    figures = {'total_bytes': total, 'free_bytes': free}
    needed = USUAL_PROCESSES * SEGMENT_BYTES
    if total >= needed and free >= needed:
        return Finding(check, State.OK, sentence, figures=figures)
    sentence += (
        f', and each ROS process needs {SEGMENT_BYTES // MIB} MiB '
        f'({USUAL_PROCESSES} processes: {needed // MIB} MiB): without, images go over UDP and '
        'many are lost'
    )
    if total >= needed:
        cure = f'rm {SHARED_MEMORY}/fastrtps_*   # while no ROS process runs'
    # A profile of the user's may do without shared memory, which the self-test then shows.
    enough_for_one = free >= SEGMENT_BYTES or report.profile_is_users
    return Finding(check, State.WARN if enough_for_one else State.FAIL, sentence, cure, figures)


def settings_findings(
    report: TransportReport, environment: Mapping[str, str]
) -> Iterator[Finding]:
    """Fast DDS profile and allocator of this process, after `prepare_process`."""
    yield profile_finding(report, environment)
    own = [name for name in child_environment({}) if name.startswith('MALLOC_')]
    own = [name for name in own if environment.get(name)]
    if not report.malloc_active:
        yield Finding(
            'allocator',
            State.WARN,
            'the C library takes no allocator settings (it is not glibc): large messages take '
            'about twice the time',
        )
    else:
        kept = f'; yours are kept: {", ".join(own)}' if own else ''
        yield ok('allocator', f'the allocator keeps the memory of large messages{kept}')


def profile_finding(report: TransportReport, environment: Mapping[str, str]) -> Finding:
    """Which Fast DDS profile is in force, and whose it is."""
    check, path = 'Fast DDS profile', report.profile_path
    rmw = environment.get('RMW_IMPLEMENTATION', '')
    if rmw and not rmw.startswith(FAST_DDS):
        return ok(check, f'RMW_IMPLEMENTATION is {rmw}, so the profile for Fast DDS has no effect')
    if path is None:
        chosen = environment.get(TRANSPORTS_VARIABLE, '')
        return ok(check, f'{TRANSPORTS_VARIABLE}={chosen} is your own choice and is kept')
    if not path.is_file():
        return Finding(
            check,
            State.FAIL,
            f'the Fast DDS profile {path}, named in the environment, does not exist',
            f'unset {" ".join(PROFILE_VARIABLES)}',
        )
    if report.profile_is_users:
        return ok(check, f'your own Fast DDS profile {path} is in force and is kept')
    return ok(check, f'{path} is set for this process')


def discovery_findings(environment: Mapping[str, str]) -> Iterator[Finding]:
    """ROS_DOMAIN_ID and the variables that say who finds whom."""
    text = environment.get('ROS_DOMAIN_ID', '')
    check = 'ROS_DOMAIN_ID'
    if not text:
        yield ok(check, 'ROS_DOMAIN_ID is not set: domain 0')
    elif not re.fullmatch('[0-9]+', text) or int(text) > LAST_DOMAIN:
        yield Finding(
            check,
            State.FAIL,
            f'ROS_DOMAIN_ID is {text!r}; it must be a whole number from 0 to {LAST_SAFE_DOMAIN}',
            'export ROS_DOMAIN_ID=0',
        )
    elif int(text) > LAST_SAFE_DOMAIN:
        yield Finding(
            check,
            State.WARN,
            f'ROS_DOMAIN_ID is {text}: above {LAST_SAFE_DOMAIN} its ports are among those that '
            'Linux hands out to other programs',
            f'export ROS_DOMAIN_ID={LAST_SAFE_DOMAIN}   # any from 0 to {LAST_SAFE_DOMAIN}',
        )
    else:
        yield ok(check, f'ROS_DOMAIN_ID is {text}')
    yield _range_finding(environment)


def _range_finding(environment: Mapping[str, str]) -> Finding:
    check, name = 'discovery', 'ROS_AUTOMATIC_DISCOVERY_RANGE'
    others = ('ROS_LOCALHOST_ONLY', 'ROS_STATIC_PEERS', 'ROS_DISCOVERY_SERVER')
    said = [f'{each}={environment[each]}' for each in (name, *others) if environment.get(each)]
    chosen = environment.get(name, '').upper()
    if chosen == 'OFF':
        return Finding(
            check, State.WARN, f'{name} is OFF: no node finds another process', f'unset {name}'
        )
    if chosen and chosen not in RANGES:
        sentence = f'{name} is {environment[name]!r}; known: {", ".join(RANGES)}'
        return Finding(check, State.WARN, sentence, f'unset {name}')
    return ok(check, ', '.join(said) or 'nodes find each other in the local network (the default)')


def peers_finding(peers: Sequence[Peer]) -> Finding:
    """Other processes here whose shared memory is too small for an image."""
    check = 'other processes'
    small = [peer for peer in peers if not peer.holds_an_image]
    if not peers:
        return ok(check, 'no other process of yours uses Fast DDS at the moment')
    if not small:
        return ok(check, f'{len(peers)} use Fast DDS, with room for images', count=len(peers))
    named = ', '.join(f'{_shortened(peer.command)} (process {peer.pid})' for peer in small[:3])
    more = f' and {len(small) - 3} more' if len(small) > 3 else ''
    settings = ' '.join(f'{name}={value}' for name, value in child_environment({}).items())
    return Finding(
        check,
        State.WARN,
        f'without the transport settings: {named}{more}; if they send or receive images, most '
        'will be lost',
        f'export {settings}   # there, then start them again',
        {'without_settings': [peer.pid for peer in small], 'count': len(peers)},
    )


def satisfies(version: str, requirement: str) -> bool:
    """Whether a version lies in the range of a requirement like 'numpy>=1.26,<3'."""
    have = _numbers(version)
    for sign, bound in re.findall(r'(>=|<)([\d.]+)', requirement):
        limit = _numbers(bound)
        if (sign == '>=' and have < limit) or (sign == '<' and have >= limit):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version; zeros at the end say nothing."""
    match = re.match(r'\d+(\.\d+)*', version)
    numbers = [int(part) for part in match[0].split('.')] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _version(module: object, name: str) -> str:
    return str(getattr(module, '__version__', '')) or _metadata_version(name)


def _metadata_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ''


def _system() -> str:
    try:
        name = platform.freedesktop_os_release().get('PRETTY_NAME', platform.system())
    except OSError:
        name = platform.system()
    return f'{name}, {platform.machine()}, {os.cpu_count()} processors'


def _shortened(command: str, length: int = 60) -> str:
    return command if len(command) <= length else command[: length - 3] + '...'
