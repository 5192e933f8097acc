"""metrics.csv over several runs of one training, and TensorBoard where it is installed."""

from __future__ import annotations

import csv
import math
import sys
from types import ModuleType

import pytest

pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.training.journal import METRICS_FILE, Journal


def rows(folder):
    with (folder / METRICS_FILE).open(encoding='utf-8') as file:
        return list(csv.DictReader(file))


def test_a_resumed_run_replaces_what_lies_behind_its_checkpoint(tmp_path):
    journal = Journal(tmp_path, ['full'], done=0)
    for step in (10, 20, 30):
        journal.row(step, {'loss': step / 7, 'full': 1.0})
    with (tmp_path / METRICS_FILE).open('a', encoding='utf-8') as file:
        file.write('4')  # the process ended while it wrote the row of step 40
    again = Journal(tmp_path, ['full'], done=20)
    assert [row['step'] for row in rows(tmp_path)] == ['10', '20']
    assert float(rows(tmp_path)[1]['loss']) == 20 / 7
    again.row(30, {'loss': 9.0, 'iou': math.nan})
    assert [row['step'] for row in rows(tmp_path)] == ['10', '20', '30']
    assert rows(tmp_path)[2]['iou'] == ''


def test_a_new_run_begins_an_empty_table(tmp_path):
    Journal(tmp_path, ['full'], done=0).row(1, {'loss': 1.0})
    Journal(tmp_path, ['full'], done=0)
    assert rows(tmp_path) == []


def test_a_sentence_is_said_once(tmp_path):
    said = []
    journal = Journal(tmp_path, [], done=0, say=said.append)
    journal.once(['frame 5 is damaged'])
    journal.once(['frame 5 is damaged', 'frame 6 is damaged'])
    assert said == ['frame 5 is damaged', 'frame 6 is damaged']


def test_tensorboard_gets_the_same_figures(tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder, *, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append('closed')

    module = ModuleType('torch.utils.tensorboard')
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', module)
    journal = Journal(tmp_path, ['full'], done=4)
    journal.row(6, {'full': 2.0, 'epe_px': 1.5})
    journal.close()
    assert written == [
        (str(tmp_path / 'tensorboard'), 5),
        ('training/full', 2.0, 6),
        ('validation/epe_px', 1.5, 6),
        'closed',
    ]


def test_without_tensorboard_the_table_is_enough(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)
    journal = Journal(tmp_path, ['full'], done=0)
    journal.row(1, {'full': 2.0})
    journal.close()
    assert len(rows(tmp_path)) == 1
