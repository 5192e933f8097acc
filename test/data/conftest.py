"""Recordings of a stereo camera, written without ROS, for the tests of this folder."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

IMAGE, CAMERA_INFO = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
START_NS = 1_700_000_000_000_000_000


class Cdr:
    """A little-endian CDR text, field by field."""

    def __init__(self) -> None:
        self.body = bytearray()

    def add(self, kind: str, *values: float) -> Cdr:
        size = struct.calcsize(f'<{kind}')
        for value in values:
            self.body += bytes(-len(self.body) % size)
            self.body += struct.pack(f'<{kind}', value)
        return self

    def text(self, text: str) -> Cdr:
        self.add('I', len(text) + 1)
        self.body += text.encode() + b'\0'
        return self

    def header(self, stamp_ns: int, frame_id: str) -> Cdr:
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        return self.add('i', seconds).add('I', nanoseconds).text(frame_id)

    def __bytes__(self) -> bytes:
        return b'\x00\x01\x00\x00' + bytes(self.body)


def image_cdr(stamp_ns: int, *, frame_id: str = 'left', fill: int = 7, size: int = 4) -> bytes:
    """An rgb8 Image of `size` x `size` pixels of one value."""
    cdr = Cdr().header(stamp_ns, frame_id).add('I', size, size).text('rgb8').add('B', 0)
    cdr.add('I', 3 * size, 3 * size * size)
    cdr.body += bytes([fill]) * (3 * size * size)
    return bytes(cdr)


def info_cdr(stamp_ns: int, *, frame_id: str = 'left') -> bytes:
    """A CameraInfo of which the tests of this folder need the header only."""
    cdr = Cdr().header(stamp_ns, frame_id).add('I', 4, 4).text('plumb_bob').add('I', 0)
    return bytes(cdr.add('d', *[0.0] * 30).add('I', 0, 0, 0, 0, 0, 0).add('B', 0))


def stereo_stream(
    count: int, *, skew_ns: int = 3_000_000, period_ns: int = 33_000_000, size: int = 4
) -> list[tuple[str, str, int, bytes]]:
    """(topic, type, log time, CDR) of a camera that sends each camera_info with its picture."""
    stream = []
    for number in range(count):
        for side, late_ns in (('left', 0), ('right', skew_ns)):
            stamp_ns = START_NS + number * period_ns + late_ns
            image = image_cdr(stamp_ns, frame_id=side, fill=number % 256, size=size)
            info = info_cdr(stamp_ns, frame_id=side)
            time_ns = stamp_ns + 1_000_000
            stream.append((f'/rig/{side}/camera_info', CAMERA_INFO, time_ns, info))
            stream.append((f'/rig/{side}/image_raw', IMAGE, time_ns + 1, image))
    return stream


def write_mcap(
    path: Path, stream: Iterable[tuple[str, str, int, bytes]], *, compression: str = 'none'
) -> Path:
    from msdesis_ros.data.mcap_files import McapRecording

    with McapRecording(path, compression=compression) as recording:
        for topic, kind, time_ns, cdr in stream:
            recording.add_topic(topic, type_name=kind, definition='')
            recording.write(topic, cdr, log_time_ns=time_ns, publish_time_ns=time_ns)
    return path


def write_bag(
    path: Path, stream: Iterable[tuple[str, str, int, bytes]], *, storage: str = 'sqlite3'
) -> Path:
    rosbag2 = pytest.importorskip('rosbags.rosbag2', reason='rosbags is not installed')
    from rosbags.typesys import Stores, get_typestore

    plugins = {'sqlite3': rosbag2.StoragePlugin.SQLITE3, 'mcap': rosbag2.StoragePlugin.MCAP}
    store, connections = get_typestore(Stores.ROS2_JAZZY), {}
    with rosbag2.Writer(path, version=9, storage_plugin=plugins[storage]) as writer:
        for topic, kind, time_ns, cdr in stream:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], time_ns, cdr)
    return path


@pytest.fixture
def stereo() -> Callable[..., list[tuple[str, str, int, bytes]]]:
    """Return `stereo_stream`."""
    return stereo_stream


@pytest.fixture
def write_recording() -> Callable[..., Path]:
    """Return a way to write a stream: `kind` is mcap, bag (SQLite) or bag_mcap."""

    def write(path: Path, stream: list, kind: str = 'mcap', **options: str) -> Path:
        if kind == 'mcap':
            return write_mcap(path.with_suffix('.mcap'), stream, **options)
        return write_bag(path, stream, storage='mcap' if kind == 'bag_mcap' else 'sqlite3')

    return write
