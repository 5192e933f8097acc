"""Node and player as processes that are killed, stopped and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed: no ROS graph to test in')

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image

ROOT = Path(__file__).parents[2]


class Processes:
    """Children in the test's private domain, and a listener in this process."""

    def __init__(self, context, folder: Path) -> None:
        self.folder = folder
        self.children: list[subprocess.Popen] = []
        self.node = rclpy.create_node('listener', context=context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.depths = 0
        self.words = ''
        self.node.create_subscription(Image, 'depth', self._on_depth, 5)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_status, 5)

    def _on_depth(self, _: Image) -> None:
        self.depths += 1

    def _on_status(self, message: DiagnosticArray) -> None:
        self.words = message.status[0].message

    def start(self, *command: str) -> subprocess.Popen:
        environment = os.environ | {'PYTHONPATH': str(ROOT)}
        log = (self.folder / f'{len(self.children)}.log').open('wb')
        child = subprocess.Popen(
            [sys.executable, *command], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        self.children.append(child)
        return child

    def start_node(self) -> subprocess.Popen:
        return self.start(
            str(ROOT / 'test' / 'ros' / 'replay_node.py'), '--ros-args', '-p', 'autostart:=true'
        )

    def start_player(self) -> subprocess.Popen:
        rng = np.random.default_rng(0)
        for side in ('left', 'right'):
            (self.folder / side).mkdir(exist_ok=True)
            for i in range(4):
                coarse = rng.integers(30, 220, (24, 32, 3), dtype=np.uint8)
                picture = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
                cv2.imwrite(str(self.folder / side / f'{i}.png'), picture)
        values = {
            'left': self.folder / 'left',
            'right': self.folder / 'right',
            'rectified': 'true',
            'focal_px': 200.0,
            'baseline_mm': 4.0,
            'rate_hz': 10.0,
        }
        options = [x for name, value in values.items() for x in ('-p', f'{name}:={value}')]
        return self.start('-m', 'msdesis_ros.ros.player', '--ros-args', *options)

    def wait(self, condition, limit_s: float = 60.0) -> bool:
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.executor.spin_once(timeout_sec=0.05)
        return True

    def results_come(self) -> bool:
        begin = self.depths
        return self.wait(lambda: self.depths >= begin + 5)

    def close(self) -> None:
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait(60)
        self.executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def processes(ros_context, tmp_path):
    made = Processes(ros_context, tmp_path)
    yield made
    made.close()


def test_a_killed_node_comes_back_when_it_is_started_again(processes):
    processes.start_player()
    node = processes.start_node()
    assert processes.results_come()
    node.kill()
    node.wait(60)
    processes.start_node()
    assert processes.results_come()


def test_a_killed_player_is_reported_and_its_successor_is_heard(processes):
    processes.start_node()
    player = processes.start_player()
    assert processes.results_come()
    player.kill()
    player.wait(60)
    assert processes.wait(lambda: 'left and right images are missing' in processes.words)
    seen = processes.depths
    processes.wait(lambda: False, 0.5)
    assert processes.depths == seen, 'nothing is repeated while nothing comes'
    processes.start_player()
    assert processes.results_come()
    assert processes.wait(lambda: 'missing' not in processes.words)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_working_node_cleanly_within_two_seconds(processes, number):
    processes.start_player()
    node = processes.start_node()
    assert processes.results_come()
    node.send_signal(number)
    # It gives up after two seconds, with another code.
    assert node.wait(60) == 0
    log = (processes.folder / '1.log').read_text()
    assert 'Traceback' not in log
