from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed: no ROS messages')
pytest.importorskip('mcap', reason='mcap is not installed')

from msdesis_ros.data.mcap_files import read_messages

CALIBRATION = """%YAML:1.0
K1: !!opencv-matrix {rows: 3, cols: 3, dt: d, data: [200, 0, 63.5, 0, 200, 47.5, 0, 0, 1]}
K2: !!opencv-matrix {rows: 3, cols: 3, dt: d, data: [200, 0, 63.5, 0, 200, 47.5, 0, 0, 1]}
D1: !!opencv-matrix {rows: 1, cols: 5, dt: d, data: [0, 0, 0, 0, 0]}
D2: !!opencv-matrix {rows: 1, cols: 5, dt: d, data: [0, 0, 0, 0, 0]}
R: !!opencv-matrix {rows: 3, cols: 3, dt: d, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
T: !!opencv-matrix {rows: 3, cols: 1, dt: d, data: [-4, 0, 0]}
image_size: [128, 96]
"""


def in_a_shell(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`msdesis replay ...` as a user runs it."""
    return subprocess.run(
        [sys.executable, '-m', 'msdesis_ros.cli.app', 'replay', *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.fixture
def run(msdesis) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same in this process."""
    return partial(msdesis, 'replay')


def test_two_processes_write_the_same_bytes_and_say_their_hash(record_stereo, tmp_path):
    path = record_stereo(tmp_path / 'in.mcap', count=6)
    said = []
    for seed in '12':
        done = in_a_shell(path, '--out', tmp_path / f'{seed}.mcap', PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ''
        assert done.stdout.startswith('6 pairs through msdesis_fast (onnxruntime)')
        said.append(done.stdout.split('SHA-256 ')[1])
    assert (tmp_path / '1.mcap').read_bytes() == (tmp_path / '2.mcap').read_bytes()
    assert said[0] == said[1] and len(said[0].strip()) == 64
    assert sorted(p.name for p in tmp_path.iterdir()) == ['1.mcap', '2.mcap', 'in.mcap']


def test_a_truncated_recording_is_replayed_as_far_as_it_is_whole(run, record_stereo, tmp_path):
    content = record_stereo(tmp_path / 'in.mcap', count=40).read_bytes()
    cut = tmp_path / 'cut.mcap'
    cut.write_bytes(content[: len(content) // 2])
    done = run(cut, '--out', tmp_path / 'out.mcap', '--topics', 'depth')
    assert done.returncode == 0, done.stderr
    pairs = int(done.stdout.split()[0])
    assert 10 < pairs < 30
    assert f'ends early: {pairs} whole pairs' in done.stderr
    assert len(list(read_messages(tmp_path / 'out.mcap'))) == pairs


def test_options_reach_the_node_and_a_calibration_replaces_the_recorded_one(
    run, record_stereo, tmp_path
):
    path = record_stereo(tmp_path / 'in.mcap', count=2)
    calibration = tmp_path / 'stereo.yaml'
    calibration.write_text(CALIBRATION)
    out = tmp_path / 'out.mcap'
    given = ('--calibration', calibration, '--set', 'frame_id=tip', '--set', 'point_stride=2')
    done = run(path, '--out', out, *given)
    assert done.returncode == 0, done.stderr
    found = {topic: message for topic, _, message in read_messages(out)}
    assert found['/camera_info'].p[0] == pytest.approx(200)
    assert found['/points'].width == 64
    assert found['/depth'].header.frame_id == 'tip'


WRONG = {
    'no recording': (['none.mcap'], 1, 'none.mcap'),
    'an unknown model': (['{recording}', '--model', 'nothing'], 1, 'opencv_sgbm'),
    'an unknown result': (['{recording}', '--topics', 'cloud'], 2, 'no result is called cloud'),
    'an unknown parameter': (['{recording}', '--set', 'speed=1'], 2, 'no such parameter'),
    'no value': (['{recording}', '--set', 'alpha'], 2, 'expected name=value'),
    'a value of another type': (['{recording}', '--set', 'queue_size=x'], 2, 'of type int'),
    'a value out of range': (['{recording}', '--set', 'queue_size=1'], 2, '2 .. 100'),
    'the topic of no picture': (['{recording}', '--left-topic', '/x'], 2, '/rig/left/image_raw'),
    'an unknown compression': (['{recording}', '--compression', 'gzip'], 2, 'none, lz4, zstd'),
}


@pytest.mark.parametrize(('options', 'code', 'words'), WRONG.values(), ids=WRONG.keys())
def test_wrong_use_is_one_sentence_and_leaves_no_file(
    run, record_stereo, tmp_path, options, code, words
):
    recording = record_stereo(tmp_path / 'in.mcap', count=1)
    out = tmp_path / 'out.mcap'
    done = run(*(o.format(recording=recording) for o in options), '--out', out)
    assert done.returncode == code, done.stderr
    assert words in done.stderr and 'Traceback' not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ['in.mcap']


def test_the_recording_itself_is_never_overwritten(run, record_stereo, tmp_path):
    recording = record_stereo(tmp_path / 'in.mcap', count=1)
    before = recording.read_bytes()
    done = run(recording, '--out', recording)
    assert done.returncode == 2 and 'is the recording itself' in done.stderr
    assert recording.read_bytes() == before
