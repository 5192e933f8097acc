from __future__ import annotations

import itertools
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from msdesis_ros.core.errors import FileFormatError, ImageError, UsageError
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.images import write_image
from msdesis_ros.data.picture_pairs import find_pairs
from msdesis_ros.ros.messages import camera_from_camera_info, rgb_from_image, stamp_ns
from msdesis_ros.ros.picture_source import PictureSource
from msdesis_ros.ros.player import StereoPlayer

Start = Callable[..., Any]
GEOMETRY = {'rectified': True, 'focal_px': 500.0, 'baseline_mm': 4.0}


def picture(seed: int, *, height: int = 48, width: int = 65) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def folders(path: Path, count: int, **size: int) -> tuple[Path, Path]:
    """Write `count` pairs; picture n is seed n on the left and seed 100 + n on the right."""
    for number in range(count):
        write_image(path / 'left' / f'{number}.png', picture(number, **size))
        write_image(path / 'right' / f'{number}.png', picture(100 + number, **size))
    return path / 'left', path / 'right'


class Eyes:
    """Subscribes to all topics of the player and keeps what comes."""

    def __init__(self, graph: Any, *, reliable: bool = False) -> None:
        self.images: dict[str, list[Image]] = {'left': [], 'right': []}
        self.infos: dict[str, list[CameraInfo]] = {'left': [], 'right': []}
        # Deep enough for a busy test machine.
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=50, reliability=reliability)
        for side in ('left', 'right'):
            graph.node.create_subscription(
                Image, f'{side}/image_raw', self.images[side].append, qos
            )
            graph.node.create_subscription(
                CameraInfo, f'{side}/camera_info', self.infos[side].append, qos
            )

    def complete(self, count: int) -> bool:
        received = itertools.chain(self.images.values(), self.infos.values())
        return all(len(messages) == count for messages in received)


@pytest.mark.parametrize('reliable', [False, True])
def test_two_folders_arrive_pair_by_pair_under_the_reported_stamps(
    reliable: bool, graph: Any, start: Start, tmp_path: Path
) -> None:
    left, right = folders(tmp_path, 3)
    report = tmp_path / 'out' / 'player.json'
    eyes = Eyes(graph, reliable=reliable)
    began_ns = time.time_ns()
    process = start(
        'stereo_player',
        left=str(left),
        right=str(right),
        **GEOMETRY,
        frames=5,
        rate_hz=20.0,
        wait_for_subscribers=1,
        skew_ms=3.5,
        report=str(report),
    )
    graph.spin_until(lambda: process.poll() is not None)
    assert process.poll() == 0, process.log()
    assert eyes.complete(5), process.log()

    for number, (one, other) in enumerate(
        zip(eyes.images['left'], eyes.images['right'], strict=True)
    ):
        assert np.array_equal(rgb_from_image(one), picture(number % 3))
        assert np.array_equal(rgb_from_image(other), picture(100 + number % 3))
    stamps = {
        side: [stamp_ns(message.header.stamp) for message in eyes.images[side]]
        for side in ('left', 'right')
    }
    written = json.loads(report.read_text())
    assert written['pairs_sent'] == 5
    assert written['sent_left_stamps_ns'] == stamps['left']
    assert written['sent_right_stamps_ns'] == stamps['right']
    assert 5 < written['rate_achieved_hz'] < 22
    assert began_ns < stamps['left'][0] < time.time_ns()
    for one_ns, other_ns in zip(stamps['left'], stamps['right'], strict=True):
        assert other_ns - one_ns == 3_500_000
    for side in ('left', 'right'):
        assert [stamp_ns(message.header.stamp) for message in eyes.infos[side]] == stamps[side]
        headers = [m.header.frame_id for m in eyes.infos[side] + eyes.images[side]]
        assert set(headers) == {f'{side}_optical'}
    cameras = [camera_from_camera_info(eyes.infos[side][0]) for side in ('left', 'right')]
    rig = StereoRig.from_cameras(*cameras, rectified=True)
    assert rig.baseline_m == pytest.approx(0.004)
    assert rig.image_size == (65, 48)


def play_and_measure(
    graph: Any, start: Start, folder: Path, *, frames: int, rate_hz: float, **size: int
) -> tuple[np.ndarray, Eyes]:
    """Play two pairs in a loop; return how late each pair was (ms), and what arrived."""
    left, right = folders(folder, 2, **size)
    report, eyes = folder / 'player.json', Eyes(graph)
    process = start(
        'stereo_player',
        left=str(left),
        right=str(right),
        **GEOMETRY,
        frames=frames,
        rate_hz=rate_hz,
        wait_for_subscribers=1,
        report=str(report),
    )
    graph.spin_until(lambda: process.poll() is not None, limit_s=30)
    stamps_ns = np.array(json.loads(report.read_text())['sent_left_stamps_ns'])
    return (stamps_ns - stamps_ns[0]) / 1e6 - np.arange(frames) * 1000 / rate_hz, eyes


def test_a_late_pair_does_not_move_the_schedule(graph: Any, start: Start, tmp_path: Path) -> None:
    late_ms, _ = play_and_measure(graph, start, tmp_path, frames=50, rate_hz=50.0)
    # A busy machine may skip turns, which are 20 ms long, but it comes back to the same phase.
    phase_ms = (late_ms + 10) % 20 - 10
    assert np.median(np.abs(phase_ms)) < 3


@pytest.mark.slow
def test_the_player_reaches_camera_rate(graph: Any, start: Start, tmp_path: Path) -> None:
    late_ms, eyes = play_and_measure(
        graph, start, tmp_path, frames=301, rate_hz=30.0, height=1024, width=1280
    )
    assert np.median(np.abs(late_ms)) < 5
    assert late_ms[-1] < 20
    assert len(eyes.images['left']) == len(eyes.images['right']) == 301


@pytest.mark.parametrize(
    ('encoding', 'conversion'), [('bgr8', cv2.COLOR_RGB2BGR), ('mono8', cv2.COLOR_RGB2GRAY)]
)
def test_other_encodings_hold_the_same_picture(
    encoding: str, conversion: int, tmp_path: Path
) -> None:
    left, right = folders(tmp_path, 1)
    source = PictureSource(find_pairs(left=left, right=right), encoding=encoding)
    message, _ = source.messages(0)
    source.close()
    assert message.encoding == encoding
    assert bytes(message.data) == cv2.cvtColor(picture(0), conversion).tobytes()


@pytest.mark.parametrize('cached', [1, 5, 7])
def test_pictures_beyond_the_cache_are_decoded_again_in_order(cached: int, tmp_path: Path) -> None:
    left, right = folders(tmp_path, 7)
    pair_bytes = 2 * 48 * 65 * 3
    source = PictureSource(
        find_pairs(left=left, right=right), encoding='rgb8', cache_bytes=cached * pair_bytes
    )
    for index in range(17):
        one, other = source.messages(index)
        assert np.array_equal(rgb_from_image(one), picture(index % 7))
        assert np.array_equal(rgb_from_image(other), picture(100 + index % 7))
    assert source.messages(0)[0] is source.messages(7)[0]
    source.close()


def test_pictures_of_another_size_are_refused_by_name(tmp_path: Path) -> None:
    left, right = folders(tmp_path, 3)
    write_image(left / '2.png', picture(7, height=20))
    source = PictureSource(find_pairs(left=left, right=right), encoding='rgb8')
    with pytest.raises(ImageError, match=r'2\.png is 65x20 and the first pair is 65x48'):
        source.messages(2)
    deadline = time.monotonic() + 5
    with pytest.raises(ImageError, match=r'2\.png'):
        while time.monotonic() < deadline:
            assert not source.ready
    source.close()
    write_image(left / '0.png', picture(7, height=20))
    with pytest.raises(ImageError, match='one size'):
        PictureSource(find_pairs(left=left, right=right), encoding='rgb8')


def test_a_picture_that_cannot_be_read_and_an_unknown_encoding_are_refused(tmp_path: Path) -> None:
    left, right = folders(tmp_path, 1)
    with pytest.raises(UsageError, match='rgb8, bgr8, mono8'):
        PictureSource(find_pairs(left=left, right=right), encoding='yuv422')
    (left / '0.png').write_bytes(b'no picture')
    with pytest.raises(FileFormatError, match=r'0\.png'):
        PictureSource(find_pairs(left=left, right=right), encoding='rgb8')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_player_with_its_report(
    number: signal.Signals, graph: Any, start: Start, tmp_path: Path
) -> None:
    left, right = folders(tmp_path, 1)
    report = tmp_path / 'player.json'
    eyes = Eyes(graph)
    process = start(
        'stereo_player',
        left=str(left / '0.png'),
        right=str(right / '0.png'),
        **GEOMETRY,
        rate_hz=50.0,
        skew_jitter_ms=2.0,
        seed=3,
        report=str(report),
    )
    assert graph.spin_until(lambda: len(eyes.images['left']) > 10)
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=5) == 0
    assert time.monotonic() - began < 2
    written = json.loads(report.read_text())
    assert written['pairs_sent'] == len(written['sent_left_stamps_ns']) > 10
    pairs = zip(written['sent_left_stamps_ns'], written['sent_right_stamps_ns'], strict=True)
    skews_ns = [other - one for one, other in pairs]
    assert -2_000_000 <= min(skews_ns) < 0 < max(skews_ns) <= 2_000_000


def test_without_loop_the_player_ends_after_the_last_pair(
    ros_domain: int, start: Start, tmp_path: Path
) -> None:
    left, right = folders(tmp_path, 3)
    report = tmp_path / 'player.json'
    settings = {**GEOMETRY, 'loop': False, 'rate_hz': 100.0, 'report': str(report)}
    process = start('stereo_player', left=str(left), right=str(right), **settings)
    assert process.wait(timeout=10) == 0
    assert json.loads(report.read_text())['pairs_sent'] == 3


def test_a_calibration_file_is_published_with_its_frames(
    graph: Any, start: Start, tmp_path: Path
) -> None:
    left, right = folders(tmp_path, 1)
    calibration = {
        'K1': [[60, 0, 32], [0, 60, 24], [0, 0, 1]],
        'D1': [-0.1, 0.01, 0, 0, 0],
        'K2': [[61, 0, 31], [0, 61, 23], [0, 0, 1]],
        'D2': [-0.2, 0.02, 0, 0, 0],
        'R': np.eye(3).tolist(),
        'T': [-5.0, 0.0, 0.0],
        'image_size': [65, 48],
    }
    file = tmp_path / 'calibration.json'
    storage = cv2.FileStorage(str(file), cv2.FILE_STORAGE_WRITE)
    for name, value in calibration.items():
        storage.write(name, np.array(value, dtype=np.float64))
    storage.release()
    eyes = Eyes(graph)
    process = start(
        'stereo_player',
        left=str(left),
        right=str(right),
        calibration=str(file),
        right_frame_id='ecm_right',
        rate_hz=20.0,
    )
    assert graph.spin_until(lambda: all(eyes.infos.values())), process.log()
    cameras = [camera_from_camera_info(eyes.infos[side][0]) for side in ('left', 'right')]
    assert StereoRig.from_cameras(*cameras).baseline_m == pytest.approx(0.005)
    assert cameras[0].distortion[:2].tolist() == [-0.1, 0.01]
    assert eyes.infos['right'][0].header.frame_id == 'ecm_right'


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({'left': ''}, UsageError, 'parameter left is missing'),
    ({'right': '/none.png'}, FileFormatError, '/none.png does not exist'),
    ({'focal_px': 0.0}, UsageError, 'the geometry is missing'),
    ({'rectified': False}, UsageError, 'rectified:=true'),
    ({'calibration': 'c.yaml'}, UsageError, 'not both'),
    ({'rate_hz': 0.0}, UsageError, '0.01 .. 1000'),
    ({'rate_hz': 10}, UsageError, 'decimal point'),
    ({'encoding': 'yuv422'}, UsageError, 'rgb8, bgr8, mono8'),
    ({'unit': 'inch'}, UsageError, r'\(empty\), mm, m'),
]


@pytest.mark.parametrize(('wrong', 'error', 'sentence'), WRONG)
def test_wrong_parameters_are_refused(
    wrong: dict[str, Any],
    error: type[Exception],
    sentence: str,
    ros_context: Any,
    tmp_path: Path,
) -> None:
    left, right = folders(tmp_path, 1)
    settings = {'left': str(left), 'right': str(right), **GEOMETRY, **wrong}
    overrides = [Parameter(name, value=value) for name, value in settings.items()]
    with pytest.raises(error, match=sentence):
        StereoPlayer(context=ros_context, parameter_overrides=overrides)


@pytest.mark.parametrize(
    ('wrong', 'code', 'sentence'),
    [
        ({'left': ''}, 2, 'parameter left is missing'),
        ({'right': '/none.png'}, 1, '/none.png does not exist'),
        ({'wait_for_subscribers': 3, 'wait_limit_s': 0.2}, 1, '0 of 3 subscribers'),
        ({'report': '/proc/none/report.json', 'loop': False}, 1, 'cannot write'),
    ],
)
def test_what_goes_wrong_ends_the_player_with_one_sentence(
    wrong: dict[str, Any], code: int, sentence: str, start: Start, tmp_path: Path
) -> None:
    left, right = folders(tmp_path, 1)
    settings = {'left': str(left), 'right': str(right), **GEOMETRY, **wrong}
    process = start('stereo_player', **settings)
    assert process.wait(timeout=20) == code, process.log()
    assert sentence in process.log()
    assert 'Traceback' not in process.log()
