"""The two processes of `transport_probe`: `receive` starts `send`, and prints what arrived."""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import Image

from msdesis_ros.ros.message_buffers import empty_image
from msdesis_ros.ros.qos import input_qos
from msdesis_ros.ros.transport import prepare_process
from msdesis_ros.ros.transport_probe import NODES_MODULE, RATE_HZ

TOPIC = 'msdesis_transport_probe/image_raw'
WIDTH, HEIGHT, ENCODING = 1280, 1024, 'rgb8'
# The first frames touch fresh pages of shared memory and take up to 0.9 s; they are not counted.
WARM_UP_FRAMES = 22
DISCOVERY_LIMIT_S = 6.0
# The subscription is known to the sender a little before the receiver knows the publisher.
SETTLE_S = 0.2
DRAIN_S = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one JSON line; see `receive` and `send`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('role', choices=('receive', 'send'))
    parser.add_argument('--seconds', type=float, default=3.0)
    parser.add_argument('--unprepared', action='store_true')
    options = parser.parse_args(arguments)
    if not options.unprepared:
        prepare_process()
    rclpy.init(args=[])
    try:
        work = receive if options.role == 'receive' else send
        result = work(options.seconds, prepared=not options.unprepared)
    except (ExternalShutdownException, KeyboardInterrupt):
        return 1
    finally:
        rclpy.try_shutdown()
    sys.stdout.write(json.dumps(result) + '\n')
    return 0


def receive(seconds: float, *, prepared: bool) -> dict[str, Any]:
    """Start the sender and take its images until it ends: the fields of a TransportProbe."""
    node = rclpy.create_node('msdesis_transport_probe_receiver')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    latencies_ms: dict[int, float] = {}

    def on_image(image: Image) -> None:
        sent_ns = image.header.stamp.sec * 10**9 + image.header.stamp.nanosec
        number = int(image.header.frame_id)
        if number >= 0:
            latencies_ms[number] = (time.monotonic_ns() - sent_ns) / 1e6

    node.create_subscription(Image, TOPIC, on_image, input_qos())
    command = [sys.executable, '-m', NODES_MODULE, 'send']
    command += ['--seconds', str(seconds)] + ([] if prepared else ['--unprepared'])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sender:
        while sender.poll() is None:
            executor.spin_once(timeout_sec=0.1)
        lines = sender.communicate()[0].splitlines()
    if sender.returncode != 0 or not lines:
        # The sender's own last words are the reason, where it had any.
        ended = f'the sender was ended by signal {-sender.returncode}'
        raise SystemExit(ended if sender.returncode < 0 else 1)
    sent = json.loads(lines[-1])
    limit = time.monotonic() + DRAIN_S
    while len(latencies_ms) < sent['sent'] and time.monotonic() < limit:
        executor.spin_once(timeout_sec=0.05)
    executor.shutdown(timeout_sec=0.5)
    node.destroy_node()
    ordered = sorted(latencies_ms.values())
    return {
        **sent,
        'received': len(ordered),
        'p50_ms': _percentile(ordered, 0.50),
        'p95_ms': _percentile(ordered, 0.95),
        'rmw': get_rmw_implementation_identifier(),
    }


def send(seconds: float, *, prepared: bool) -> dict[str, Any]:
    """Wait for the receiver, then publish at RATE_HZ for `seconds`; frame_id is the number."""
    del prepared  # done by main
    node = rclpy.create_node('msdesis_transport_probe_sender')
    publisher = node.create_publisher(Image, TOPIC, input_qos())
    limit = time.monotonic() + DISCOVERY_LIMIT_S
    while publisher.get_subscription_count() == 0 and time.monotonic() < limit and rclpy.ok():
        time.sleep(0.02)
    matched = publisher.get_subscription_count() > 0
    time.sleep(SETTLE_S)
    count = max(1, round(seconds * RATE_HZ)) if matched else 0
    warm_up = WARM_UP_FRAMES if matched else 0
    message = empty_image(height=HEIGHT, width=WIDTH, encoding=ENCODING)
    message.data.frombytes(bytes(WIDTH * HEIGHT * 3))
    first = started = time.monotonic()
    for number in range(-warm_up, count):
        due = first + (number + warm_up) / RATE_HZ
        time.sleep(max(0.0, due - time.monotonic()))
        if number == 0:
            started = time.monotonic()
        if not rclpy.ok():
            raise ExternalShutdownException
        _publish(publisher, message, number)
    elapsed_s = time.monotonic() - started
    time.sleep(SETTLE_S)  # images on their way leave with the publisher
    node.destroy_node()
    rate_hz = (count - 1) / elapsed_s if count > 1 and elapsed_s > 0 else 0.0
    return {'sent': count, 'rate_hz': rate_hz, 'matched': matched}


def _publish(publisher: rclpy.publisher.Publisher, message: Image, number: int) -> None:
    # The clock of the machine, the same in both processes, and never set back.
    now_ns = time.monotonic_ns()
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(now_ns, 10**9)
    message.header.frame_id = str(number)
    publisher.publish(message)


def _percentile(ordered: list[float], part: float) -> float | None:
    """The nearest rank; None of nothing."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


if __name__ == '__main__':
    sys.exit(main())
