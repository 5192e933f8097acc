"""Measure the node's own overhead: 1280x1024 stereo in, disparity, depth and cloud out.

    python test/ros/measure_transport.py --seconds 60 --rate 22 --size 1280x1024 --json FILE

Player, node (with a stored disparity instead of a network) and subscriber are processes of their
own in a private ROS domain; this one prints what docs/results/performance.md keeps.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
WARM_UP_S = 5.0
TOPICS = ('disparity', 'depth', 'points')


def subscriber(seconds: float, output: str) -> None:
    """Collect stamps and ages of the three topics, statuses and diagnostics, as JSON."""
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image, PointCloud2
    from stereo_msgs.msg import DisparityImage

    from msdesis_ros.ros.messages import stamp_ns
    from msdesis_ros.ros.transport import prepare_process

    prepare_process()
    rclpy.init()
    node = rclpy.create_node('consumer')
    seen: dict[str, list] = {topic: [] for topic in (*TOPICS, 'status')}
    diagnostics: list[dict[str, str]] = []

    def collect(topic: str, kind: type) -> None:
        def on_message(message) -> None:
            stamp = stamp_ns(message.header.stamp)
            seen[topic].append((stamp, (time.time_ns() - stamp) / 1e6))

        node.create_subscription(kind, topic, on_message, 5)

    for topic, kind in (
        ('disparity', DisparityImage),
        ('depth', Image),
        ('points', PointCloud2),
        ('status', DiagnosticArray),
    ):
        collect(topic, kind)
    node.create_subscription(
        DiagnosticArray,
        '/diagnostics',
        lambda m: diagnostics.append({v.key: v.value for v in m.status[0].values}),
        10,
    )
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end = None
    while end is None or time.monotonic() < end:
        executor.spin_once(timeout_sec=0.2)
        if end is None and seen['status']:
            end = time.monotonic() + WARM_UP_S + seconds
    Path(output).write_text(json.dumps({'seen': seen, 'diagnostics': diagnostics}))


def pictures(folder: Path, size: tuple[int, int], count: int = 8) -> None:
    """Textured pairs that differ from each other, so that nothing counts as frozen."""
    rng = np.random.default_rng(0)
    for side in ('left', 'right'):
        (folder / side).mkdir()
        for i in range(count):
            coarse = rng.integers(30, 220, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
            picture = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(folder / side / f'{i:03d}.png'), picture)
    calibration = cv2.FileStorage(str(folder / 'rig.json'), cv2.FILE_STORAGE_WRITE)
    k = np.array([[1050.0, 0, size[0] / 2], [0, 1050.0, size[1] / 2], [0, 0, 1]])
    for name, value in (
        ('K1', k),
        ('D1', np.array([[-0.1, 0.02, 0, 0, 0.0]])),
        ('K2', k),
        ('D2', np.array([[-0.1, 0.02, 0, 0, 0.0]])),
        ('R', cv2.Rodrigues(np.array([0.01, 0.005, 0.002]))[0]),
        ('T', np.array([[-4.35], [0.0], [0.0]])),
    ):
        calibration.write(name, value)
    calibration.release()


def measure(seconds: float, rate: float, size: tuple[int, int]) -> dict:
    from msdesis_ros.ros.domain import private_domain_id
    from msdesis_ros.ros.transport import child_environment

    environment = child_environment() | {
        'ROS_DOMAIN_ID': str(private_domain_id()),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'PYTHONPATH': os.pathsep.join([str(HERE.parents[1]), os.environ.get('PYTHONPATH', '')]),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures(folder, size)
        player = {
            'left': folder / 'left',
            'right': folder / 'right',
            'calibration': folder / 'rig.json',
            'rate_hz': float(rate),
            'wait_for_subscribers': 1,
            'report': folder / 'player.json',
        }
        options = [x for n, v in player.items() for x in ('-p', f'{n}:={v}')]
        commands = [
            [str(HERE / 'replay_node.py'), '--ros-args', '-p', 'autostart:=true'],
            ['-m', 'msdesis_ros.ros.player', '--ros-args', *options],
        ]
        consumer = [sys.executable, str(Path(__file__)), '--subscribe', str(folder / 'seen.json')]
        receiver = subprocess.Popen([*consumer, '--seconds', str(seconds)], env=environment)
        others = [subprocess.Popen([sys.executable, *c], env=environment) for c in commands]
        try:
            wait_for(receiver, others, seconds + WARM_UP_S + 60)
        finally:
            usage = {c.args[1]: cpu_seconds(c.pid) for c in (receiver, *others)}
            for child in (receiver, *others[::-1]):
                if child.poll() is None:
                    child.send_signal(signal.SIGINT)
            for child in others:
                child.wait(10)
        sent = json.loads((folder / 'player.json').read_text())
        return evaluate(json.loads((folder / 'seen.json').read_text()), sent, usage, seconds)


def wait_for(receiver: subprocess.Popen, others: list[subprocess.Popen], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while receiver.poll() is None:
        if any(child.poll() is not None for child in others):
            sys.exit('the player or the node ended early')
        if time.monotonic() > deadline:
            sys.exit('the subscriber did not end in time: no results came')
        time.sleep(0.2)


def cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    except OSError:
        return float('nan')
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def evaluate(received: dict, sent: dict, usage: dict, seconds: float) -> dict:
    seen, diagnostics = received['seen'], received['diagnostics']
    first = seen['status'][0][0] + int(WARM_UP_S * 1e9)
    # The last half second may still be under way when the subscriber stops.
    last = first + int((seconds - 0.5) * 1e9)

    def inside(pairs):
        return {stamp: age for stamp, age in pairs if first <= stamp <= last}

    status = inside(seen['status'])
    topics = {topic: inside(seen[topic]) for topic in TOPICS}
    complete = set(status).intersection(*topics.values())
    ages = np.array([max(topics[t][s] for t in TOPICS) for s in sorted(complete)])
    thirds = [float(np.median(part)) for part in np.array_split(ages, 3)]
    final = diagnostics[-1]
    sent_inside = sum(first <= stamp <= last for stamp in sent['sent_left_stamps_ns'])
    return {
        'sent': sent_inside,
        'results': len(status),
        'results_hz': len(status) / (seconds - 0.5),
        'complete_share': len(complete) / max(len(status), 1),
        'latency_ms': {
            'p50': float(np.percentile(ages, 50)),
            'p95': float(np.percentile(ages, 95)),
            'p99': float(np.percentile(ages, 99)),
        },
        'latency_p50_by_third_ms': thirds,
        'dropped': {k[8:]: int(v) for k, v in final.items() if k.startswith('dropped.')},
        'stages_ms': {k[9:]: float(v) for k, v in final.items() if k.startswith('stage_ms.')},
        'player_rate_hz': sent['rate_achieved_hz'],
        'cpu_s': usage,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--rate', type=float, default=22.0)
    parser.add_argument('--size', default='1280x1024')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--subscribe')
    options = parser.parse_args()
    if options.subscribe:
        subscriber(options.seconds, options.subscribe)
        return
    width, height = (int(n) for n in options.size.split('x'))
    result = measure(options.seconds, options.rate, (width, height))
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + '\n')
    if options.json:
        options.json.write_text(text + '\n')


if __name__ == '__main__':
    main()
