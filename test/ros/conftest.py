"""A ROS graph of its own for the tests of this folder, or the reason why there is none."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

# Above 100 the ports of a domain run into those the kernel hands out to everybody (32768 and up).
DOMAINS = 100
# The ports of a domain start here, 250 apart; +10 belongs to its first participant.
FIRST_PORT, PORTS_A_DOMAIN, FIRST_PARTICIPANT = 7400, 250, 10


def _is_free(domain: int) -> bool:
    port = FIRST_PORT + PORTS_A_DOMAIN * domain + FIRST_PARTICIPANT
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('', port))
        except OSError:
            return False
    return True


@pytest.fixture(scope='session')
def ros_domain() -> Iterator[int]:
    """Put this test process and its children into a ROS domain that nobody else uses.

    The transport settings are those of our executables. Skips where rclpy is not installed.
    """
    pytest.importorskip('rclpy', reason='rclpy is not installed: no ROS graph to test in')
    from msdesis_ros.ros.transport import prepare_process

    first, before = os.getpid(), dict(os.environ)
    domain = next(d for d in ((first + i) % DOMAINS + 1 for i in range(DOMAINS)) if _is_free(d))
    os.environ['ROS_DOMAIN_ID'] = str(domain)
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    prepare_process()
    yield domain
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def ros_context(ros_domain: int) -> Iterator[Any]:
    """Return an initialised rclpy context in the private domain; it is shut down afterwards."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()
