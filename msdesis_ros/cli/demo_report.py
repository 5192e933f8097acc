"""What the demo's recording says: the report, one frame as a picture and as a point cloud."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from msdesis_ros.cli.node_account import figures, values_of
from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.core.health import Percentiles
from msdesis_ros.core.surface import LABEL_INSTRUMENT, unpack
from msdesis_ros.data.images import write_image
from msdesis_ros.data.mcap_files import read_messages
from msdesis_ros.data.overview import overview_picture
from msdesis_ros.data.ply import write_ply

# With a model that finds instruments alone.
MASK = '/instrument_mask'
RESULTS = ('/disparity', '/depth', '/camera_info', '/points', '/left/image_rect', '/status')
# What the player says of a recording.
INPUT_FACTS = (
    'recording',
    'complete',
    'file_bytes',
    'whole_bytes',
    'pairs_available',
    'left_available',
    'right_available',
    'speed',
)
FRAME = ('/disparity', '/depth', '/points', '/left/image_rect')


def write_results(out: Path, sent: dict[str, Any]) -> dict[str, Any]:
    """Write `overview.png` and `points.ply` of the last whole frame; return the report.

    `sent` is the report of the player. Raises MsdesisError where the recording holds no result.
    """
    recording = _Recording(out / 'demo.mcap')
    recording.write_last_frame(out)
    return recording.report(sent)


class _Recording:
    """One pass over `demo.mcap`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.stamps: dict[str, list[int]] = {topic: [] for topic in RESULTS}
        self.pairs: list[dict[str, str]] = []
        self.node: dict[str, str] = {}
        self.frame: dict[str, Any] = {}
        current: dict[str, Any] = {}
        for topic, _, message in read_messages(path, [*RESULTS, MASK, '/diagnostics']):
            if topic == '/diagnostics':
                if 'processed' in (values := values_of(message)):
                    self.node = values
                continue
            stamp = _stamp_ns(message)
            self.stamps.setdefault(topic, []).append(stamp)
            if topic == '/status':
                self.pairs.append(values_of(message))
            if topic in FRAME:
                if current.get('stamp') != stamp:
                    current = {'stamp': stamp}
                current[topic] = message
                if all(name in current for name in FRAME):
                    self.frame = dict(current)

    def report(self, sent: dict[str, Any]) -> dict[str, Any]:
        processed = [pair for pair in self.pairs if 'backend_failed' not in pair['reasons']]
        stamps = sorted(self.stamps['/status'])
        duration_s = (stamps[-1] - stamps[0]) / 1e9 if len(stamps) > 1 else 0.0
        latency = Percentiles.of([float(pair['latency_ms']) for pair in processed])
        model_hash = self.node['model_sha256']
        known = set(sent['sent_left_stamps_ns'])
        return {
            'pairs_sent': sent['pairs_sent'],
            'pairs_processed': len(processed),
            'published': {topic.lstrip('/'): len(s) for topic, s in self.stamps.items()},
            'dropped': figures(self.node, 'dropped.', int),
            'fps': (len(stamps) - 1) / duration_s if duration_s > 0 else 0.0,
            'latency_ms': {'p50': latency.p50, 'p95': latency.p95, 'p99': latency.p99},
            'stages_ms': figures(self.node, 'stage_ms.', float),
            'image_size': sent['image_size'],
            'model': {
                'name': self.node['model'],
                'sha256': None if model_hash == 'none' else model_hash,
            },
            'backend': self.node['backend'],
            'verdicts': dict(Counter(pair['verdict'] for pair in self.pairs)),
            'rate_sent_hz': sent['rate_achieved_hz'],
            'input': {name: sent[name] for name in INPUT_FACTS if name in sent},
            'stamps_not_sent': sum(s not in known for v in self.stamps.values() for s in v),
            'stamps_repeated': sum(len(v) - len(set(v)) for v in self.stamps.values()),
        }

    def write_last_frame(self, out: Path) -> None:
        if not self.frame or not self.node:
            raise MsdesisError(
                f'{self._path} holds no whole result: see the logs in {out / "logs"}'
            )
        depth = _plane(self.frame['/depth'])
        picture = np.frombuffer(self.frame['/left/image_rect'].data, np.uint8)
        picture = picture.reshape(*depth.shape, 3)
        valid = np.isfinite(depth)
        message = self.frame['/points']
        cloud = np.frombuffer(message.data, np.float32)
        points, colours, labels = unpack(cloud.reshape(message.height, message.width, 4))
        title = f'{self.node["model"]}: {np.mean(valid):.1%} answered'
        write_image(
            out / 'overview.png',
            overview_picture(
                picture,
                _plane(self.frame['/disparity'].image),
                valid,
                depth_m=depth,
                instrument_mask=labels == LABEL_INSTRUMENT if MASK in self.stamps else None,
                title_lines=(title,),
            ),
        )
        known = np.isfinite(points[..., 2])
        write_ply(out / 'points.ply', points[known], colours[known], labels[known])


def _stamp_ns(message: Any) -> int:
    # As `ros.messages.stamp_ns`, whose module needs ROS messages; a report does not.
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def _plane(image: Any) -> np.ndarray:
    return np.frombuffer(image.data, np.float32).reshape(image.height, image.width)
