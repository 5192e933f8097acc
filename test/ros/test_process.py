"""The common main, seen from outside: what the process of a node does when it is told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed: no ROS process to test')

# A node whose behaviour is chosen by the first word of its parameter `script`.
PROGRAM = """
import sys, threading, time
import rclpy
from rclpy.node import Node
from msdesis_ros.core.errors import CalibrationError, UsageError
from msdesis_ros.ros.process import run

class Scripted(Node):
    def __init__(self, *, transport_warnings):
        super().__init__('scripted')
        self.exit_code = None
        self.script = self.declare_parameter('script', 'wait').value
        self.declare_parameter('number', 1)
        if self.script == 'calibration':
            raise CalibrationError('the baseline is zero;\\n calibrate again')
        if self.script == 'usage':
            raise UsageError('left is missing')
        if self.script == 'bug':
            raise ZeroDivisionError('a bug')
        if self.script in ('late', 'ends'):
            self.create_timer(0.1, self.act)
        if self.script == 'busy':
            self.create_timer(0.1, lambda: time.sleep(60))
        if self.script == 'locked':
            lock = threading.Lock(); lock.acquire()
            self.create_timer(0.1, lock.acquire)
        print('up', flush=True)

    def act(self):
        if self.script == 'late':
            raise CalibrationError('it went wrong later')
        self.exit_code = 7

    def destroy_node(self):
        print('destroyed', rclpy.ok(), flush=True)
        super().destroy_node()

if __name__ == '__main__':
    sys.exit(run(Scripted, sys.argv[1:], stop_within_s=1.0))
"""

Start = Callable[..., 'subprocess.Popen[str]']


@pytest.fixture
def start_program(ros_domain: int, project_root: Path, tmp_path: Path) -> Iterator[Start]:
    program = tmp_path / 'scripted.py'
    program.write_text(PROGRAM)
    started = []

    def start(script: str, *more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(program), '--ros-args', '-p', f'script:={script}', *more],
            env={**os.environ, 'PYTHONPATH': str(project_root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_until_up(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == 'up':
            return
    pytest.fail('the process ended before it was up')


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=15)
    return process.returncode, output


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_waiting_node_cleanly(
    number: signal.Signals, start_program: Start
) -> None:
    process = start_program('wait')
    wait_until_up(process)
    time.sleep(0.2)
    began = time.monotonic()
    process.send_signal(number)
    code, output = end(process)
    assert time.monotonic() - began < 2
    # The log may hold a line on shared memory that other processes left behind.
    assert (code, output.split()[-2:]) == (0, ['destroyed', 'True'])


@pytest.mark.parametrize('script', ['busy', 'locked'])
def test_a_signal_ends_a_node_that_hangs_in_a_callback(script: str, start_program: Start) -> None:
    process = start_program(script)
    wait_until_up(process)
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, output = end(process)
    assert 0.9 < time.monotonic() - began < 2.5
    assert code == 1
    assert 'no end in time' in output


def test_a_second_signal_ends_it_at_once(start_program: Start) -> None:
    process = start_program('busy')
    wait_until_up(process)
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    code, _ = end(process)
    assert time.monotonic() - began < 1.2
    assert code == 1


def test_an_echo_of_the_signal_does_not_disturb_the_clean_end(start_program: Start) -> None:
    process = start_program('wait')
    wait_until_up(process)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    code, output = end(process)
    assert code == 0
    assert 'destroyed' in output and 'leaving without' not in output


def test_a_node_ends_itself_with_its_exit_code(start_program: Start) -> None:
    code, output = end(start_program('ends'))
    assert code == 7
    assert 'destroyed True' in output


@pytest.mark.parametrize(
    ('script', 'code', 'sentence'),
    [
        ('calibration', 1, 'the baseline is zero; calibrate again'),
        ('usage', 2, 'left is missing'),
        ('late', 1, 'it went wrong later'),
    ],
)
def test_an_expected_error_is_one_sentence_and_an_exit_code(
    script: str, code: int, sentence: str, start_program: Start
) -> None:
    got, output = end(start_program(script))
    assert got == code
    assert sentence in output
    assert 'Traceback' not in output
    # What an earlier test left in shared memory may be mentioned.
    printed = ('up', 'destroyed True')
    said = [x for x in output.splitlines() if x not in printed and not x.startswith('[INFO]')]
    assert len(said) == 1


def test_a_bug_keeps_its_traceback(start_program: Start) -> None:
    code, output = end(start_program('bug'))
    assert code == 1
    assert 'ZeroDivisionError: a bug' in output
    assert 'Traceback' in output


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['-p', 'number:=many'], 'number'),
        (['-p', 'no assignment'], 'no assignment'),
        (['--', '--rate', '5'], "unknown argument '--rate'"),
    ],
)
def test_a_wrong_command_line_is_wrong_use(
    arguments: list[str], sentence: str, start_program: Start
) -> None:
    code, output = end(start_program('wait', *arguments))
    assert code == 2
    assert sentence in output
    assert 'Traceback' not in output
