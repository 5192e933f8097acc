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

from msdesis_ros.ros.process import STOP_WITHIN_S

# A node whose behaviour is chosen by the first word of its parameter `script`.
PROGRAM = """
import atexit, os, sys, threading, time
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
        self.held_up = self.script == 'held up'
        self.timer = self.create_timer(0.02, self.act)

    def act(self):
        self.timer.cancel()
        print('acts', flush=True)
        if self.script == 'late':
            raise CalibrationError('it went wrong later')
        if self.script == 'ends':
            self.exit_code = 7
        if self.script == 'busy':
            time.sleep(100)
        if self.script == 'locked':
            lock = threading.Lock(); lock.acquire()
            lock.acquire()

    def destroy_node(self):
        print('destroyed', rclpy.ok(), flush=True)
        super().destroy_node()

if __name__ == '__main__':
    atexit.register(print, 'taken apart', flush=True)
    limit_s = float(os.environ['STOP_WITHIN_S'])
    sys.exit(run(Scripted, sys.argv[1:], stop_within_s=limit_s))
"""
# Longer than anything here may take, and shorter than the limit on a test.
PATIENCE_S = 60.0

Start = Callable[..., 'subprocess.Popen[str]']


@pytest.fixture
def start_program(ros_domain: int, project_root: Path, tmp_path: Path) -> Iterator[Start]:
    program = tmp_path / 'scripted.py'
    program.write_text(PROGRAM)
    started = []

    def start(script: str, *more: str, stop_within_s: float = 20.0) -> subprocess.Popen[str]:
        settings = {'PYTHONPATH': str(project_root), 'STOP_WITHIN_S': str(stop_within_s)}
        process = subprocess.Popen(
            [sys.executable, str(program), '--ros-args', '-p', f'script:={script}', *more],
            env={**os.environ, **settings},
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


def wait_until_it_acts(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == 'acts':
            return
    pytest.fail('the process ended before it did anything')


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_waiting_node_cleanly(
    number: signal.Signals, start_program: Start
) -> None:
    process = start_program('wait', stop_within_s=STOP_WITHIN_S)
    wait_until_it_acts(process)
    process.send_signal(number)
    code, output = end(process)
    # The log may hold a line on shared memory that other processes left behind. Had it not been
    # done in time, it would have left without being taken apart.
    assert (code, output.split()[-4:]) == (0, ['destroyed', 'True', 'taken', 'apart'])


@pytest.mark.parametrize('script', ['busy', 'locked'])
def test_a_signal_ends_a_node_that_hangs_in_a_callback(script: str, start_program: Start) -> None:
    process = start_program(script, stop_within_s=1.0)
    wait_until_it_acts(process)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, output = end(process)
    assert time.monotonic() - began > 0.9
    assert code == 1
    assert 'no end in time' in output


def test_a_second_signal_ends_it_at_once(start_program: Start) -> None:
    process = start_program('busy', stop_within_s=90.0)
    wait_until_it_acts(process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.8)  # what follows sooner is an echo
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    code, _ = end(process)
    assert code == 1


def test_an_echo_of_the_signal_does_not_disturb_the_clean_end(start_program: Start) -> None:
    process = start_program('wait')
    wait_until_it_acts(process)
    # Two of one kind may reach it as one.
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    code, output = end(process)
    assert code == 0
    assert 'destroyed' in output and 'leaving without' not in output


def test_a_node_that_a_library_holds_up_is_left_without_being_taken_apart(
    start_program: Start,
) -> None:
    process = start_program('held up')
    wait_until_it_acts(process)
    process.send_signal(signal.SIGINT)
    code, output = end(process)
    assert (code, output.split()[-2:]) == (0, ['destroyed', 'True'])


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
    printed = ('acts', 'destroyed True', 'taken apart')
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
