from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger

from msdesis_ros.core.errors import FileFormatError, ImageError, UsageError
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.images import write_image
from msdesis_ros.data.mcap_files import read_messages
from msdesis_ros.data.picture_pairs import find_pairs
from msdesis_ros.ros.messages import camera_from_camera_info, rgb_from_image, stamp_ns
from msdesis_ros.ros.picture_source import PictureSource
from msdesis_ros.ros.player import StereoPlayer

Start = Callable[..., Any]
SIDES = ('left', 'right')
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

    def __init__(
        self,
        graph: Any,
        *,
        kind: type = Image,
        topic: str = 'image_raw',
        reliable: bool = False,
    ) -> None:
        self.images: dict[str, list[Any]] = {'left': [], 'right': []}
        self.infos: dict[str, list[CameraInfo]] = {'left': [], 'right': []}
        # Deep enough for a busy test machine.
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=50, reliability=reliability)
        for side in ('left', 'right'):
            graph.node.create_subscription(kind, f'{side}/{topic}', self.images[side].append, qos)
            graph.node.create_subscription(
                CameraInfo, f'{side}/camera_info', self.infos[side].append, qos
            )

    def complete(self, count: int) -> bool:
        return all(len(messages) == count for messages in self.images.values()) and all(
            len(self.infos_of_images(side)) == count for side in self.images
        )

    def hold(self, report: dict[str, Any]) -> bool:
        """Whether everything has come that a report says was sent."""
        sent = {side: report[f'sent_{side}_stamps_ns'] for side in SIDES}
        return all(len(self.images[side]) == len(sent[side]) for side in SIDES) and all(
            set(sent[side]) == {stamp_ns(info.header.stamp) for info in self.infos_of_images(side)}
            for side in SIDES
        )

    def infos_of_images(self, side: str) -> list[CameraInfo]:
        """The camera_infos but those that go ahead of the first picture."""
        stamps = {stamp_ns(image.header.stamp) for image in self.images[side]}
        return [info for info in self.infos[side] if stamp_ns(info.header.stamp) in stamps]


@contextlib.contextmanager
def player_in(graph: Any, **settings: Any) -> Iterator[StereoPlayer]:
    """A player in this process, spun by the graph; leaving it is what ends the player."""
    overrides = [Parameter(name, value=value) for name, value in settings.items()]
    player = StereoPlayer(context=graph.context, parameter_overrides=overrides)
    graph.add(player)
    try:
        yield player
    finally:
        graph.remove(player)
        player.destroy_node()


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
        rate_hz=5.0,
        wait_for_subscribers=1,
        skew_ms=3.5,
        report=str(report),
    )
    graph.spin_until(lambda: process.poll() is not None)
    assert process.poll() == 0, process.log()
    assert graph.spin_until(lambda: eyes.complete(5)), process.log()

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
    # A busy machine adds some to the four fifths of a second that five pairs take.
    assert 1.3 < written['rate_achieved_hz'] < 7.5
    assert began_ns < stamps['left'][0] < time.time_ns()
    for one_ns, other_ns in zip(stamps['left'], stamps['right'], strict=True):
        assert other_ns - one_ns == 3_500_000
    for side in ('left', 'right'):
        infos = eyes.infos_of_images(side)
        assert [stamp_ns(message.header.stamp) for message in infos] == stamps[side]
        headers = [m.header.frame_id for m in eyes.infos[side] + eyes.images[side]]
        assert set(headers) == {f'{side}_optical'}
    cameras = [camera_from_camera_info(eyes.infos[side][0]) for side in ('left', 'right')]
    rig = StereoRig.from_cameras(*cameras, rectified=True)
    assert rig.baseline_m == pytest.approx(0.004)
    assert rig.image_size == (65, 48)


def start_loop(
    start: Start, folder: Path, *, frames: int, rate_hz: float, **size: int
) -> tuple[Any, Path]:
    """Start a player of two pairs in a loop; returns the process and the place of its report."""
    left, right = folders(folder, 2, **size)
    report = folder / 'player.json'
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
    return process, report


def late_ms_of(report: Path, *, rate_hz: float) -> np.ndarray:
    """How much later than its turn each pair was sent, had the first one been in time."""
    stamps_ns = np.array(json.loads(report.read_text())['sent_left_stamps_ns'])
    return (stamps_ns - stamps_ns[0]) / 1e6 - np.arange(len(stamps_ns)) * 1000 / rate_hz


def common_phase_ms(late_ms: np.ndarray, period_ms: float) -> float:
    """When in a period most of these pairs were sent: the rest were held up by the machine."""
    apart_ms = (late_ms[:, None] - late_ms + period_ms / 2) % period_ms - period_ms / 2
    return float(late_ms[np.argmax((np.abs(apart_ms) < 2).sum(axis=1))] % period_ms)


def test_a_late_pair_does_not_move_the_schedule(graph: Any, start: Start, tmp_path: Path) -> None:
    eyes = Eyes(graph)
    process, report = start_loop(start, tmp_path, frames=50, rate_hz=25.0)
    assert graph.spin_until(lambda: len(eyes.images['left']) >= 20)
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.06)  # a period and a half
    process.send_signal(signal.SIGCONT)
    graph.spin_until(lambda: process.poll() is not None)
    late_ms = late_ms_of(report, rate_hz=25.0)
    assert late_ms.max() > 15, 'the control: it was held up'
    before, after = (common_phase_ms(part, 40) for part in (late_ms[:20], late_ms[25:]))
    assert abs((after - before + 20) % 40 - 20) < 5


@pytest.mark.slow
def test_the_player_reaches_camera_rate(graph: Any, start: Start, tmp_path: Path) -> None:
    eyes = Eyes(graph)
    process, report = start_loop(
        start, tmp_path, frames=301, rate_hz=30.0, height=1024, width=1280
    )
    graph.spin_until(lambda: process.poll() is not None)
    late_ms, period_ms = late_ms_of(report, rate_hz=30.0), 1000 / 30
    phase_ms = (late_ms + period_ms / 2) % period_ms - period_ms / 2
    assert np.median(np.abs(phase_ms)) < 3
    # A busy machine may skip a few turns; too slow a player would skip every other one.
    assert round(late_ms[-1] / period_ms) < 30
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
    deadline = time.monotonic() + 60
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
        jitter_ms=2.0,
        seed=3,
        report=str(report),
    )
    assert graph.spin_until(lambda: len(eyes.images['left']) > 10)
    process.send_signal(number)
    # A node that is not done after 2 s gives up, with another code.
    assert process.wait(timeout=60) == 0, process.log()
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
    assert process.wait(timeout=60) == 0
    assert json.loads(report.read_text())['pairs_sent'] == 3


def test_a_calibration_file_is_published_with_its_frames(graph: Any, tmp_path: Path) -> None:
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
    with player_in(
        graph,
        left=str(left),
        right=str(right),
        calibration=str(file),
        right_frame_id='ecm_right',
        rate_hz=20.0,
    ):
        assert graph.spin_until(lambda: all(eyes.infos.values()))
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
    ({'rate_hz': -1.0}, UsageError, '0 .. 1000'),
    ({'rate_hz': 10}, UsageError, 'decimal point'),
    ({'encoding': 'yuv422'}, UsageError, 'rgb8, bgr8, mono8'),
    ({'unit': 'inch'}, UsageError, r'\(empty\), mm, m'),
    ({'video': 'v.mp4'}, UsageError, 'video and left and right are given'),
    ({'recording': 'r.mcap', 'left': '', 'right': '', 'rate_hz': 5.0}, UsageError, 'see speed'),
    ({'recording': 'r.mcap', 'left': '', 'right': ''}, FileFormatError, 'cannot read'),
    ({'left_topic': '/l'}, UsageError, 'set recording too'),
    ({'swap': True}, UsageError, 'set video too'),
    ({'stamp_file': 's.csv', 'stamps_in_names': True}, UsageError, 'not both'),
    ({'stamp_file': 'a,b,c'}, UsageError, 'more than two files'),
    ({'stamp_file': '/none.csv'}, FileFormatError, 'cannot read /none.csv'),
    ({'left': 'l.mp4'}, UsageError, 'must both be videos'),
    ({'stamps': 'later'}, UsageError, 'now, recorded'),
    ({'speed': 0.0}, UsageError, '0.001 .. 1000'),
    ({'drop_left': 1.5}, UsageError, '0 .. 1'),
    ({'layout': 'interlaced'}, UsageError, 'side_by_side, top_bottom'),
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
    assert process.wait(timeout=60) == code, process.log()
    assert sentence in process.log()
    assert 'Traceback' not in process.log()


# --- Videos, recordings, stamps of their own, faults, play and stop. ---

START_NS = 1_700_000_000_000_000_000


def play(
    graph: Any, folder: Path, *, topic: str = 'image_raw', **settings: Any
) -> tuple[Eyes, dict[str, Any]]:
    """Play to the end with a subscriber, in this process; what came, and the report."""
    kind = CompressedImage if topic != 'image_raw' else Image
    eyes, report = Eyes(graph, kind=kind, topic=topic, reliable=True), folder / 'player.json'
    settings = {'wait_for_subscribers': 1, 'report': str(report), 'loop': False, **settings}
    with player_in(graph, **settings) as player:
        assert graph.spin_until(lambda: player.exit_code is not None)
        assert player.exit_code == 0
        assert graph.spin_until(lambda: eyes.hold(player.report()))
    return eyes, json.loads(report.read_text())


def stamps_of(messages: list[Any]) -> list[int]:
    return [stamp_ns(message.header.stamp) for message in messages]


def write_video(path: Path, pictures: list[np.ndarray], *, rate: int) -> Path:
    av = pytest.importorskip('av', reason='PyAV (the extra `video`) is not installed')
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('ffv1', rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = 'bgr0'
        for pixels in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format='rgb24')))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize('layout', ['top_bottom', 'two'])
def test_a_video_is_played_at_its_own_rate(layout: str, graph: Any, tmp_path: Path) -> None:
    lefts = [picture(n, width=64) for n in range(6)]
    rights = [picture(100 + n, width=64) for n in range(6)]
    if layout == 'two':
        source = {
            side: str(write_video(tmp_path / f'{side}.mkv', pictures, rate=8))
            for side, pictures in (('left', lefts), ('right', rights))
        }
    else:
        both = [np.concatenate(pair) for pair in zip(lefts, rights, strict=True)]
        video = write_video(tmp_path / 'both.mkv', both, rate=8)
        source = {'video': str(video), 'layout': layout}
    eyes, report = play(graph, tmp_path, **source, **GEOMETRY)
    assert report['pairs_sent'] == 6
    assert report['image_size'] == [64, 48]
    assert report['rate_hz'] == 8
    for number in range(6):
        assert np.array_equal(rgb_from_image(eyes.images['left'][number]), lefts[number])
        assert np.array_equal(rgb_from_image(eyes.images['right'][number]), rights[number])
    stamps_ms = np.array(stamps_of(eyes.images['left'])) / 1e6
    assert np.median(np.diff(stamps_ms)) == pytest.approx(125, abs=50)


@pytest.mark.parametrize('compressed', [False, True])
def test_a_recording_is_sent_byte_by_byte_with_its_own_stamps_and_calibration(
    compressed: bool,
    graph: Any,
    record_stereo: Callable[..., Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = record_stereo(
        tmp_path / 'in.mcap', count=6, period_ns=120_000_000, compressed=compressed
    )
    topic = 'image_raw/compressed' if compressed else 'image_raw'
    eyes, report = play(graph, tmp_path, topic=topic, recording=str(path), stamps='recorded')
    recorded = {name: [] for name in ('left', 'right')}
    for name, _, message in read_messages(path):
        if name.endswith(topic):
            recorded[name.split('/')[2]].append(message)
    for side, late_ns in (('left', 0), ('right', 2_000_000)):
        expected = [START_NS + n * 120_000_000 + late_ns for n in range(6)]
        assert stamps_of(eyes.images[side]) == expected
        assert stamps_of(eyes.infos[side])[-6:] == expected
        for got, sent in zip(eyes.images[side], recorded[side], strict=True):
            assert bytes(got.data) == bytes(sent.data)
        assert {m.header.frame_id for m in eyes.images[side]} == {f'{side}_lens'}
    assert report['sent_left_stamps_ns'] == stamps_of(eyes.images['left'])
    assert report['pairs_sent'] == report['pairs_available'] == 6
    assert report['complete'] is True
    # Six pairs take six tenths of a second; a busy machine may well add as much twice.
    assert 2.7 < report['rate_achieved_hz'] < 12
    assert '6 left and 6 right pictures' in capfd.readouterr().err


def test_a_recording_under_new_stamps_keeps_the_skew_of_its_pairs_at_any_speed(
    graph: Any, record_stereo: Callable[..., Path], tmp_path: Path
) -> None:
    path = record_stereo(tmp_path / 'in.mcap', count=5, period_ns=100_000_000, skew_ns=-4_000_000)
    began_ns = time.time_ns()
    eyes, _ = play(graph, tmp_path, recording=str(path), speed=0.5)
    left, right = (np.array(stamps_of(eyes.images[side])) for side in ('left', 'right'))
    assert began_ns < left[0] < time.time_ns()
    assert (right - left).tolist() == [-4_000_000] * 5
    between_ms = np.median(np.diff(left)) / 1e6
    assert between_ms == pytest.approx(200, abs=80), 'recorded 100 ms apart'
    for side, stamps in (('left', left), ('right', right)):
        assert stamps_of(eyes.infos_of_images(side)) == stamps.tolist()


def test_a_recording_without_camera_info_needs_a_calibration(
    graph: Any, record_stereo: Callable[..., Path], tmp_path: Path
) -> None:
    path = record_stereo(tmp_path / 'in.mcap', count=3, infos=False)
    sentence = 'no camera_info of the left and the right camera; set the parameter'
    with pytest.raises(UsageError, match=sentence), player_in(graph, recording=str(path)):
        pass
    eyes, _ = play(graph, tmp_path, recording=str(path), **GEOMETRY)
    cameras = [camera_from_camera_info(eyes.infos[side][-1]) for side in ('left', 'right')]
    assert StereoRig.from_cameras(*cameras).baseline_m == pytest.approx(0.004)
    assert cameras[0].frame_id == 'left_lens'
    assert len(eyes.infos_of_images('left')) == len(eyes.images['left']) == 3


def test_a_truncated_recording_plays_what_it_holds_and_says_how_much(
    graph: Any,
    record_stereo: Callable[..., Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    content = record_stereo(tmp_path / 'in.mcap', count=40, size=(320, 240)).read_bytes()
    cut = tmp_path / 'cut.mcap'
    cut.write_bytes(content[: len(content) // 4])
    eyes, report = play(graph, tmp_path, recording=str(cut), speed=2.0)
    log = capfd.readouterr().err
    pairs = len(eyes.images['right'])
    assert 5 < pairs < 12
    assert report['pairs_sent'] == report['pairs_available'] == pairs
    assert report['complete'] is False
    assert 0 < report['whole_bytes'] < report['file_bytes'] == len(content) // 4
    assert f'ends early: {pairs} whole pairs' in log
    assert f'in {report["whole_bytes"]} whole bytes of {len(content) // 4}' in log


def test_a_looped_recording_starts_again_with_its_stamps(
    graph: Any, record_stereo: Callable[..., Path], tmp_path: Path
) -> None:
    path = record_stereo(tmp_path / 'in.mcap', count=3, period_ns=30_000_000)
    eyes, report = play(
        graph, tmp_path, recording=str(path), loop=True, frames=7, stamps='recorded'
    )
    expected = [START_NS + n % 3 * 30_000_000 for n in range(7)]
    assert stamps_of(eyes.images['left']) == expected
    assert report['pairs_sent'] == 7


def test_the_pictures_of_a_folder_are_sent_when_their_stamps_say(
    graph: Any, tmp_path: Path
) -> None:
    left, right = folders(tmp_path, 4)
    (tmp_path / 'l.csv').write_text('name,t\n0,100.0\n1,100.1\n2,100.12\n3,100.3\n')
    (tmp_path / 'r.csv').write_text('100.003\n100.104\n100.119\n100.301\n')
    eyes, report = play(
        graph,
        tmp_path,
        left=str(left),
        right=str(right),
        **GEOMETRY,
        stamp_file=f'{tmp_path / "l.csv"},{tmp_path / "r.csv"}',
        stamps='recorded',
    )
    assert stamps_of(eyes.images['left']) == [
        100_000_000_000 + n * 10**6 for n in (0, 100, 120, 300)
    ]
    assert [s % 10**9 // 10**6 for s in stamps_of(eyes.images['right'])] == [3, 104, 119, 301]
    assert report['pairs_sent'] == 4 and report['rate_hz'] is None


def test_faults_of_one_seed_come_again(graph: Any, tmp_path: Path) -> None:
    left, right = folders(tmp_path, 3)
    faults = {
        'drop_left': 0.2,
        'drop_right': 0.2,
        'duplicate': 0.2,
        'reorder': 0.2,
        'jitter_ms': 4.0,
        'skew_ms': 1.0,
    }
    runs = []
    for _ in range(2):
        _, report = play(
            graph,
            tmp_path,
            left=str(left),
            right=str(right),
            **GEOMETRY,
            **faults,
            seed=4,
            loop=True,
            frames=60,
            rate_hz=100.0,
        )
        runs.append(report)
    counts = runs[0]['faults']
    assert set(counts) == {
        f'{what}_{side}' for what in ('dropped', 'duplicated', 'reordered') for side in SIDES
    }
    assert runs[0]['faults'] == runs[1]['faults']
    assert runs[0]['pairs_sent'] == runs[1]['pairs_sent'] < 60
    for side in SIDES:
        sent = len(runs[0][f'sent_{side}_stamps_ns'])
        assert sent == 60 - counts[f'dropped_{side}'] + counts[f'duplicated_{side}']


def test_both_camera_infos_go_ahead_of_the_first_picture(graph: Any, tmp_path: Path) -> None:
    left, right = folders(tmp_path, 1)
    eyes = Eyes(graph)
    with player_in(graph, left=str(left), right=str(right), **GEOMETRY, autoplay=False):
        assert graph.spin_until(lambda: all(len(infos) > 1 for infos in eyes.infos.values()))
    assert not any(eyes.images.values())
    cameras = [camera_from_camera_info(eyes.infos[side][0]) for side in SIDES]
    assert StereoRig.from_cameras(*cameras, rectified=True).baseline_m == pytest.approx(0.004)


def test_play_and_stop_are_services(graph: Any, tmp_path: Path) -> None:
    left, right = folders(tmp_path, 2)
    eyes = Eyes(graph, reliable=True)
    clients = {
        name: graph.node.create_client(Trigger, f'stereo_player/{name}')
        for name in ('play', 'stop')
    }

    def call(name: str) -> str:
        future = clients[name].call_async(Trigger.Request())
        assert graph.spin_until(future.done)
        assert future.result().success
        return str(future.result().message)

    paths = {'left': str(left), 'right': str(right)}
    with player_in(graph, **paths, **GEOMETRY, autoplay=False, rate_hz=50.0) as player:
        assert graph.spin_until(lambda: all(c.service_is_ready() for c in clients.values()))
        # Ten of them take longer than the player waits for its subscribers to settle.
        assert graph.spin_until(lambda: len(eyes.infos['left']) >= 10)
        assert not eyes.images['left'], 'it waits to be asked'
        assert call('play') == 'playing'
        assert graph.spin_until(lambda: len(eyes.images['left']) >= 10)
        assert call('play') == 'it plays already'
        call('stop')
        assert graph.spin_until(lambda: eyes.hold(player.report()))
        seen = len(eyes.images['left'])
        graph.spin_for(0.3)
        assert len(eyes.images['left']) == len(eyes.images['right']) == seen
        call('play')
        assert graph.spin_until(lambda: len(eyes.images['left']) >= seen + 10)
    numbers = [bytes(message.data) for message in eyes.images['left']]
    assert all(a != b for a, b in zip(numbers, numbers[1:], strict=False)), 'none was skipped'
