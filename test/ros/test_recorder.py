from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('mcap', reason='mcap is not installed')

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import String
from stereo_msgs.msg import DisparityImage

from msdesis_ros.core.errors import MissingExtraError, MsdesisError, UsageError
from msdesis_ros.data.mcap_files import read_messages
from msdesis_ros.ros import recorder
from msdesis_ros.ros.message_definition import message_definition, message_type, type_name
from msdesis_ros.ros.messages import make_header, stamp_ns
from msdesis_ros.ros.qos import latched_camera_info_qos

from .matching import CAN_TELL, linked  # needs rclpy, so it stands below the check for it

Start = Callable[..., Any]


@contextlib.contextmanager
def recorder_in(
    graph: Any, *publishers: Any, cli_args: list[str] | None = None, **parameters: Any
) -> Iterator[Callable[[dict[str, int]], None]]:
    """A recorder in this process, spun by the graph, that hears these publishers.

    Gives a function that waits until it holds so many messages of each topic; leaving it finishes
    the file.
    """
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    node = recorder.StereoRecorder(
        context=graph.context, parameter_overrides=overrides, cli_args=cli_args
    )
    graph.add(node)

    def wait_for(expected: dict[str, int]) -> None:
        held = node._recording.counts
        assert graph.spin_until(lambda: expected.items() <= held.items()), held

    try:
        topics = [publisher.topic_name for publisher in publishers]
        assert graph.spin_until(lambda: linked(graph.node, node, topics))
        if not CAN_TELL:
            graph.spin_for(1.0)
        yield wait_for
    finally:
        graph.remove(node)
        node.destroy_node()


def wait_until_idle(process: subprocess.Popen[str]) -> None:
    """Until all threads sleep, one look after the other: nothing is left to be taken."""
    looks, deadline = 0, time.monotonic() + 60
    while looks < 15:
        assert time.monotonic() < deadline
        threads = Path(f'/proc/{process.pid}/task').glob('*/stat')
        states = {thread.read_text().rsplit(')', 1)[1].split()[0] for thread in threads}
        looks = looks + 1 if states == {'S'} else 0
        time.sleep(0.01)


def info(number: int) -> CameraInfo:
    message = CameraInfo(width=number, height=2, distortion_model='plumb_bob', d=[0.5] * 5)
    message.header = make_header(stamp_ns=number, frame_id='left')
    return message


@pytest.mark.parametrize(
    'kind',
    [CameraInfo, DiagnosticArray, DisparityImage, Image, PointCloud2, PoseStamped],
)
def test_a_definition_decodes_what_ros_serialises(kind: Any) -> None:
    from mcap.records import Schema
    from mcap_ros2.decoder import DecoderFactory
    from rclpy.serialization import serialize_message

    message = kind()
    if kind is DiagnosticArray:
        from msdesis_ros.ros.messages import diagnostic_status

        message.status = [
            diagnostic_status(level=b'\x01', name='n', message='m', values={'k': 1.5})
        ]
    if kind is CameraInfo:
        message = info(640)
    schema = Schema(
        id=1, name=type_name(kind), encoding='ros2msg', data=message_definition(kind).encode()
    )
    decode = DecoderFactory().decoder_for('cdr', schema)
    assert decode is not None
    decoded = decode(serialize_message(message))
    for field in kind.get_fields_and_field_types():
        same(getattr(decoded, field), getattr(message, field))


def same(decoded: Any, expected: Any) -> None:
    """Compare a decoded value with the ROS message, field by field."""
    if hasattr(expected, 'get_fields_and_field_types'):
        for field in expected.get_fields_and_field_types():
            same(getattr(decoded, field), getattr(expected, field))
    elif isinstance(expected, (str, int, float)):
        assert decoded == expected
    elif isinstance(expected, bytes):
        assert decoded == expected[0]
    else:
        assert len(decoded) == len(expected)
        for one, other in zip(decoded, expected, strict=True):
            same(one, other)


def test_the_definition_of_an_image_reads_as_its_msg_file() -> None:
    text = message_definition(Image)
    fields = [line for line in text.split('=' * 80)[0].splitlines() if line]
    assert fields == [
        'std_msgs/Header header',
        'uint32 height',
        'uint32 width',
        'string encoding',
        'uint8 is_bigendian',
        'uint32 step',
        'uint8[] data',
    ]
    assert text.count('MSG: ') == 2
    assert 'MSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n' in text
    assert 'float64[12] p' in message_definition(CameraInfo)


def test_bounded_types_keep_their_bounds() -> None:
    from rcl_interfaces.msg import ParameterDescriptor

    assert 'rcl_interfaces/IntegerRange[<=1] integer_range' in message_definition(
        ParameterDescriptor
    )


@pytest.mark.parametrize('kind', [Image, DiagnosticArray])
def test_a_type_is_found_by_its_name(kind: Any) -> None:
    assert message_type(type_name(kind)) is kind


def test_a_type_that_is_not_installed_names_its_package() -> None:
    with pytest.raises(MissingExtraError, match='install the package lab_msgs'):
        message_type('lab_msgs/msg/Sample')
    with pytest.raises(UsageError, match='package/msg/Type'):
        message_type('Image')


def test_the_default_topics_are_those_the_node_publishes() -> None:
    outputs = pytest.importorskip('msdesis_ros.ros.outputs')
    for topic, kind in outputs.TOPICS.items():
        assert recorder.KNOWN_TOPICS[topic] == type_name(kind)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_recording_holds_every_message_with_both_its_times(
    number: signal.Signals, graph: Any, start: Start, tmp_path: Path
) -> None:
    from mcap.reader import make_reader
    from rclpy.serialization import deserialize_message

    path = tmp_path / 'out.mcap'
    process = start('stereo_recorder', output=str(path), topics=['left/camera_info'])
    publisher = graph.node.create_publisher(CameraInfo, 'left/camera_info', 50)
    assert graph.spin_until(publisher.get_subscription_count)
    # Discovery is not symmetric, and what the process knows cannot be asked.
    graph.spin_for(0.5)
    wait_until_idle(process)
    began_ns = time.time_ns()
    for i in range(20):
        publisher.publish(info(i))
        time.sleep(0.005)
    wait_until_idle(process)
    process.send_signal(number)
    assert process.wait(timeout=60) == 0
    log = process.log()

    assert [entry.name for entry in tmp_path.iterdir()] == ['out.mcap']
    with open(path, 'rb') as stream:
        records = list(make_reader(stream).iter_messages())
    # Not the bytes: those between and behind the fields mean nothing.
    assert [deserialize_message(record.data, CameraInfo) for _, _, record in records] == [
        info(i) for i in range(20)
    ]
    assert {channel.topic for _, channel, _ in records} == {'/left/camera_info'}
    for _, _, record in records:
        assert began_ns <= record.publish_time <= record.log_time <= time.time_ns()
    assert f'20 messages in {path}' in log


def test_a_recording_is_read_by_rosbags(graph: Any, tmp_path: Path) -> None:
    highlevel = pytest.importorskip('rosbags.highlevel', reason='rosbags is not installed')
    path = tmp_path / 'out.mcap'
    depth = graph.node.create_publisher(Image, 'depth', 10)
    status = graph.node.create_publisher(DiagnosticArray, 'status', 10)
    image = Image(height=1, width=2, encoding='32FC1', step=8)
    image.data.frombytes(bytes(range(8)))
    topics = ['depth', 'status']
    with recorder_in(graph, depth, status, output=str(path), topics=topics) as wait_for:
        depth.publish(image)
        status.publish(DiagnosticArray(header=make_header(stamp_ns=7, frame_id='left')))
        wait_for({'/depth': 1, '/status': 1})

    with highlevel.AnyReader([path]) as reader:
        read = {
            connection.topic: reader.deserialize(raw, connection.msgtype)
            for connection, _, raw in reader.messages()
        }
    assert bytes(read['/depth'].data) == bytes(range(8))
    assert read['/status'].header.stamp.nanosec == 7


def test_topics_are_resolved_in_the_namespace_of_the_recorder(graph: Any, tmp_path: Path) -> None:
    path = tmp_path / 'out.mcap'
    inside = graph.node.create_publisher(CameraInfo, '/rig/camera_info', 10)
    outside = graph.node.create_publisher(DiagnosticArray, '/diagnostics', 10)
    with recorder_in(
        graph,
        inside,
        outside,
        cli_args=['--ros-args', '-r', '__ns:=/rig'],
        output=str(path),
        topics=['camera_info', '/diagnostics'],
    ) as wait_for:
        inside.publish(info(1))
        outside.publish(DiagnosticArray())
        wait_for({'/rig/camera_info': 1, '/diagnostics': 1})
    assert {topic for topic, _, _ in read_messages(path)} == {'/rig/camera_info', '/diagnostics'}


def test_publishers_of_every_kind_are_recorded(
    graph: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Best effort, latched before the recorder came, and a type it has to find out."""
    latched = graph.node.create_publisher(
        CameraInfo, 'left/camera_info', latched_camera_info_qos()
    )
    latched.publish(info(5))
    best_effort = graph.node.create_publisher(
        CameraInfo, 'right/camera_info', qos_profile_sensor_data
    )
    unknown = graph.node.create_publisher(String, 'notes', QoSProfile(depth=10))
    path = tmp_path / 'out.mcap'
    topics = ['left/camera_info', 'right/camera_info', 'notes', 'silent']
    publishers = (best_effort, unknown, latched)
    with recorder_in(graph, *publishers, output=str(path), topics=topics) as wait_for:
        best_effort.publish(info(6))
        unknown.publish(String(data='needle'))
        wait_for({'/left/camera_info': 1, '/right/camera_info': 1, '/notes': 1})

    read = {topic: message for topic, _, message in read_messages(path)}
    assert read.keys() == {'/left/camera_info', '/right/camera_info', '/notes'}
    assert stamp_ns(read['/left/camera_info'].header.stamp) == 5
    assert stamp_ns(read['/right/camera_info'].header.stamp) == 6
    assert read['/notes'].data == 'needle'
    assert 'nothing came on /silent' in capfd.readouterr().err


@pytest.mark.parametrize('inputs', ['raw', 'compressed'])
def test_the_pictures_that_come_in_are_recorded_when_asked_for(
    inputs: str, graph: Any, tmp_path: Path
) -> None:
    kind, suffix = (Image, '') if inputs == 'raw' else (CompressedImage, '/compressed')
    path = tmp_path / 'out.mcap'
    publishers = {
        side: graph.node.create_publisher(kind, f'{side}/image_raw{suffix}', 10)
        for side in ('left', 'right')
    }
    infos = graph.node.create_publisher(CameraInfo, 'left/camera_info', 10)
    all_of_them = (*publishers.values(), infos)
    with recorder_in(graph, *all_of_them, output=str(path), inputs=inputs) as wait_for:
        infos.publish(info(640))
        for number, publisher in enumerate(publishers.values()):
            header = make_header(stamp_ns=number, frame_id='l')
            publisher.publish(kind(header=header, data=[number]))
        wait_for({publisher.topic_name: 1 for publisher in all_of_them})
    read = {topic: message for topic, _, message in read_messages(path)}
    assert read.keys() == {
        f'/left/image_raw{suffix}',
        f'/right/image_raw{suffix}',
        '/left/camera_info',
    }
    assert bytes(read[f'/right/image_raw{suffix}'].data) == b'\x01'


@pytest.mark.parametrize(
    ('parameters', 'error', 'sentence'),
    [
        ({}, UsageError, 'parameter output is missing'),
        ({'output': '/proc/none/out.mcap'}, MsdesisError, 'cannot write the recording'),
        ({'output': 'out.mcap', 'compression': 'gzip'}, UsageError, 'none, lz4, zstd'),
        ({'output': 'out.mcap', 'inputs': 'all'}, UsageError, 'none, raw, compressed'),
        ({'output': 'out.mcap', 'queue_depth': 0}, UsageError, '1 .. 1000'),
        ({'output': 'out.mcap', 'topics': ['notes:Image']}, UsageError, 'package/msg/Type'),
    ],
)
def test_wrong_parameters_are_refused_and_leave_no_file(
    parameters: dict[str, Any],
    error: type[Exception],
    sentence: str,
    ros_context: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    with pytest.raises(error, match=sentence):
        recorder.StereoRecorder(context=ros_context, parameter_overrides=overrides)
    assert list(tmp_path.iterdir()) == []


def test_wrong_use_is_exit_code_2_with_one_sentence(ros_domain: int, start: Start) -> None:
    process = start('stereo_recorder')
    assert process.wait(timeout=60) == 2
    assert 'parameter output is missing' in process.log()
    assert 'Traceback' not in process.log()
