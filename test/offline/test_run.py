"""A list is done whole: errors are named, finished rows are left, what cannot be written stops."""

from __future__ import annotations

import errno
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError, ModelError, MsdesisError
from msdesis_ros.data import images
from msdesis_ros.data.images import read_plane, write_image
from msdesis_ros.offline.journal import Journal
from msdesis_ros.offline.queues import JOBS_A_THREAD
from msdesis_ros.offline.report import write_report
from msdesis_ros.offline.rigs import RigRule
from msdesis_ros.offline.row_outputs import OutputSettings
from msdesis_ros.offline.row_work import MOST_FAILURES, Recipe, RowWork, first_pair
from msdesis_ros.offline.run import LocalRunner, Summary, process_rows

JOBS = 2


@pytest.fixture
def run(tmp_path, fake_backend):
    """Run rows with the fake model; further arguments are those of the recipe."""

    def run_rows(rows, *, again=False, told=None, settings=None, **recipe) -> Summary:
        recipe = Recipe(open_backend=recipe.pop('open_backend', lambda _: fake_backend), **recipe)
        journal = Journal(tmp_path / 'out' / 'list.journal.jsonl', settings or {})
        with LocalRunner(recipe, JOBS) as runner, journal:
            on_outcome = (told if told is not None else []).append
            return process_rows(rows, runner, journal, again=again, on_outcome=on_outcome)

    return run_rows


def test_every_row_has_its_results(run, pair_rows, tmp_path):
    rows = pair_rows(5, 'disparity', 'segmentation')
    summary = run(rows)
    assert (summary.done, summary.finished_before, summary.failed) == (5, 0, [])
    for row in rows:
        red = images.read_rgb(row.left)[..., 0]
        np.testing.assert_array_equal(read_plane(row.outputs['disparity']), red * np.uint16(8))
        mask = np.where(red % 2 == 1, 255, 0)
        np.testing.assert_array_equal(read_plane(row.outputs['segmentation']), mask)
    assert not [p for p in (tmp_path / 'out').rglob('.*') if p.is_file()]


def test_pictures_of_any_size_follow_each_other(run, pair_rows, fake_backend):
    rows = pair_rows(3)
    for row, size in zip(rows, [(33, 17), (64, 48), (7, 5)], strict=True):
        for path in (row.left, row.right):
            picture = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), np.uint8)
            write_image(path, picture)
    assert run(rows).done == 3
    assert fake_backend.sizes == [(33, 17), (64, 48), (7, 5)]
    assert read_plane(rows[0].outputs['disparity']).shape == (17, 33)


def test_a_row_that_cannot_be_read_is_named_and_the_others_are_done(run, pair_rows):
    rows = pair_rows(6)
    rows[0].left.unlink()
    rows[1].right.write_bytes(b'no picture')
    rows[2].left.write_bytes(rows[2].left.read_bytes()[:-40])
    write_image(rows[3].right, np.zeros((9, 9, 3), np.uint8))
    told = []
    summary = run(rows, told=told)
    assert summary.done == 2 and len(told) == 6
    reasons = {failure.row.line: failure.reason for failure in summary.failed}
    assert sorted(reasons) == [1, 2, 3, 4]
    for line, name in ((1, '000.png'), (2, '001.png'), (3, '002.png')):
        assert name in reasons[line]
    assert 'one size' in reasons[4]


def test_a_second_run_does_only_what_is_missing(run, pair_rows, fake_backend):
    rows = pair_rows(6, 'disparity', 'segmentation')
    broken = rows[5].left.read_bytes()
    rows[5].left.unlink()
    assert len(run(rows).failed) == 1
    rows[5].left.write_bytes(broken)
    rows[0].outputs['disparity'].unlink()
    rows[1].outputs['segmentation'].write_bytes(b'')
    kept = rows[2].outputs['disparity'].stat().st_mtime_ns
    fake_backend.sizes.clear()
    summary = run(rows)
    assert (summary.done, summary.finished_before) == (3, 3) and len(fake_backend.sizes) == 3
    assert rows[2].outputs['disparity'].stat().st_mtime_ns == kept
    assert summary.verdicts == {'OK': 6}, 'those of before are told again'


def test_other_settings_a_new_result_and_a_wish_make_rows_again(run, pair_rows):
    rows = pair_rows(2)
    assert run(rows).done == 2
    assert run(rows, settings={'scale': 1}).done == 2
    assert run(rows, settings={'scale': 1}).done == 0
    assert run(rows, settings={'scale': 1}, again=True).done == 2
    more = [
        replace(
            row, outputs={**row.outputs, 'segmentation': row.left.parents[1] / 'm' / f'{n}.png'}
        )
        for n, row in enumerate(rows)
    ]
    assert run(more, settings={'scale': 1}).done == 2


def test_a_row_that_cannot_be_read_any_more_keeps_no_result_of_before(run, pair_rows):
    rows = pair_rows(2)
    run(rows)
    rows[0].left.write_bytes(b'no picture')
    assert len(run(rows).failed) == 1
    assert not rows[0].outputs['disparity'].exists() and rows[1].outputs['disparity'].exists()


def test_where_no_row_can_be_read_what_was_made_before_stays(run, pair_rows):
    # A disk that is not there would cost the results of days.
    rows = pair_rows(3)
    run(rows)
    rows[0].left.parent.rename(rows[0].left.parents[1] / 'away')
    assert len(run(rows).failed) == 3
    assert all(row.outputs['disparity'].exists() for row in rows)


def test_half_files_of_a_killed_run_are_removed_and_nothing_else(run, pair_rows):
    rows = pair_rows(2)
    folder = rows[0].outputs['disparity'].parent
    folder.mkdir(parents=True)
    names = ('.000.4711-0123abcd.png', '.notes.4711-0123abcd.png', '.000.png', '000.bak')
    for name in names:
        (folder / name).touch()
    run(rows)
    assert {path.name for path in folder.iterdir()} == {*names[1:], '000.png', '001.png'}


def full_disk(monkeypatch, last: int) -> None:
    """The disk has room for `last` more pictures."""
    lock, left, replace_file = threading.Lock(), [last], os.replace

    def full(source, target):
        with lock:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, 'No space left on device')
        replace_file(source, target)

    monkeypatch.setattr(images.os, 'replace', full)


def test_a_result_that_cannot_be_written_stops_the_run_at_once(
    run, pair_rows, fake_backend, monkeypatch
):
    # The release lost the error in a thread, and went on to the end.
    rows = pair_rows(40)
    told = []
    with monkeypatch.context() as patch:
        full_disk(patch, 3)
        with pytest.raises(MsdesisError, match='cannot write.*No space left'):
            run(rows, told=told)
    assert len(fake_backend.sizes) <= 3 + JOBS * JOBS_A_THREAD + 2
    assert len(told) == 3, 'what was written counts'
    assert run(rows).finished_before == 3


def test_what_others_wrote_when_a_result_cannot_be_written_counts(run, pair_rows, monkeypatch):
    rows = pair_rows(2)
    failed = threading.Event()
    write = OutputSettings.write

    def write_one(self, path, kind, plane):
        if path == rows[1].outputs['disparity']:
            failed.set()
            raise MsdesisError('cannot write')
        assert failed.wait(10)
        return write(self, path, kind, plane)

    with monkeypatch.context() as patch:
        patch.setattr(OutputSettings, 'write', write_one)
        with pytest.raises(MsdesisError, match='cannot write'):
            run(rows)
    assert run(rows).finished_before == 1


def test_results_do_not_pile_up_in_front_of_a_slow_disk(run, pair_rows, fake_backend, monkeypatch):
    rows = pair_rows(30)
    gate, saved, most = threading.Event(), [], []
    write = OutputSettings.write

    def slow(*arguments):
        gate.wait(0.01)
        most.append(len(fake_backend.sizes) - len(saved))
        result = write(*arguments)
        saved.append(None)
        return result

    monkeypatch.setattr(OutputSettings, 'write', slow)
    assert run(rows).done == 30
    assert max(most) <= JOBS * JOBS_A_THREAD + 1


def test_a_run_that_is_interrupted_keeps_what_it_did(run, pair_rows):
    rows = pair_rows(12)
    told = []

    class Told(list):
        def append(self, outcome):
            told.append(outcome)
            if len(told) == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(rows, told=Told())
    assert run(rows).finished_before == 3


def test_a_pair_the_model_cannot_take_is_named(run, pair_rows, fake_backend):
    rows = pair_rows(3)
    answer = fake_backend.run

    def odd(left, right):
        if left.shape[1] == 20:
            raise BackendError('20x10 pictures are not taken')
        return answer(left, right)

    fake_backend.run = odd
    for path in (rows[1].left, rows[1].right):
        write_image(path, np.full((10, 20, 3), 99, np.uint8))
    summary = run(rows)
    assert summary.done == 2
    (failure,) = summary.failed
    assert failure.row.line == 2 and '20x10' in failure.reason


def test_a_model_that_stops_running_stops_the_run(run, pair_rows, fake_backend):
    rows = pair_rows(30)
    answer = fake_backend.run

    def dies(left, right):
        fake_backend.broken = len(fake_backend.sizes) >= 2
        return answer(left, right)

    fake_backend.run = dies
    with pytest.raises(MsdesisError, match=f'failed on {MOST_FAILURES} pairs'):
        run(rows)
    assert len(fake_backend.sizes) == 2 + MOST_FAILURES


def test_a_model_that_fails_now_and_then_goes_on(run, pair_rows, fake_backend):
    answer = fake_backend.run

    def stumbles(left, right):
        fake_backend.broken = len(fake_backend.sizes) % 2 == 1
        return answer(left, right)

    fake_backend.run = stumbles
    summary = run(pair_rows(2 * MOST_FAILURES + 2))
    assert summary.done == len(summary.failed) == MOST_FAILURES + 1


def test_a_model_that_cannot_be_opened_stops_the_run(run, pair_rows):
    def refuses(size):
        raise ModelError('the weights are damaged')

    with pytest.raises(MsdesisError, match='the weights are damaged'):
        run(pair_rows(3), open_backend=refuses)


def test_a_model_for_one_size_is_opened_for_each_and_closed(run, pair_rows, fake_backend_with):
    opened = []

    def open_backend(size):
        opened.append((size, fake_backend_with()))
        return opened[-1][1]

    rows = pair_rows(12)
    for number, row in enumerate(rows):
        for path in (row.left, row.right):
            write_image(path, np.full((20, 20 + number % 6, 3), 99, np.uint8))
    assert (
        run(rows[:6] + rows[3:4], again=True, open_backend=open_backend, one_size=True).done == 7
    )
    assert [size for size, _ in opened] == [(20 + n, 20) for n in range(6)]
    assert all(backend.closed for _, backend in opened)


def camera_file(path: Path, size, baseline_mm: float) -> str:
    import cv2

    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    k = np.array([[100, 0, size[0] / 2], [0, 100, size[1] / 2], [0, 0, 1.0]])
    for name, value in {
        'K1': k,
        'D1': np.zeros((5, 1)),
        'K2': k,
        'D2': np.zeros((5, 1)),
        'R': np.eye(3),
        'T': np.array([[-baseline_mm], [0], [0.0]]),
    }.items():
        file.write(name, value)
    file.release()
    return str(path)


def test_each_row_has_the_depth_of_its_own_calibration(run, pair_rows, tmp_path):
    common = camera_file(tmp_path / 'four.json', (64, 48), 4.0)
    rows = pair_rows(4, 'depth')
    rows[1] = replace(rows[1], calibration=camera_file(tmp_path / 'eight.json', (64, 48), 8.0))
    rows[2] = replace(rows[2], calibration=str(tmp_path / 'missing.json'))
    (tmp_path / 'broken.yaml').write_text('%YAML:1.0\n---\nK1: 3\n')
    rows[3] = replace(rows[3], calibration=str(tmp_path / 'broken.yaml'))
    rules = RigRule(calibration=common, rectified=True)
    outputs = OutputSettings(depth_scale_factor=1.0)
    summary = run(rows, rigs=rules, outputs=outputs)
    assert summary.done == 2
    assert {f.row.line: f.reason.split(':')[0] for f in summary.failed}.keys() == {3, 4}
    for row, baseline_mm in zip(rows[:2], (4, 8), strict=True):
        disparity = images.read_rgb(row.left)[..., 0] / 16
        disparity[disparity > np.arange(64)[None, :]] = np.nan
        expected = np.nan_to_num(np.rint(100 * baseline_mm / disparity))
        np.testing.assert_allclose(read_plane(row.outputs['depth']), expected, atol=1)
        assert read_plane(row.outputs['depth']).any()
    # Another calibration of the run concerns the rows without one of their own.
    camera_file(tmp_path / 'four.json', (64, 48), 5.0)
    summary = run(rows[:2], rigs=rules, outputs=outputs)
    assert (summary.done, summary.finished_before) == (1, 1)


def test_pictures_are_rectified_with_a_calibration_unless_they_are_already(
    run, pair_rows, tmp_path, fake_backend
):
    rows = pair_rows(1)
    source = camera_file(tmp_path / 'c.json', (64, 48), 4.0)
    seen = []
    answer = fake_backend.run
    fake_backend.run = lambda left, right: seen.append(left.copy()) or answer(left, right)
    run(rows, rigs=RigRule(calibration=source, rectified=True), settings={'a': 1})
    run(rows, rigs=RigRule(calibration=source), settings={'a': 2}, alpha=1.0)
    np.testing.assert_array_equal(seen[0], images.read_rgb(rows[0].left))
    assert len(seen) == 2


def test_verdicts_and_values_that_are_too_large_are_counted(run, pair_rows, tmp_path):
    rows = pair_rows(3)
    for path in (rows[0].left, rows[0].right):
        write_image(path, np.zeros((48, 64, 3), np.uint8))
    summary = run(rows, outputs=OutputSettings(disparity_scale_factor=10000.0))
    assert summary.verdicts == {'OK': 2, 'INVALID': 1}
    assert summary.reasons['black_left'] == 1 and summary.too_large == 2
    rows[2].left.unlink()
    summary = run(rows, again=True)
    write_report(tmp_path / 'r.json', summary, (), {'scale': 128.0})
    report = json.loads((tmp_path / 'r.json').read_text())
    assert (report['rows'], report['done'], report['settings']) == (3, 2, {'scale': 128.0})
    assert [failure['line'] for failure in report['failed']] == [3]
    assert '002.png' in report['failed'][0]['reason']


def test_inputs_are_known_as_they_were_before_they_were_read(pair_rows, fake_backend, monkeypatch):
    # A picture that is replaced while it is worked on must be worked on again.
    (row,) = pair_rows(1)
    read = images.read_rgb
    size_before = row.left.stat().st_size

    def read_and_replace(path):
        picture = read(path)
        Path(path).write_bytes(Path(path).read_bytes() + b'later')
        return picture

    monkeypatch.setattr('msdesis_ros.offline.row_work.read_rgb', read_and_replace)
    work = RowWork(Recipe(open_backend=lambda _: fake_backend))
    assert work.read(row).inputs[str(row.left)][0] == size_before


def test_the_first_pair_is_the_first_that_can_be_read(pair_rows):
    rows = pair_rows(3)
    rows[0].right.unlink()
    write_image(rows[1].right, np.zeros((5, 5, 3), np.uint8))
    row, pair = first_pair(rows)
    assert row is rows[2] and pair.image_size == (64, 48)
    assert first_pair(rows[:2]) is None


def test_equal_pictures_are_no_frozen_camera(run, pair_rows):
    rows = pair_rows(2)
    for side in ('left', 'right'):
        getattr(rows[1], side).write_bytes(getattr(rows[0], side).read_bytes())
    assert run(rows).verdicts == {'OK': 2}
