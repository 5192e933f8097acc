from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from msdesis_ros.core.resources import resource
from msdesis_ros.ros import transport

PROFILE = resource(*transport.PROFILE)
FIRST, SECOND = transport.PROFILE_VARIABLES
MIB = 2**20


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start every test without settings, and undo what it sets."""
    names = [*transport.PROFILE_VARIABLES, transport.TRANSPORTS_VARIABLE]
    names += [setting.variable for setting in transport._MALLOC_SETTINGS]
    for name in names:
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)


def shared_memory(monkeypatch: pytest.MonkeyPatch, *, total_mib: int, free_mib: int) -> None:
    status = SimpleNamespace(f_frsize=4096, f_blocks=total_mib * 256, f_bavail=free_mib * 256)
    monkeypatch.setattr(transport.os, 'statvfs', lambda _: status)


def test_the_shipped_profile_is_set_for_old_and_new_fast_dds() -> None:
    report = transport.prepare_process()
    assert report.profile_path == PROFILE
    assert not report.profile_is_users
    assert os.environ[FIRST] == os.environ[SECOND] == str(PROFILE)


def test_preparing_twice_reports_the_same() -> None:
    assert transport.prepare_process() == transport.prepare_process()


@pytest.mark.parametrize('variable', transport.PROFILE_VARIABLES)
def test_a_profile_of_the_user_is_never_overridden(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / 'own.xml'
    own.write_text('<dds/>')
    monkeypatch.setenv(variable, str(own))
    report = transport.prepare_process()
    assert (report.profile_path, report.profile_is_users) == (own, True)
    assert report.warnings == ()
    assert os.environ[FIRST] == os.environ[SECOND] == str(own)


def test_a_profile_of_the_user_that_does_not_exist_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(FIRST, '/nowhere/own.xml')
    (warning,) = transport.prepare_process().warnings
    assert '/nowhere/own.xml' in warning


def test_transports_chosen_by_the_user_stay_without_a_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(transport.TRANSPORTS_VARIABLE, 'UDPv4')
    report = transport.prepare_process()
    assert (report.profile_path, report.profile_is_users) == (None, True)
    assert FIRST not in os.environ
    assert SECOND not in os.environ


@pytest.mark.parametrize(
    ('total_mib', 'free_mib', 'warns'),
    [(64, 64, True), (4096, 100, True), (300, 300, True), (1024, 1000, False)],
)
def test_a_small_shared_memory_is_reported_with_the_cure(
    total_mib: int, free_mib: int, warns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared_memory(monkeypatch, total_mib=total_mib, free_mib=free_mib)
    report = transport.prepare_process()
    assert (report.shm_total_bytes, report.shm_free_bytes) == (total_mib * MIB, free_mib * MIB)
    assert any('--shm-size' in warning for warning in report.warnings) == warns


def test_a_machine_without_shared_memory_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, 'SHARED_MEMORY', Path('/nowhere'))
    report = transport.prepare_process()
    assert (report.shm_total_bytes, report.shm_free_bytes) == (None, None)
    assert any('/nowhere' in warning for warning in report.warnings)


def segment(folder: Path, name: str, *, mib: int = 134, age_s: float = 60.0) -> Path:
    """Make a segment and its lock file as Fast DDS does; return the lock file."""
    with open(folder / name, 'wb') as stream:
        stream.truncate(mib * MIB)
    lock = folder / f'{name}_el'
    lock.touch()
    os.utime(lock, (time.time() - age_s,) * 2)
    return lock


def test_shared_memory_of_dead_processes_is_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, 'SHARED_MEMORY', tmp_path)
    segment(tmp_path, 'fastrtps_dead')
    segment(tmp_path, 'fastdds_dead')
    kept = {
        segment(tmp_path, 'fastrtps_small', mib=1),
        segment(tmp_path, 'fastrtps_new', age_s=0.0),
        segment(tmp_path, 'other_program'),
        segment(tmp_path, 'fastrtps_alive'),
    }
    with open(tmp_path / 'fastrtps_alive_el') as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        assert transport.prepare_process().stale_bytes == 2 * 134 * MIB
        assert transport.prepare_process().stale_bytes == 0
    assert set(tmp_path.glob('*_el')) == kept
    assert len(list(tmp_path.iterdir())) == 2 * len(kept)


def test_without_glibc_the_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport.ctypes, 'CDLL', lambda _: SimpleNamespace())
    assert transport.prepare_process().malloc_active is False


def test_an_allocator_that_refuses_a_gigabyte_is_offered_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def mallopt(parameter: int, value: int) -> int:
        calls.append((parameter, value))
        return int(parameter != -3 or value <= 2**25)

    monkeypatch.setattr(transport.ctypes, 'CDLL', lambda _: SimpleNamespace(mallopt=mallopt))
    assert transport.prepare_process().malloc_active is True
    assert calls == [(-3, 2**30), (-3, 2**25), (-1, 2**31 - 1), (-2, 2**26)]


def test_allocator_settings_of_the_user_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def mallopt(parameter: int, _value: int) -> int:
        calls.append(parameter)
        return 1

    monkeypatch.setattr(transport.ctypes, 'CDLL', lambda _: SimpleNamespace(mallopt=mallopt))
    monkeypatch.setenv('MALLOC_MMAP_THRESHOLD_', '65536')
    assert transport.prepare_process().malloc_active is True
    assert calls == [-1, -2]
    assert transport.child_environment()['MALLOC_MMAP_THRESHOLD_'] == '65536'


def test_a_child_gets_both_settings_and_everything_else() -> None:
    environment = transport.child_environment({'HOME': '/home/lab'})
    assert environment['HOME'] == '/home/lab'
    assert environment[FIRST] == environment[SECOND] == str(PROFILE)
    assert int(environment['MALLOC_MMAP_THRESHOLD_']) == 2**30
    assert FIRST not in os.environ


def test_the_profile_holds_what_its_comments_say() -> None:
    namespace = {'d': 'http://www.eprosima.com'}
    root = ET.parse(PROFILE).getroot()
    values = {e.tag.split('}')[1]: e.text for e in root.iter() if e.text and e.text.strip()}
    assert int(values['segment_size']) == 128 * MIB
    assert int(values['maxMessageSize']) == 32 * MIB
    assert values['useBuiltinTransports'] == 'false'
    types = [e.text for e in root.iterfind('.//d:transport_descriptor/d:type', namespace)]
    assert types == ['SHM', 'UDPv4']


# What a child process does with 8 blocks of 40 MB: it prints how many pages it had to fault in.
FAULTS = """
import array, resource, sys
if sys.argv[1] == 'prepared':
    from msdesis_ros.ros.transport import prepare_process
    assert prepare_process().malloc_active
one = array.array('B', b'x')
one * 40_000_000
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    one * 40_000_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(transport.ctypes.CDLL(None), 'mallopt'), reason='no glibc here')
def test_a_prepared_process_reuses_its_memory_without_page_faults(project_root: Path) -> None:
    def faults(mode: str) -> int:
        command = [sys.executable, '-c', FAULTS, mode]
        output = subprocess.run(
            command, cwd=project_root, check=True, capture_output=True, text=True
        )
        return int(output.stdout)

    # A block is 9766 pages of 4 KiB; fewer faults than one block means that it was reused.
    assert faults('prepared') < 9766 < faults('plain')


# All of them fit into the segment, so that a slow receiver loses none; without the profile one or
# two of them arrive.
COUNT = 30
# A child that sends 3.9 MB images at 30 Hz, each with its number in its first byte, once it finds
# a subscriber and is told on its standard input that it is found too. Told again, it prints the
# size of the largest shared-memory segment that it holds.
SENDER = """
import sys, time
from msdesis_ros.ros.transport import prepare_process
prepare_process()
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('sender')
qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
publisher = node.create_publisher(Image, 'large', qos)
sys.stdin.readline()
limit = time.monotonic() + 60
while publisher.get_subscription_count() == 0 and time.monotonic() < limit:
    time.sleep(0.02)
message = Image()
message.data.frombytes(bytes(1280 * 1024 * 3))
start = time.monotonic()
for number in range(int(sys.argv[1])):
    time.sleep(max(0.0, start + number / 30 - time.monotonic()))
    message.data[0] = number
    publisher.publish(message)
sys.stdin.readline()
sizes = [0]
for line in open('/proc/self/maps'):
    if '/dev/shm/fastrtps_' in line or '/dev/shm/fastdds_' in line:
        first, last = (int(end, 16) for end in line.split()[0].split('-'))
        sizes.append(last - first)
print(max(sizes))
"""


def receive(context: object, count: int) -> tuple[list[int], int]:
    """Return the first byte of each image that arrived, and the segment size of the sender."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    from .matching import CAN_TELL, hears

    node = rclpy.create_node('receiver', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    arrived: list[int] = []
    # Deep enough for a test machine that is busy with something else.
    qos = QoSProfile(depth=count, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, 'large', lambda image: arrived.append(image.data[0]), qos)
    command = [sys.executable, '-c', SENDER, str(count)]
    pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}
    sender = subprocess.Popen(
        command, cwd=resource(), text=True, bufsize=1, env=dict(os.environ), **pipes
    )

    def spin_until(condition: Callable[[], bool], limit_s: float) -> None:
        limit = time.monotonic() + limit_s
        while not condition() and sender.poll() is None and time.monotonic() < limit:
            executor.spin_once(timeout_sec=0.05)

    spin_until(lambda: hears(node, '/large'), 60)
    if not CAN_TELL:
        spin_until(lambda: False, 5)
    sender.stdin.write('go\n')
    spin_until(lambda: len(arrived) == count, 20)
    output = sender.communicate('enough\n')[0]
    executor.shutdown()
    node.destroy_node()
    return arrived, int(output)


@pytest.mark.skipif(
    os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp') != 'rmw_fastrtps_cpp',
    reason='the profile is for Fast DDS',
)
def test_the_memory_of_a_living_process_is_not_freed(ros_context: object) -> None:
    """The rule for `alive` is the one that Fast DDS really follows."""
    import rclpy

    node = rclpy.create_node('alive', context=ros_context)
    mine = [
        line.split()[-1]
        for line in Path('/proc/self/maps').read_text().splitlines()
        if '/dev/shm/fast' in line and Path(line.split()[-1]).stat().st_size >= 128 * MIB
    ]
    assert mine
    for path in mine:
        os.utime(f'{path}_el', (time.time() - 60,) * 2)
    transport.remove_stale_segments()
    assert all(Path(path).exists() for path in mine)
    node.destroy_node()


@pytest.mark.skipif(
    os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp') != 'rmw_fastrtps_cpp',
    reason='the profile is for Fast DDS',
)
def test_large_best_effort_images_between_two_processes_all_arrive(ros_context: object) -> None:
    arrived, segment_bytes = receive(ros_context, COUNT)
    assert segment_bytes >= 128 * MIB, 'Fast DDS did not take the profile'
    assert arrived == list(range(COUNT))
