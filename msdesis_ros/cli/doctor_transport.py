"""What the doctor says about transport: settings of this process and others, and a measurement."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msdesis_ros.cli.findings import Finding, State, ok
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
from msdesis_ros.ros.transport_probe import RATE_HZ, TransportProbe

RANGES = ('SUBNET', 'LOCALHOST', 'OFF', 'SYSTEM_DEFAULT')
# Above this one the ports of a domain are among those that Linux hands out to everybody; above
# the second there are none left.
LAST_SAFE_DOMAIN, LAST_DOMAIN = 101, 232
MIB = 2**20
FAST_DDS = 'rmw_fastrtps'
# Of the images: above the first all is well, below the second the transport is of no use.
ENOUGH, USELESS = 0.99, 0.90
IMAGE = '1280x1024 images (3.9 MB)'
UNPREPARED_CHECK = 'without the settings'


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
    if report.stale_bytes:
        freed = f'{report.stale_bytes // MIB} MiB that killed processes had left were freed'
        sentence += f' ({freed})'
    figures = {'total_bytes': total, 'free_bytes': free, 'stale_bytes': report.stale_bytes}
    needed = USUAL_PROCESSES * SEGMENT_BYTES
    if total >= needed and free >= needed:
        return Finding(check, State.OK, sentence, figures=figures)
    sentence += (
        f', and each ROS process needs {SEGMENT_BYTES // MIB} MiB '
        f'({USUAL_PROCESSES} processes: {needed // MIB} MiB): without, images go over UDP and '
        'many are lost'
    )
    if total >= needed:
        cure = f'ls -lhS {SHARED_MEMORY}   # shows what fills it: end its owner, or remove it'
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


def transport_finding(
    probe: TransportProbe, report: TransportReport, *, shared_memory_ok: bool
) -> Finding:
    """The verdict on a measurement with the settings of our processes."""
    check = 'transport'
    figures = {
        'sent': probe.sent,
        'received': probe.received,
        'rate_hz': probe.rate_hz,
        'p50_ms': probe.p50_ms,
        'p95_ms': probe.p95_ms,
    }
    if not probe.matched:
        sentence = 'two processes on this machine did not find each other'
        return Finding(check, State.FAIL, sentence, _cure_for_discovery(probe.rmw), figures)
    sentence = describe(probe)
    if probe.arrived < ENOUGH:
        state = State.FAIL if probe.arrived < USELESS else State.WARN
        cure = _cure_for_loss(report, shared_memory_ok=shared_memory_ok)
        return Finding(check, state, sentence, cure, figures)
    again = 'msdesis doctor   # again, with less running beside it'
    if probe.rate_hz < USELESS * RATE_HZ:
        sentence += f'; the sender kept {probe.rate_hz:.1f} Hz only: the machine is overloaded'
        return Finding(check, State.WARN, sentence, again, figures)
    if probe.p95_ms is not None and probe.p95_ms > 1000 / RATE_HZ:
        sentence += ', longer than one frame'
        return Finding(check, State.WARN, sentence, again, figures)
    return Finding(check, State.OK, sentence, figures=figures)


def unprepared_finding(probe: TransportProbe) -> Finding:
    """The same measured between processes without our settings: a camera driver, for instance."""
    found = describe(probe) if probe.matched else 'the processes did not find each other'
    sentence = f'between processes that lack the transport settings: {found}'
    figures = {'sent': probe.sent, 'received': probe.received}
    figures |= {'p50_ms': probe.p50_ms, 'p95_ms': probe.p95_ms}
    return ok(UNPREPARED_CHECK, sentence, **figures)


def describe(probe: TransportProbe) -> str:
    """What arrived, and how late."""
    sentence = f'{probe.received} of {probe.sent} {IMAGE} at {RATE_HZ:.0f} Hz arrived'
    if probe.p50_ms is not None and probe.p95_ms is not None:
        sentence += f'; latency p50 {probe.p50_ms:.1f} ms, p95 {probe.p95_ms:.1f} ms'
    return sentence


def _cure_for_discovery(rmw: str) -> str:
    if 'zenoh' in rmw:
        return 'ros2 run rmw_zenoh_cpp rmw_zenohd   # Zenoh needs its router'
    return 'let UDP through on the loopback interface (ports from 7400 on)'


def _cure_for_loss(report: TransportReport, *, shared_memory_ok: bool) -> str:
    if not shared_memory_ok:
        return 'make room in /dev/shm first, see "shared memory"'
    if report.profile_is_users:
        return (
            'unset FASTDDS_DEFAULT_PROFILES_FILE FASTRTPS_DEFAULT_PROFILES_FILE '
            'FASTDDS_BUILTIN_TRANSPORTS   # your own transports lose images of this size'
        )
    return 'msdesis doctor   # again, with less running beside it'


def _shortened(command: str, length: int = 60) -> str:
    return command if len(command) <= length else command[: length - 3] + '...'
