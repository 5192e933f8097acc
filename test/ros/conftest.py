"""A ROS graph of its own for the tests of this folder, or the reason why there is none."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# For what happens within a second on a machine of its own; only a failure takes as long.
PATIENCE_S = 60.0


@pytest.fixture(scope='session')
def ros_domain() -> Iterator[int]:
    """Put this test process and its children into a ROS domain that nobody else uses.

    The transport settings are those of our executables. Skips where rclpy is not installed.
    """
    pytest.importorskip('rclpy', reason='rclpy is not installed: no ROS graph to test in')
    from msdesis_ros.ros.domain import FIRST_PORT, PORTS_A_DOMAIN, private_domain_id
    from msdesis_ros.ros.transport import prepare_process

    before = dict(os.environ)
    # Two test processes may draw the same domain before either is seen in it: this name is held.
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    for _ in range(100):
        domain = private_domain_id()
        try:
            claim.bind(f'\0msdesis-test-domain-{domain}')
            break
        except OSError:
            continue
    # Between two tests nobody is in it: without this a demo, say, would take it for free.
    seen = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    seen.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    seen.bind(('', FIRST_PORT + PORTS_A_DOMAIN * domain))
    os.environ['ROS_DOMAIN_ID'] = str(domain)
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    prepare_process()
    yield domain
    claim.close()
    seen.close()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def ros_context(ros_domain: int) -> Iterator[Any]:
    """Return an initialised rclpy context in the private domain; it is shut down afterwards."""
    import rclpy

    from msdesis_ros.ros.transport import prepare_process

    # A test may have changed the environment since; Fast DDS reads it with its first participant.
    prepare_process()
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()


class Graph:
    """A node of the test and an executor that spins it until something has happened."""

    def __init__(self, context: Any) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = context
        self.node = rclpy.create_node(f'test_{os.getpid()}', context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)

    def add(self, node: Any) -> None:
        """Spin another node too."""
        self._executor.add_node(node)

    def remove(self, node: Any) -> None:
        """Spin it no more."""
        self._executor.remove_node(node)

    def spin_until(self, condition: Callable[[], Any], *, limit_s: float = PATIENCE_S) -> bool:
        """Spin until the condition holds; whether it did in time."""
        end = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def spin_for(self, duration_s: float) -> None:
        """Spin for so long, to see that nothing happens; what should happen is waited for."""
        self.spin_until(lambda: False, limit_s=duration_s)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def graph(ros_context: Any) -> Iterator[Graph]:
    """Return a node in the private domain, with a way to spin it."""
    graph = Graph(ros_context)
    yield graph
    graph.close()


@pytest.fixture
def node_graph(ros_domain: int) -> Iterator[Callable[..., Any]]:
    """Return a way to make a `node_graph.Graph`, whose arguments are parameters of the node."""
    from .node_graph import Graph

    graphs: list[Graph] = []

    def make(**parameters: Any) -> Graph:
        graphs.append(Graph(**parameters))
        return graphs[-1]

    yield make
    for made in graphs:
        made.close()


def end_processes(processes: list[subprocess.Popen[str]]) -> None:
    """End them the polite way first, since a killed one leaves its shared memory behind."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def start(ros_domain: int, project_root: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a way to start one of our executables, `start('stereo_player', rate_hz=5.0)`.

    Its output goes to a file, `process.log`; what still runs at the end is killed.
    """
    started: list[subprocess.Popen[str]] = []

    def start(name: str, *extra: str, **parameters: Any) -> subprocess.Popen[str]:
        command = [sys.executable, str(project_root / 'scripts' / name), *extra]
        if parameters:
            command.append('--ros-args')
        for key, value in parameters.items():
            command += ['-p', f'{key}:={json.dumps(value)}']
        log = tempfile.TemporaryFile('w+')  # noqa: SIM115
        environment = {**os.environ, 'PYTHONPATH': str(project_root)}
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True
        )
        process.log = lambda: (log.seek(0), log.read())[1]  # type: ignore[attr-defined]
        started.append(process)
        return process

    yield start
    end_processes(started)
