from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('mcap', reason='mcap is not installed')

from msdesis_ros.core.errors import BackendError, UsageError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.mcap_files import McapRecording, read_messages
from msdesis_ros.data.stereo_recording import StereoRecording
from msdesis_ros.ros.offline_replay import DEFAULT_TOPICS, OfflineReplay, ReplaySummary
from msdesis_ros.ros.outputs import TOPICS
from msdesis_ros.runtime.backend import RawOutput
from msdesis_ros.runtime.onnx_backend import OnnxRuntimeBackend

Record = Callable[..., Path]
MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
RESULTS = ('disparity', 'depth', 'camera_info', 'points', 'left/image_rect', 'status')


class Wall:
    """A backend that always sees a wall, at 8 px; what a test changes comes in as functions."""

    identity = ModelIdentity('wall', None, 'test')
    heads = frozenset({'disparity', 'instrument_mask'})
    min_disparity_px, max_disparity_px, disparity_step_px = 0.0, 64.0, 0.0

    def __init__(self, fail: Callable[[], bool] = lambda: False) -> None:
        self._fail = fail

    def warm_up(self, image_size: tuple[int, int]) -> None:
        pass

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        if self._fail():
            raise BackendError('out of order')
        disparity = np.full(left.shape[:2], 8.0, np.float32)
        return RawOutput(disparity, mask_logits=left[..., 0].astype(np.float32) - 128)

    def close(self) -> None:
        pass


def replay(recording: Path, out: Path, **options: Any) -> ReplaySummary:
    source = StereoRecording(recording)
    options.setdefault('make_backend', lambda *_, **__: Wall())
    with McapRecording(out, compression='zstd') as output:
        return OfflineReplay(source, output, **options).run()


def results(path: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for topic, _, message in read_messages(path):
        found.setdefault(topic.lstrip('/'), []).append(message)
    return found


def stamp_ns(message: Any) -> int:
    return int(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)


def values(status: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.status[0].values}


GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (uint8[1,H,W,3] left, uint8[1,H,W,3] right)
  => (float[1,1,H,W] disparity, float[1,1,H,W] mask_logits, float[1,1,H,W] log_scale)
{
  l = Cast<to=1>(left)
  r = Cast<to=1>(right)
  difference = Sub(l, r)
  mean = ReduceMean<axes=[3], keepdims=1>(difference)
  signed = Transpose<perm=[0,3,1,2]>(mean)
  disparity = Abs(signed)
  mask_logits = Neg(signed)
  log_scale = Tanh(signed)
}
"""


def tiny_network(*_: Any, **__: Any) -> OnnxRuntimeBackend:
    onnx = pytest.importorskip('onnx', reason='the package onnx makes the test graph')
    return OnnxRuntimeBackend(
        onnx.parser.parse_model(GRAPH).SerializeToString(),
        identity=ModelIdentity(name='tiny', sha256='0' * 64, backend='onnxruntime'),
        max_disparity_px=255.0,
    )


@pytest.mark.parametrize('backend', ['opencv_sgbm', 'onnxruntime'])
def test_the_same_recording_gives_the_same_bytes(
    backend: str, record_stereo: Record, tmp_path: Path
) -> None:
    from msdesis_ros.runtime.factory import create_backend

    make = create_backend if backend == 'opencv_sgbm' else tiny_network
    # Long enough for the vertical offset to be measured, once a second.
    path = record_stereo(tmp_path / 'in.mcap', count=12, period_ns=250 * MS)
    settings = {'alignment_period_s': 1.0}
    for number in (1, 2):
        # What a serialiser leaves in its gaps comes from memory that was used before.
        memory = [random.randbytes(5000) for _ in range(100)]
        out = tmp_path / f'{number}.mcap'
        summary = replay(path, out, make_backend=make, settings=settings)
        assert summary.pairs == 12, summary
        del memory
    assert (tmp_path / '1.mcap').read_bytes() == (tmp_path / '2.mcap').read_bytes()


def test_every_pair_leads_to_one_result_of_each_topic_under_its_left_stamp(
    record_stereo: Record, tmp_path: Path
) -> None:
    path = record_stereo(tmp_path / 'in.mcap', count=5)
    summary = replay(path, tmp_path / 'out.mcap')
    assert summary.pairs == 5 and summary.dropped == {} and summary.problems == ()
    assert summary.verdicts == {'OK': 5}
    found = results(tmp_path / 'out.mcap')
    assert set(found) == {*RESULTS, 'instrument_mask'}
    for topic, messages in found.items():
        assert [stamp_ns(m) for m in messages] == [START_NS + n * 50 * MS for n in range(5)], topic
        assert {m.header.frame_id for m in messages} == {'left_lens'}
    depth = np.frombuffer(found['depth'][3].data, np.float32)
    assert np.nanmedian(depth) == pytest.approx(100 * 0.004 / 8)
    assert summary.written == {f'/{topic}': 5 for topic in found}
    assert set(summary.written) <= {f'/{topic}' for topic in DEFAULT_TOPICS}


def test_the_log_times_are_those_of_the_message_that_completed_the_pair(
    record_stereo: Record, tmp_path: Path
) -> None:
    path = record_stereo(tmp_path / 'in.mcap', count=3, skew_ns=4 * MS)
    replay(path, tmp_path / 'out.mcap')
    times = [t for topic, t, _ in read_messages(tmp_path / 'out.mcap') if topic == '/status']
    assert times == [START_NS + n * 50 * MS + 4 * MS + 500_001 for n in range(3)]


def test_the_status_holds_what_two_runs_agree_on_and_no_invented_latency(
    record_stereo: Record, tmp_path: Path
) -> None:
    path = record_stereo(tmp_path / 'in.mcap', count=2)
    replay(path, tmp_path / 'out.mcap')
    status = values(results(tmp_path / 'out.mcap')['status'][1])
    assert status['latency_ms'] == 'nan'
    assert status['skew_ms'] == '2.000'
    assert status['verdict'] == 'OK' and status['model'] == 'wall'
    assert not any(key.startswith('stage_ms') for key in status)


def copy_without(source: Path, out: Path, is_lost: Callable[[int, str], bool]) -> Path:
    """Copy a recording but for the messages that `is_lost(number, topic)` names."""
    reader = StereoRecording(source).reader
    with McapRecording(out) as recording:
        for number, message in enumerate(reader.messages()):
            kind = reader.topics()[message.topic].type_name
            recording.add_topic(message.topic, type_name=kind, definition='')
            if not is_lost(number, message.topic):
                recording.write(
                    message.topic,
                    message.cdr,
                    log_time_ns=message.log_time_ns,
                    publish_time_ns=message.log_time_ns,
                )
    return out


def test_pictures_without_a_partner_are_counted_as_the_node_does(
    record_stereo: Record, tmp_path: Path
) -> None:
    whole = record_stereo(tmp_path / 'in.mcap', count=12)
    # Pictures of the left and of the right side.
    lost = copy_without(whole, tmp_path / 'lost.mcap', lambda number, _: number in (5, 39))
    summary = replay(lost, tmp_path / 'out.mcap')
    assert summary.pairs == 10
    assert summary.dropped == {'unpaired_left': 1, 'unpaired_right': 1}


def frames(messages: list[Any]) -> list[int]:
    """The numbers of the pictures, as `record_stereo` stamps them, that these results are of."""
    return [(stamp_ns(message) - START_NS) // (50 * MS) for message in messages]


def test_while_the_right_eye_is_lost_each_left_picture_gives_a_mask_once_and_in_order(
    record_stereo: Record, tmp_path: Path
) -> None:
    whole = record_stereo(tmp_path / 'in.mcap', count=60)
    # Four messages a frame; the right eye is silent in the frames 10 to 49, for two seconds.
    path = copy_without(
        whole, tmp_path / 'lost.mcap', lambda n, topic: 'right' in topic and 40 <= n < 200
    )
    summaries = [replay(path, tmp_path / f'{number}.mcap') for number in (1, 2)]
    assert (tmp_path / '1.mcap').read_bytes() == (tmp_path / '2.mcap').read_bytes()
    found = results(tmp_path / '1.mcap')
    whole_frames = [*range(10), *range(51, 60)]
    # After a second; the picture 50 had gone out when its right one came.
    alone_frames = [*range(31, 51)]
    for topic in ('depth', 'disparity', 'points'):
        assert frames(found[topic]) == whole_frames, topic
    for topic in ('instrument_mask', 'left/image_rect', 'camera_info', 'status'):
        assert frames(found[topic]) == sorted(whole_frames + alone_frames), topic
    verdicts = dict(zip(frames(found['status']), map(values, found['status']), strict=True))
    for frame in alone_frames:
        status = verdicts[frame]
        assert (status['verdict'], status['reasons']) == ('DEGRADED', 'one_eye')
        assert (status['skew_ms'], 'coverage' in status) == ('nan', False)
    assert verdicts[51]['verdict'] == 'OK' and verdicts[51]['skew_ms'] == '2.000'
    assert summaries[0].verdicts == {'DEGRADED': 20, 'OK': 19}
    assert summaries[0].dropped == {'unpaired_left': 21, 'unpaired_right': 1}


def test_a_pause_of_both_eyes_costs_no_pair(record_stereo: Record, tmp_path: Path) -> None:
    whole = record_stereo(tmp_path / 'in.mcap', count=60)
    path = copy_without(whole, tmp_path / 'paused.mcap', lambda n, _: 40 <= n < 200)
    summary = replay(path, tmp_path / 'out.mcap')
    assert summary.pairs == 20 and summary.verdicts == {'OK': 20} and summary.dropped == {}


class Finder(Wall):
    """A backend that finds instruments and nothing else."""

    heads = frozenset({'instrument_mask'})

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        return RawOutput(None, mask_logits=super().run(left, right).mask_logits)


def test_a_model_of_one_eye_answers_every_left_picture_and_ignores_the_right_ones(
    record_stereo: Record, tmp_path: Path
) -> None:
    path = record_stereo(tmp_path / 'in.mcap', count=5)
    path = copy_without(path, tmp_path / 'lost.mcap', lambda n, topic: 'right' in topic and n > 3)
    summary = replay(path, tmp_path / 'out.mcap', make_backend=lambda *_, **__: Finder())
    assert summary.verdicts == {'OK': 5} and summary.dropped == {} and summary.problems == ()
    found = results(tmp_path / 'out.mcap')
    assert set(found) == {'instrument_mask', 'left/image_rect', 'camera_info', 'status'}
    for topic, messages in found.items():
        assert frames(messages) == [*range(5)], topic
    picture = np.frombuffer(found['left/image_rect'][2].data, np.uint8).reshape(-1, 3)
    mask = np.frombuffer(found['instrument_mask'][2].data, np.uint8)
    np.testing.assert_array_equal(mask, np.where(picture[:, 0] > 128, 255, 0))


def test_compressed_pictures_are_replayed_like_raw_ones(
    record_stereo: Record, tmp_path: Path
) -> None:
    for name, compressed in (('raw', False), ('png', True)):
        path = record_stereo(tmp_path / f'{name}.mcap', count=3, compressed=compressed)
        replay(path, tmp_path / f'{name}_out.mcap')
    assert (tmp_path / 'raw_out.mcap').read_bytes() == (tmp_path / 'png_out.mcap').read_bytes()


def test_a_recording_without_camera_info_needs_cameras(
    record_stereo: Record, tmp_path: Path
) -> None:
    path = record_stereo(tmp_path / 'in.mcap', count=3, infos=False)
    with pytest.raises(UsageError, match='give a calibration'):
        replay(path, tmp_path / 'out.mcap')
    rig = StereoRig.from_focal_and_baseline(image_size=(128, 96), focal_px=200.0, baseline_m=0.004)
    summary = replay(path, tmp_path / 'out.mcap', cameras=(rig.left, rig.right))
    assert summary.pairs == 3
    depth = np.frombuffer(results(tmp_path / 'out.mcap')['depth'][0].data, np.float32)
    assert np.nanmedian(depth) == pytest.approx(200 * 0.004 / 8)


def test_given_cameras_replace_the_recorded_ones(record_stereo: Record, tmp_path: Path) -> None:
    path = record_stereo(tmp_path / 'in.mcap', count=2)
    rig = StereoRig.from_focal_and_baseline(image_size=(128, 96), focal_px=300.0, baseline_m=0.004)
    replay(path, tmp_path / 'out.mcap', cameras=(rig.left, rig.right))
    info = results(tmp_path / 'out.mcap')['camera_info'][0]
    assert info.k[0] == 300.0


def test_a_failing_backend_gives_an_invalid_status_and_the_reason(
    record_stereo: Record, tmp_path: Path
) -> None:
    path = record_stereo(tmp_path / 'in.mcap', count=4)
    calls = iter([False, True, False, False])
    summary = replay(
        path, tmp_path / 'out.mcap', make_backend=lambda *_, **__: Wall(lambda: next(calls))
    )
    assert summary.verdicts == {'INVALID': 1, 'OK': 3}
    assert summary.dropped == {'backend': 1}
    assert 'out of order' in summary.problems[0]
    found = results(tmp_path / 'out.mcap')
    assert len(found['depth']) == 3 and len(found['status']) == 4


def test_a_calibration_that_is_refused_is_a_problem_and_no_result(
    record_stereo: Record, tmp_path: Path
) -> None:
    path = record_stereo(tmp_path / 'in.mcap', count=3)
    rig = StereoRig.from_focal_and_baseline(image_size=(128, 96), focal_px=100.0, baseline_m=0.004)
    summary = replay(path, tmp_path / 'out.mcap', cameras=(rig.right, rig.left))
    assert summary.pairs == 0
    assert 'calibration refused' in ' '.join(summary.problems)
    assert sum(summary.dropped.values()) > 0


def test_only_the_topics_asked_for_are_written(record_stereo: Record, tmp_path: Path) -> None:
    path = record_stereo(tmp_path / 'in.mcap', count=2)
    summary = replay(path, tmp_path / 'out.mcap', topics=('depth', 'overlay'))
    assert summary.written == {'/depth': 2, '/overlay': 2}
    with pytest.raises(
        UsageError, match=f'no result is called cloud; choose of {list(TOPICS)[0]}'
    ):
        replay(path, tmp_path / 'out.mcap', topics=('cloud',))


def test_parameters_of_the_node_are_taken_within_their_ranges(
    record_stereo: Record, tmp_path: Path
) -> None:
    path = record_stereo(tmp_path / 'in.mcap', count=3, skew_ns=8 * MS)
    summary = replay(path, tmp_path / 'out.mcap', settings={'max_skew_ms': 5.0})
    assert summary.pairs == 0
    summary = replay(path, tmp_path / 'out.mcap', settings={'point_stride': 2})
    assert results(tmp_path / 'out.mcap')['points'][0].width == 64
    with pytest.raises(UsageError, match='0 .. 1000'):
        replay(path, tmp_path / 'out.mcap', settings={'max_skew_ms': -1.0})
    with pytest.raises(UsageError, match='no parameter speed'):
        replay(path, tmp_path / 'out.mcap', settings={'speed': 1.0})
