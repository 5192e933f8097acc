"""`msdesis benchmark node`: its search, its figures, and one short run with a real graph."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from msdesis_ros.cli import benchmark_node
from msdesis_ros.cli.benchmark_node import NodePlan, measure_backends
from msdesis_ros.cli.benchmark_node_rates import (
    DROP_LIMIT,
    PEAK_STEP,
    NodeRun,
    Peak,
    confirm_peaks,
    find_peak,
    in_turns,
    most_searches,
)
from msdesis_ros.core.errors import MissingExtraError

NEEDS_ROS = pytest.mark.skipif(
    importlib.util.find_spec('rclpy') is None, reason='rclpy is not installed: no ROS graph'
)


def run_at(rate_hz: float, *, sent_hz: float | None = None, arrived: int = 100) -> NodeRun:
    """A run of 100 pairs; those that did not arrive were overload."""
    return NodeRun(
        rate_hz=rate_hz,
        sent_hz=rate_hz if sent_hz is None else sent_hz,
        sent=100,
        arrived=arrived,
        dropped={'overload': 100 - arrived} if arrived < 100 else {},
        single_pictures={},
        latency_ms=tuple(float(ms) for ms in range(1, arrived + 1)),
        arrival_ms=tuple(float(ms) + 10 for ms in range(1, arrived + 1)),
    )


class Machine:
    """Keeps up with as many pairs a second as it says, and sends no more than `player_hz`."""

    def __init__(self, *, keeps_hz: dict[str, float], player_hz: float = 1e9) -> None:
        self.keeps_hz, self.player_hz = keeps_hz, player_hz
        self.diary: list[tuple[str, float]] = []

    def measure(self, backend: str, rate_hz: float, **_: Any) -> NodeRun:
        self.diary.append((backend, rate_hz))
        sent_hz = min(rate_hz, self.player_hz)
        share = min(1.0, self.keeps_hz[backend] / sent_hz)
        return run_at(rate_hz, sent_hz=sent_hz, arrived=round(100 * share))

    def start(self, backend: str, sample: Path) -> None:
        self.diary.append((backend, 0.0))


@pytest.mark.parametrize('keeps_hz', [1.3, 7.0, 40.0, 105.0])
def test_the_peak_is_the_greatest_rate_at_which_fewer_than_one_in_twenty_is_dropped(keeps_hz):
    machine = Machine(keeps_hz={'a': keeps_hz})
    peak = find_peak(lambda hz: machine.measure('a', hz), lowest_hz=1, highest_hz=120)
    assert peak.limited_by == 'node'
    # Pairs are whole, so that 4.5 % count as 4 %.
    true_hz = keeps_hz / (1 - DROP_LIMIT)
    assert true_hz / PEAK_STEP / 1.01 <= peak.rate_hz <= 1.01 * true_hz
    assert len(machine.diary) <= most_searches(1, 120)


def test_a_peak_above_the_highest_rate_or_above_what_can_be_sent_is_said_to_be_so():
    fast = Machine(keeps_hz={'a': 1000.0})
    assert find_peak(lambda hz: fast.measure('a', hz), lowest_hz=1, highest_hz=120) == Peak(
        120, 'range'
    )
    assert fast.diary == [('a', 120)]
    fast.player_hz = 50.0
    held = find_peak(lambda hz: fast.measure('a', hz), lowest_hz=1, highest_hz=120)
    assert held.limited_by == 'player'
    assert 50 / PEAK_STEP <= held.rate_hz <= 50 / 0.95


def test_one_rate_is_measured_once():
    machine = Machine(keeps_hz={'a': 1.0})
    peak = find_peak(lambda hz: machine.measure('a', hz), lowest_hz=2, highest_hz=2)
    assert (peak.rate_hz, len(machine.diary), most_searches(2, 2)) == (2, 1, 1)


def test_a_peak_that_does_not_hold_over_all_runs_is_tried_lower_in_turns():
    machine = Machine(keeps_hz={'a': 30.0, 'b': 10.0, 'c': 0.5})
    found = {'a': Peak(30.0, 'range'), 'b': Peak(12.0, 'range'), 'c': Peak(1.05, 'node')}
    peaks = confirm_peaks(found, machine.measure, runs=2, lowest_hz=1.0)
    assert [name for name, _ in machine.diary[:6]] == ['a', 'b', 'c'] * 2
    assert peaks['a'] == Peak(30.0, 'range', (run_at(30.0),) * 2)
    assert peaks['b'].rate_hz == pytest.approx(12 / PEAK_STEP**2)
    assert peaks['b'].limited_by == 'node', 'it was found below the highest rate after all'
    assert len(peaks['b'].runs) == 2
    assert peaks['c'].rate_hz is None
    assert [run.rate_hz for run in peaks['c'].runs] == [1.0, 1.0]


def test_one_bad_run_among_good_ones_does_not_lower_the_peak():
    results = iter([run_at(9.0, arrived=92), run_at(9.0), run_at(9.0)])
    peaks = confirm_peaks(
        {'a': Peak(9.0, 'node')}, lambda *_: next(results), runs=3, lowest_hz=1.0
    )
    assert peaks['a'].rate_hz == 9.0


def test_backends_take_turns_at_every_rate():
    machine = Machine(keeps_hz={'a': 9.0, 'b': 9.0})
    taken = in_turns({'a': 5.0, 'b': 6.0}, machine.measure, runs=3)
    assert machine.diary == [('a', 5.0), ('b', 6.0)] * 3
    assert {name: len(runs) for name, runs in taken.items()} == {'a': 3, 'b': 3}


def test_runs_together_have_the_sums_of_their_counts_and_the_percentiles_of_all_their_pairs():
    slow = replace(run_at(10.0, arrived=90), latency_ms=(500.0,) * 90)
    whole = NodeRun.together([run_at(10.0), slow, run_at(10.0, sent_hz=9.7)])
    assert (whole.sent, whole.arrived) == (300, 290)
    assert whole.dropped == {'overload': 10}
    assert whole.sent_hz == pytest.approx(9.9)
    figures = whole.figures()
    assert figures['dropped_share'] == pytest.approx(1 / 30, abs=1e-4)
    assert figures['latency_ms']['p95'] == figures['latency_ms']['p99'] == 500
    assert figures['arrival_ms']['p99'] == pytest.approx(110, abs=2)


def test_a_rate_that_the_player_could_not_send_has_no_latencies():
    late = run_at(60.0, sent_hz=56.9)
    assert not late.sent_as_asked and not late.kept
    figures = late.figures()
    assert figures['sent_as_asked'] is False
    assert figures['latency_ms'] is None and figures['arrival_ms'] is None
    assert figures['sent'] == 100
    assert replace(late, sent_hz=57.1).kept


@pytest.fixture
def measured(monkeypatch) -> Machine:
    """The command with a fake machine in the place of the processes."""
    machine = Machine(keeps_hz={'onnxruntime': 20.0, 'openvino': 40.0}, player_hz=50.0)

    def measure(card, models_dir, backends, size, plan, title):
        return measure_backends(machine, backends, Path(), plan, title=title)

    def require(card, backend):
        if backend == 'torch':
            raise MissingExtraError('PyTorch is not installed')

    monkeypatch.setattr(benchmark_node, '_measure', measure)
    monkeypatch.setattr(benchmark_node, 'require_usable', require)
    return machine


def test_the_report_has_peak_and_rates_of_each_backend(measured, run_command, tmp_path):
    file = tmp_path / 'report.json'
    options = (
        '--size',
        '640x512',
        '--size',
        '1280x1024',
        '--rate',
        10,
        '--rate',
        30,
        '--rate',
        60,
    )
    code, told, warned = run_command('benchmark')(
        'node', *options, '--runs', 2, '--seconds', 1, '--json', file
    )
    assert code == 0, warned
    report = json.loads(file.read_text())
    assert set(report['sizes']) == {'640x512', '1280x1024'}
    assert report['model']['card'] == 'msdesis_fast' and 'processor' in report['machine']
    own, larger = report['sizes'].values()
    assert own['input']['resized'] is None and larger['input']['resized'] == 'enlarged'
    assert own['skipped'] == {'torch': 'PyTorch is not installed'}
    slow, fast = own['backends']['onnxruntime'], own['backends']['openvino']
    assert slow['peak_hz'] < 22 < fast['peak_hz'] < 43
    assert len(slow['peak_runs']) == 2
    assert list(slow['rates']) == ['10', '30', '60']
    assert slow['rates']['30']['dropped_share'] == pytest.approx(0.33, abs=0.01)
    assert len(slow['rates']['30']['runs']) == 2
    assert fast['rates']['60']['sent_as_asked'] is False

    lines = [line.split('\t') for line in told.splitlines()]
    assert lines[0][:5] == ['640x512', 'rate Hz', 'sent', 'arrived', 'dropped']
    rows = lines[1:9]
    assert [row[0] for row in rows] == ['onnxruntime'] * 4 + ['openvino'] * 4
    assert len({len(row) for row in rows}) == 1
    assert rows[0][1] == f'peak {slow["peak_hz"]:g}'
    assert rows[2][1:5] == ['30', '200', '134', '33.0%'] and rows[2][-1] == 'overload 66'
    assert fast['peak_limited_by'] == slow['peak_limited_by'] == 'node'
    assert rows[3][-1].startswith('no result: the player sent 50.0 Hz only')
    assert rows[3][5:11] == ['-'] * 6
    assert 'the pictures of 1280x1024 are enlarged from 640x512' in told
    assert 'torch was left out: PyTorch is not installed' in warned


@pytest.mark.parametrize(
    ('player_hz', 'highest_hz', 'remark'),
    [(1e9, 15, '-'), (12.0, 120, 'the player sends no more')],
)
def test_a_peak_that_is_not_the_limit_of_the_node_is_a_lower_bound(
    measured, run_command, player_hz, highest_hz, remark
):
    measured.player_hz = player_hz
    code, told, _ = run_command('benchmark')(
        'node', '--backends', 'openvino', '--rate', 5, '--runs', 1, '--peak-to', highest_hz
    )
    row = told.splitlines()[1].split('\t')
    assert code == 0 and row[1].startswith('peak >= ') and row[-1] == remark


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (('--backends', 'onnxruntime,onnxruntime'), 'names one backend twice'),
        (('--backends', 'warp'), "no backend is called 'warp'"),
        (('--backends', 'opencv'), 'cannot run msdesis_fast'),
        (('--rate', 5, '--rate', 5), 'names one rate twice'),
        (('--peak-from', 9, '--peak-to', 3), '--peak-from 9 lies above --peak-to 3'),
        (('--size', '640'), 'expected width x height'),
        (('--rate', 0), '--rate'),
    ],
)
def test_wrong_use_is_refused_before_any_process_starts(run_command, monkeypatch, options, words):
    monkeypatch.setattr(benchmark_node, '_measure', lambda *_: pytest.fail('it began'))
    code, _, told = run_command('benchmark')('node', *options)
    assert code == 2 and words in told and 'Traceback' not in told


def test_without_ros_the_extra_is_named(run_command, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    code, _, told = run_command('benchmark')('node', '--model', 'opencv_sgbm')
    assert code == 1
    assert 'msdesis benchmark node needs ROS 2' in told and 'msdesis_ros[ros]' in told


def test_a_run_has_two_pairs_at_least():
    plan = NodePlan((0.1,), runs=1, seconds=1.0, peak_from_hz=1, peak_to_hz=2)
    assert (plan.pairs(0.1), plan.pairs(30.0)) == (2, 30)


# With real processes.


def command(*options: object) -> list[str]:
    words = ('benchmark', 'node', '--model', 'opencv_sgbm', '--runs', 1, '--seconds', 2, *options)
    return [sys.executable, '-m', 'msdesis_ros.cli.app', *map(str, words)]


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]


@NEEDS_ROS
def test_every_pair_that_was_sent_to_a_real_node_arrives_or_is_counted_as_dropped(tmp_path):
    file, temporary = tmp_path / 'report.json', tmp_path / 'temporary'
    temporary.mkdir()
    done = subprocess.run(
        command('--peak-from', 2, '--peak-to', 2, '--rate', 2, '--json', file),
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
        env=os.environ | {'TMPDIR': str(temporary)},
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())['sizes']['640x512']['backends']['opencv']
    assert figures['peak_hz'] in (2.0, None), 'a machine may be too busy'
    for run in (*figures['peak_runs'], *figures['rates']['2']['runs']):
        assert run['sent'] == 4
        assert run['arrived'] + sum(run['dropped'].values()) == 4
        assert all(count > 0 for count in run['dropped'].values())
        assert run['sent_hz'] == pytest.approx(2.0, rel=0.25)
        if run['latency_ms'] is not None:
            assert 1 < run['latency_ms']['p50'] <= run['arrival_ms']['p50'] < 60_000
    assert not list(temporary.iterdir()), 'nothing stays behind'


@NEEDS_ROS
def test_a_node_that_fails_ends_the_benchmark_with_its_reason(tmp_path):
    from msdesis_ros.runtime.cards import load_card

    # It lists a file that is not there, which is known when the node loads it.
    card = load_card('msdesis_fast')
    (tmp_path / 'msdesis_fast.toml').write_bytes((card.folder / 'msdesis_fast.toml').read_bytes())
    done = subprocess.run(
        [
            *command('--models-dir', tmp_path),
            *('--model', 'msdesis_fast', '--backends', 'onnxruntime'),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
        env=os.environ | {'TMPDIR': str(tmp_path)},
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert 'stereo_endoscope in /onnxruntime does not start: configure failed' in line
    assert '.onnx is missing' in line
    log = Path(line.split('(log: ')[1].rstrip(')'))
    assert log.is_file(), 'it stays, to be read'


@NEEDS_ROS
def test_an_interrupted_benchmark_stops_its_processes(tmp_path):
    process = subprocess.Popen(
        command('--seconds', 60, '--json', tmp_path / 'report.json'),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {'TMPDIR': str(tmp_path)},
    )
    deadline = time.monotonic() + 90
    while len(children := children_of(process.pid)) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not any(Path(f'/proc/{child}').exists() for child in children)
    assert not list(tmp_path.iterdir()), 'no report, no logs'
