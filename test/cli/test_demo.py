from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.data.mcap_files import read_messages
from msdesis_ros.data.ply import read_ply
from msdesis_ros.data.sample import sample_truth
from msdesis_ros.runtime.model_card import Training
from msdesis_ros.runtime.model_file import ModelFile

pytest.importorskip('rclpy', reason='rclpy is not installed: no ROS graph to test in')

RESULTS = (
    'disparity',
    'depth',
    'camera_info',
    'points',
    'instrument_mask',
    'left/image_rect',
    'status',
)


def command(*arguments: object) -> list[str]:
    return [sys.executable, '-m', 'msdesis_ros.cli.app', 'demo', *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, timeout=110
    )


# What a machine keeps up with that is several times slower than those the demo is made for; how
# many pairs a second one of those processes is measured in docs/results/performance.md.
SLOWLY = ('--rate', 2)


def lost(report: dict) -> int:
    """Pairs that were sent and of which the report says nothing."""
    # Single pictures without a partner are counted too; they are no pairs.
    causes = {k: n for k, n in report['dropped'].items() if not k.endswith(('_left', '_right'))}
    return report['pairs_sent'] - report['pairs_processed'] - sum(causes.values())


def onnx_hash(model: str) -> str:
    """Of the file for any picture size."""
    from msdesis_ros.runtime.cards import load_card

    (file,) = (f for f in load_card(model).files if f.format == 'onnx' and f.image_size is None)
    return file.sha256


def time_for(report: dict) -> float:
    """How many pairs there was time for, as long as one took on this machine.

    The model warms up meanwhile, so that the first pair may come late.
    """
    pair_s = sum(report['stages_ms'].values()) / 1000
    play_s = (report['pairs_sent'] - 1) / report['rate_sent_hz']
    late_s = report['latency_ms']['p99'] / 1000
    return min(report['pairs_sent'], (play_s - late_s) / pair_s)


@pytest.fixture(scope='module')
def demo(tmp_path_factory) -> Path:
    """The folder of one finished demo on the project's own sample."""
    out = tmp_path_factory.mktemp('demo') / 'out'
    done = run('--frames', 10, *SLOWLY, '--out', out)
    assert done.returncode == 0, done.stderr
    return out


def test_the_demo_leaves_its_four_files_and_a_report_that_adds_up(demo):
    report = json.loads((demo / 'report.json').read_text())
    assert report['pairs_sent'] == 10
    # A busy machine drops pairs and counts them; a picture that best effort loses on its way is
    # known to nobody.
    assert 0 <= lost(report) <= 2, report
    assert report['pairs_processed'] >= max(1, time_for(report) / 2), report
    assert report['stamps_not_sent'] == report['stamps_repeated'] == 0
    assert report['image_size'] == [640, 512]
    assert report['model'] == {'name': 'msdesis_fast', 'sha256': onnx_hash('msdesis_fast')}
    assert report['backend'] == 'onnxruntime'
    assert set(report['latency_ms']) == {'p50', 'p95', 'p99'}
    # A pair is as old as its way through the model took, and not much older than the play.
    assert 1 < report['stages_ms']['infer'] < 2 * report['latency_ms']['p50'] < 60_000
    assert report['rate_sent_hz'] == pytest.approx(2.0, rel=0.25)
    assert (report['fps'] > 0) == (report['pairs_processed'] > 1)
    assert report['fps'] < 1.5 * report['rate_sent_hz']
    assert set(report['published']) == set(RESULTS)
    assert set(report['published'].values()) == {report['pairs_processed']}
    assert report['verdicts'] == {'OK': report['pairs_processed']}
    assert report['dropped'].get('backend', 0) == 0


def test_every_result_carries_the_stamp_of_a_sent_left_image_once_a_topic(demo):
    sent = set(json.loads((demo / 'logs' / 'player.json').read_text())['sent_left_stamps_ns'])
    seen: Counter = Counter()
    for topic, _, message in read_messages(demo / 'demo.mcap', [f'/{t}' for t in RESULTS]):
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        assert stamp in sent, topic
        seen[topic, stamp] += 1
    assert set(seen.values()) == {1}
    assert len({topic for topic, _ in seen}) == len(RESULTS)


def test_the_disparity_under_a_stamp_is_true_of_the_pair_that_was_sent_with_it(demo):
    sent = json.loads((demo / 'logs' / 'player.json').read_text())['sent_left_stamps_ns']
    played = (0, 2, 4, 6, 8, 9, 7, 5, 3, 1)
    compared = 0
    for _, _, message in read_messages(demo / 'demo.mcap', ['/disparity']):
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        frame = played[sent.index(stamp) % len(played)]
        disparity_px = np.frombuffer(message.image.data, np.float32).reshape(512, 640)
        truth, other = sample_truth(frame), sample_truth((frame + 5) % 10)
        seen = (disparity_px > 0) & np.isfinite(truth.disparity_px) & ~truth.occluded
        assert seen.mean() > 0.75
        error_px, of_another = (
            np.abs(disparity_px - one.disparity_px)[seen] for one in (truth, other)
        )
        assert error_px.mean() < 0.7 and np.median(error_px) < 0.3
        assert np.nanmean(of_another) > 1.3 * error_px.mean(), 'five frames apart'
        compared += 1
    assert compared >= 1


def test_the_recording_opens_in_rosbags(demo):
    highlevel = pytest.importorskip('rosbags.highlevel')
    with highlevel.AnyReader([demo / 'demo.mcap']) as reader:
        depth = [c for c in reader.connections if c.topic == '/depth']
        connection, _, raw = next(reader.messages(connections=depth))
        image = reader.deserialize(raw, connection.msgtype)
    values = image.data.view(np.float32).reshape(image.height, image.width)
    assert (image.width, image.height) == (640, 512)
    assert 0.03 < np.nanmedian(values) < 0.15, 'an organ some centimetres away'


def test_the_pictures_and_points_are_of_a_surface_in_reach(demo):
    overview = cv2.imread(str(demo / 'overview.png'))
    assert overview is not None and overview.std() > 20
    points = read_ply(demo / 'points.ply').points_m
    assert len(points) > 0.5 * 640 * 512
    assert np.isfinite(points).all()
    assert 0.03 < np.median(points[:, 2]) < 0.15


def test_a_users_rectified_pair_runs_and_says_why_it_is_degraded(tmp_path, test_data):
    folder = test_data / 'scared_d1k2'
    left, right = (next((folder / side).iterdir()) for side in ('left', 'right'))
    out = tmp_path / 'out'
    geometry = ['--rectified', '--focal-px', 500, '--baseline-mm', 4]
    frames = ('--frames', 8, *SLOWLY)
    done = run('--left', left, '--right', right, *geometry, *frames, '--out', out)
    assert done.returncode == 0, done.stderr
    assert 'frozen' in done.stdout
    report = json.loads((out / 'report.json').read_text())
    assert report['image_size'] == [590, 512]
    assert report['pairs_processed'] >= 1 and 0 <= lost(report) <= 2, report
    assert 'INVALID' not in report['verdicts']
    truth = cv2.imread(str(next((folder / 'disparity').iterdir())), cv2.IMREAD_UNCHANGED)
    for _, _, message in read_messages(out / 'demo.mcap', ['/depth']):
        depth = np.frombuffer(message.data, np.float32).reshape(truth.shape)
        answered = np.isfinite(depth) & (truth > 0)
        assert answered.sum() >= 0.9 * (truth > 0).sum()
        error = np.abs(500 * 0.004 / depth - truth)[answered]
        assert error.mean() <= 0.42


@pytest.fixture(scope='module')
def recorded(tmp_path_factory, record_stereo) -> Path:
    """A recording of twelve pairs, 320x240, with 3 pairs a second."""
    path = tmp_path_factory.mktemp('recorded') / 'in.mcap'
    return record_stereo(path, count=12, size=(320, 240), period_ns=10**9 // 3)


@pytest.fixture(scope='module')
def fast(tmp_path_factory, record_stereo) -> Path:
    """A recording of twelve pairs with 20 pairs a second."""
    return record_stereo(tmp_path_factory.mktemp('fast') / 'in.mcap', count=12)


def test_a_recording_runs_through_the_real_graph_with_the_results_of_its_replay(
    recorded, tmp_path
):
    out = tmp_path / 'out'
    done = run('--input', recorded, '--with-inputs', '--out', out)
    assert done.returncode == 0, done.stderr
    report = json.loads((out / 'report.json').read_text())
    assert report['pairs_sent'] == 12
    assert report['pairs_processed'] >= max(1, time_for(report) / 2), report
    assert 0 <= lost(report) <= 2, report
    assert report['stamps_not_sent'] == report['stamps_repeated'] == 0
    assert report['input']['complete'] is True
    assert report['input']['pairs_available'] == 12
    assert report['rate_sent_hz'] == pytest.approx(3, rel=0.25)
    assert all((out / name).exists() for name in ('overview.png', 'points.ply'))

    # What went through the graph can be replayed: the same messages, but for the status.
    replayed = tmp_path / 'replayed.mcap'
    command = [sys.executable, '-m', 'msdesis_ros.cli.app', 'replay', out / 'demo.mcap']
    subprocess.run([*map(str, command), '--out', str(replayed)], check=True, timeout=100)
    compared = 0
    for topic in ('/depth', '/disparity', '/points', '/left/image_rect'):
        live, offline = (
            {str(m.header.stamp): m for _, _, m in read_messages(path, [topic])}
            for path in (out / 'demo.mcap', replayed)
        )
        assert len(offline) == 12
        for stamp, message in live.items():
            one, other = (getattr(m, 'image', m).data for m in (message, offline[stamp]))
            assert bytes(one) == bytes(other), topic
            compared += 1
    assert compared == 4 * report['pairs_processed']


def test_a_truncated_recording_is_played_as_far_as_it_is_whole(recorded, tmp_path):
    content = recorded.read_bytes()
    cut = tmp_path / 'cut.mcap'
    cut.write_bytes(content[: len(content) * 3 // 4])
    out = tmp_path / 'out'
    done = run('--input', cut, '--rate', 4, '--out', out)
    assert done.returncode == 0, done.stderr
    report = json.loads((out / 'report.json').read_text())
    pairs = report['input']['pairs_available']
    assert report['input']['complete'] is False
    assert 5 <= pairs <= 9
    assert report['pairs_sent'] == pairs
    assert f'ends early: {pairs} whole pairs' in done.stderr
    assert (
        f'{report["input"]["whole_bytes"]} whole bytes of {len(content) * 3 // 4}' in done.stderr
    )


WRONG = {
    'a recording and pictures': (['--input', 'r.mcap', '--left', '{left}'], 2, 'either --input'),
    'a missing recording': (['--input', 'none.mcap'], 1, 'none.mcap'),
    'a recording that would be overwritten': (
        ['--input', '{out}/demo.mcap'],
        2,
        'would be overwritten',
    ),
    'a folder whose recording would be overwritten': (
        ['--input', '{out}'],
        2,
        'would be overwritten',
    ),
    'one picture only': (['--left', '{left}'], 2, 'go together'),
    'a calibration without pictures': (['--calibration', 'x.json'], 2, '--left and --right'),
    'geometry left open': (['--left', '{left}', '--right', '{left}'], 2, '--calibration'),
    'no metric geometry': (
        ['--left', '{left}', '--right', '{left}', '--rectified'],
        2,
        '--focal-px',
    ),
    'a missing picture': (['--left', 'nowhere.png', '--right', '{left}'], 2, 'nowhere.png'),
    'an unknown model': (['--model', 'nothing'], 1, 'opencv_sgbm'),
}


# What makes a card one of a network in an ONNX file.
NETWORK = {
    'files': (ModelFile(path='x.onnx', format='onnx', sha256='0' * 64),),
    'training': Training(data='none'),
}


@pytest.mark.parametrize(('options', 'code', 'words'), WRONG.values(), ids=WRONG.keys())
def test_wrong_use_is_refused_before_any_process_starts(
    run_command, tmp_path, monkeypatch, options, code, words
):
    monkeypatch.chdir(tmp_path)
    left = tmp_path / 'left.png'
    cv2.imwrite(str(left), np.zeros((64, 64, 3), np.uint8))
    out = tmp_path / 'out'
    refused, _, told = run_command('demo')(
        *(o.format(left=left, out=out) for o in options), '--out', out
    )
    assert refused == code, told
    assert words in told and 'Traceback' not in told
    assert not (out / 'logs').exists()


class AskedError(Exception):
    """Holds what the demo would have sent."""


@pytest.mark.parametrize(
    ('options', 'frames', 'rate_hz', 'speed'),
    [
        ((), 60, 10, None),
        (('--model', 'opencv_sgbm'), 60, 5, None),
        (('--frames', 7, '--rate', 2), 7, 2, None),
        (('--input', '{recorded}'), 12, 3, 1),
        (('--input', '{recorded}', '--rate', 6, '--frames', 5), 5, 6, 2),
        (('--input', '{fast}'), 12, 10, 0.5),
        (('--input', '{fast}', '--model', 'opencv_sgbm'), 12, 5, 0.25),
    ],
)
def test_no_more_pairs_a_second_are_sent_than_were_recorded_or_a_machine_keeps_up_with(
    monkeypatch, tmp_path, recorded, fast, options, frames, rate_hz, speed
):
    from typer.testing import CliRunner

    from msdesis_ros.cli import demo_graph
    from msdesis_ros.cli.app import app

    class Graph:
        def __init__(self, out, player, **_):
            raise AskedError(player)

    monkeypatch.setattr(demo_graph, 'DemoGraph', Graph)
    arguments = [str(o).format(recorded=recorded, fast=fast) for o in options]
    done = CliRunner().invoke(app, ['demo', *arguments, '--out', str(tmp_path / 'out')])
    assert isinstance(done.exception, AskedError), done.output
    (player,) = done.exception.args
    assert player.frames == frames
    assert player.rate_hz == pytest.approx(rate_hz)
    if speed is not None:
        assert player.speed == pytest.approx(speed)


def test_a_missing_package_is_told_before_any_process_starts(run_command, monkeypatch, tmp_path):
    from msdesis_ros.runtime.cards import load_card

    card = replace(load_card('opencv_sgbm'), family='msdesis_fast', **NETWORK)
    monkeypatch.setattr('msdesis_ros.cli.demo.load_card', lambda name, *_: card)
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    code, _, told = run_command('demo')('--out', tmp_path / 'out')
    assert code == 1 and 'pip install' in told
    assert 'msdesis demo --model opencv_sgbm' in told
    assert not (tmp_path / 'out').exists()


def test_an_interrupted_demo_stops_its_processes_and_leaves_no_result(tmp_path):
    out = tmp_path / 'out'
    process = subprocess.Popen(
        command('--frames', 500, '--out', out), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 90
    player_log = out / 'logs' / 'player.log'
    while not (player_log.exists() and b'pair(s) at' in player_log.read_bytes()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    children = _children(process.pid)
    assert len(children) == 3
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not any(_alive(pid) for pid in children)
    assert not (out / 'report.json').exists()


def _children(pid: int) -> list[int]:
    listed = Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    return [int(child) for child in listed]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return 'Z' not in Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0]
