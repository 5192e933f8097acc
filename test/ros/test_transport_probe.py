from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.ros import transport_probe
from msdesis_ros.ros.transport import PROFILE_VARIABLES, TRANSPORTS_VARIABLE
from msdesis_ros.ros.transport_probe import (
    TransportProbe,
    last_json,
    probe_environment,
    probe_transport,
    run_bounded,
)

# Python without what takes time at its start: it has a second, also on a busy machine.
QUICK_START = (sys.executable, '-I', '-S')
# It starts a child that would live for a minute, writes the child's number and waits for it.
PARENT = """
import subprocess, sys
child = subprocess.Popen([*QUICK_START, '-c', sys.argv[2]])
open(sys.argv[1], 'w').write(str(child.pid))
print('{"a": 1}', flush=True)
{end}
"""
SLEEP = 'import time; time.sleep(60)'
DEAF = f'import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}'


def is_running(pid: int) -> bool:
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0]
    except OSError:
        return False
    return state != 'Z'


def run_parent(path: Path, *, end: str, child: str = SLEEP, limit_s: float = 2.0) -> str:
    code = PARENT.replace('{end}', end).replace('QUICK_START', repr(QUICK_START))
    return run_bounded([*QUICK_START, '-c', code, str(path), child], os.environ, limit_s=limit_s)


def test_what_a_command_printed_comes_back():
    command = [sys.executable, '-c', 'print(1); print(2)']
    assert run_bounded(command, os.environ, limit_s=60) == '1\n2\n'


@pytest.mark.parametrize('child', [SLEEP, DEAF], ids=['ends on SIGTERM', 'ignores SIGTERM'])
def test_a_command_that_hangs_is_ended_with_its_children(tmp_path, child):
    started = time.monotonic()
    with pytest.raises(MsdesisError, match='not done within 1 s'):
        run_parent(tmp_path / 'pid', end='child.wait()', child=child, limit_s=1)
    assert time.monotonic() - started < 30, 'the child would live for a minute'
    assert not is_running(int((tmp_path / 'pid').read_text()))


def test_a_child_that_a_crash_leaves_behind_is_ended(tmp_path):
    with pytest.raises(MsdesisError):
        run_parent(tmp_path / 'pid', end='import os; os.kill(os.getpid(), 11)')
    assert not is_running(int((tmp_path / 'pid').read_text()))


def test_a_crash_is_named_by_its_signal():
    command = [sys.executable, '-c', 'import os; os.kill(os.getpid(), 9)']
    with pytest.raises(MsdesisError, match=f'signal {int(signal.SIGKILL)}'):
        run_bounded(command, os.environ, limit_s=60)


def test_a_command_that_fails_is_quoted():
    command = [sys.executable, '-c', 'import sys; sys.exit("no such library")']
    with pytest.raises(MsdesisError, match='code 1: no such library'):
        run_bounded(command, os.environ, limit_s=60)


def test_the_result_is_found_among_lines_of_the_middleware():
    assert last_json('[SHM] ready\n{"a": 1}\nbye {not json\n') == {'a': 1}
    with pytest.raises(MsdesisError, match='no result'):
        last_json('[SHM] ready\n')


def test_the_probe_stays_in_its_own_domain_on_this_machine():
    base = {'HOME': '/home/lab', 'ROS_DOMAIN_ID': '3', 'ROS_DISCOVERY_SERVER': 'x:1'}
    environment = probe_environment(base, domain=7, prepared=True)
    assert environment == {
        'HOME': '/home/lab',
        'ROS_DOMAIN_ID': '7',
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    }


def test_transports_of_the_user_keep_the_discovery_range_they_need():
    base = {TRANSPORTS_VARIABLE: 'LARGE_DATA'}
    environment = probe_environment(base, domain=7, prepared=True)
    assert 'ROS_AUTOMATIC_DISCOVERY_RANGE' not in environment


def test_the_comparison_has_none_of_the_settings():
    names = (*PROFILE_VARIABLES, TRANSPORTS_VARIABLE, 'MALLOC_TOP_PAD_')
    base = dict.fromkeys((*names, 'HOME'), 'set')
    assert set(names) <= set(probe_environment(base, domain=7, prepared=True))
    assert set(probe_environment(base, domain=7, prepared=False)) == {
        'HOME',
        'ROS_DOMAIN_ID',
        'ROS_AUTOMATIC_DISCOVERY_RANGE',
    }


def test_nothing_sent_is_nothing_arrived():
    probe = TransportProbe(0, 0, 0.0, None, None, False, 'rmw')
    assert probe.arrived == 0.0


def test_a_probe_that_cannot_start_says_so(monkeypatch):
    monkeypatch.setattr(transport_probe, 'NODES_MODULE', 'msdesis_ros.ros.not_there')
    with pytest.raises(MsdesisError, match='not_there'):
        probe_transport(limit_s=60)


def test_large_images_arrive_with_the_settings_and_get_lost_or_late_without():
    pytest.importorskip('rclpy', reason='rclpy is not installed: no transport to measure')
    if os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp') != 'rmw_fastrtps_cpp':
        pytest.skip('the settings are for Fast DDS')
    prepared = probe_transport(seconds=1.0, limit_s=50)
    assert prepared.sent == 22
    # A busy machine may lose some; without the settings it was 15 to 22 of 22.
    assert prepared.received > 11, prepared
    assert 0 < prepared.p50_ms <= prepared.p95_ms
    plain = probe_transport(seconds=1.0, prepared=False, limit_s=50)
    assert plain.sent == 22
    # A fast machine may get all of them through UDP, but later.
    assert plain.received < prepared.received or plain.p50_ms > prepared.p50_ms, plain


def test_a_measurement_that_takes_too_long_leaves_no_process():
    pytest.importorskip('rclpy', reason='rclpy is not installed: no transport to measure')

    def probes() -> int:
        listed = subprocess.run(['ps', '-eo', 'args'], capture_output=True, text=True, check=True)
        mark = f'{transport_probe.NODES_MODULE} receive --seconds 7.125'
        return sum(mark in line for line in listed.stdout.splitlines())

    with pytest.raises(MsdesisError, match='not done'):
        probe_transport(seconds=7.125, limit_s=1.5)
    assert probes() == 0
