from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.offline.journal import Entry, Journal, file_sha256, identity_of

SETTINGS = {'model': 'one', 'scale': 128.0}


@pytest.fixture
def row(pair_rows):
    """A row whose result is there."""
    (row,) = pair_rows(1, 'disparity')
    row.outputs['disparity'].parent.mkdir(parents=True)
    row.outputs['disparity'].write_bytes(b'a result')
    return row


def entry_of(row) -> Entry:
    outputs = {kind: file_sha256(path) for kind, path in row.outputs.items()}
    return Entry(identity_of(row.inputs()), outputs, {'verdict': 'OK'})


@pytest.fixture
def path(tmp_path, row):
    """A journal that knows the row."""
    path = tmp_path / 'out' / 'list.journal.jsonl'
    with Journal(path, SETTINGS) as journal:
        assert journal.finished(row) is None
        journal.add(row, entry_of(row))
    return path


def knows(path, row, settings=SETTINGS, further=()) -> bool:
    with Journal(path, settings) as journal:
        return journal.finished(row, further) is not None


def test_a_finished_row_is_known_to_the_next_run(path, row):
    with Journal(path, dict(reversed(SETTINGS.items()))) as journal:
        assert journal.finished(row) == entry_of(row)


def test_a_result_of_other_settings_is_not_finished_until_it_is_made_with_them(path, row):
    other = {**SETTINGS, 'scale': 256.0}
    assert not knows(path, row, other)
    with Journal(path, other) as journal:
        journal.add(row, entry_of(row))
    assert knows(path, row, other) and not knows(path, row)


def test_a_result_that_is_gone_cut_or_changed_is_not_finished(path, row):
    result = row.outputs['disparity']
    for content in (b'', b'a resul', b'A result'):
        result.write_bytes(content)
        assert not knows(path, row)
    result.write_bytes(b'a result')
    assert knows(path, row)
    result.unlink()
    assert not knows(path, row)


def test_a_result_of_inputs_that_changed_is_not_finished(path, row):
    picture = row.right.read_bytes()
    os.utime(row.right, ns=(0, 0))
    assert not knows(path, row)
    with Journal(path, SETTINGS) as journal:
        journal.add(row, entry_of(row))
    assert knows(path, row)
    row.right.write_bytes(picture + b' ')
    os.utime(row.right, ns=(0, 0))
    assert not knows(path, row)
    row.right.unlink()
    assert not knows(path, row)


def test_a_calibration_of_the_whole_run_is_an_input(path, row, tmp_path):
    calibration = tmp_path / 'c.json'
    calibration.write_text('{}')
    assert not knows(path, row, further=(str(calibration),))


def test_every_end_a_killed_run_can_leave_is_read_and_written_on(path, row):
    whole = path.read_bytes()
    first = whole.index(b'\n') + 1
    for end in {0, 1, first - 1, first, first + 1, len(whole) // 2, len(whole) - 1, len(whole)}:
        path.write_bytes(whole[:end])
        assert knows(path, row) == (end == len(whole)), end
        with Journal(path, SETTINGS) as journal:
            journal.add(row, entry_of(row))
        assert knows(path, row), end
        assert path.read_bytes().startswith(whole[:first])


def test_lines_that_are_damaged_cost_themselves_alone(path, row):
    first, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b'{"row": 3}\n[]\n\xff\n' + last)
    assert knows(path, row)


def test_a_file_that_is_no_journal_is_left_alone(path, row):
    for content in (b'left,right\n', b'notes'):
        path.write_bytes(content)
        with pytest.raises(MsdesisError, match='no journal'):
            knows(path, row)
        assert path.read_bytes() == content


def test_journal_and_results_may_move_together(path, row, tmp_path):
    shutil.move(tmp_path / 'out', tmp_path / 'elsewhere')
    moved = type(row)(
        7, row.left, row.right, {'disparity': tmp_path / 'elsewhere' / 'disparity' / '000.png'}
    )
    assert knows(tmp_path / 'elsewhere' / path.name, moved)


def test_a_second_run_on_one_list_is_refused_while_the_first_lives(path, row):
    program = (
        'import pathlib, sys\n'
        'from msdesis_ros.offline.journal import Journal\n'
        'with Journal(pathlib.Path(sys.argv[1]), {}):\n'
        '    print("in", flush=True)\n'
        '    sys.stdin.read()\n'
    )
    command = [sys.executable, '-c', program, str(path)]
    pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as other:
        assert other.stdout.readline() == b'in\n'
        with pytest.raises(MsdesisError, match='in use'):
            knows(path, row)
        other.kill()
        other.wait()
    assert knows(path, row)


def test_a_journal_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(MsdesisError, match='cannot write'), Journal(tmp_path / 'file' / 'j', {}):
        pass


def test_only_results_of_its_own_are_removed(path, row):
    with Journal(path, {'model': 'another'}) as journal:
        journal.remove_outdated(row)
        assert not row.outputs['disparity'].exists()
        row.outputs['disparity'].write_bytes(b'of somebody else')
        journal.remove_outdated(row)
    assert row.outputs['disparity'].read_bytes() == b'of somebody else'


def test_a_result_is_removed_whatever_else_was_asked_for_with_it(path, row):
    more = {**row.outputs, 'depth': row.outputs['disparity'].with_name('depth.png')}
    with Journal(path, SETTINGS) as journal:
        journal.remove_outdated(replace(row, outputs=more))
    assert not row.outputs['disparity'].exists()


def test_lines_are_json_that_others_can_read(path, row):
    value = json.loads(path.read_text().splitlines()[1])
    assert value['row'] == ['disparity=disparity/000.png'] and value['about'] == {'verdict': 'OK'}
