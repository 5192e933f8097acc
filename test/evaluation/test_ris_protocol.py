"""The protocol of RIS 2017, against fractions written by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.evaluation.ris_protocol import RisTable, class_ious, iou, write_scores


def mask(*columns: int) -> np.ndarray:
    plane = np.zeros((2, 8), bool)
    plane[:, list(columns)] = True
    return plane


def test_the_iou_of_a_frame_is_both_over_either_with_a_millionth_of_a_pixel_on_both_sides() -> (
    None
):
    assert iou(mask(0, 1, 2), mask(2, 3)) == (2 + 1e-6) / (8 + 1e-6)
    assert iou(mask(), mask(4)) == 1e-6 / (2 + 1e-6)
    assert iou(mask(5), mask(5)) == 1.0
    # Nothing found where nothing is: right.
    assert iou(mask(), mask()) == 1.0
    with pytest.raises(UsageError, match='8x2 px and the truth 4x2 px'):
        iou(mask(0), mask(0)[:, :4])


def test_classes_are_scored_one_by_one_and_one_that_is_nowhere_does_not_count() -> None:
    prediction = np.array([[0, 1, 1, 2, 0, 0]], np.uint8)
    truth = np.array([[1, 1, 0, 0, 0, 0]], np.uint8)
    found = class_ious(prediction, truth, 3)
    assert found == ((1 + 1e-6) / (3 + 1e-6), 1e-6 / (1 + 1e-6), None)


@pytest.fixture
def table() -> RisTable:
    """Three frames in set 1, one in set 10, one in set 9."""
    table = RisTable()
    for of_set, frame, score in (
        (10, 'frame000', 0.2),
        (1, 'frame225', 0.5),
        (1, 'frame226', 0.7),
        (9, 'frame000', 1.0),
        (1, 'frame227', 0.6),
    ):
        table.add(f'instrument_dataset_{of_set}', frame, score)
    return table


def test_frames_count_alike_within_a_set_and_sets_count_alike(table) -> None:
    sets = {name: pytest.approx(scores) for name, scores in table.sets.items()}
    assert sets == {
        'instrument_dataset_1': (0.6,),
        'instrument_dataset_9': (1.0,),
        'instrument_dataset_10': (0.2,),
    }
    assert table.final == pytest.approx((0.6,))  # the mean over all five frames would be 0.6, too
    table.add('instrument_dataset_9', 'frame001', 1.0)
    assert table.final == pytest.approx((0.6,))  # and here it would be 0.667


def test_the_csv_is_the_published_one(table, tmp_path) -> None:
    path = tmp_path / 'ris17_scores.csv'
    table.write_csv(path)
    lines = path.read_text().splitlines()
    assert lines[0] == ',dataset,IoU'
    rows = [line.split(',') for line in lines[1:]]
    assert [row[0] for row in rows] == ['0', '1', '2', '3']
    assert [row[1] for row in rows] == [
        'instrument_dataset_1',
        'instrument_dataset_9',
        'instrument_dataset_10',
        'final_mean',
    ]
    assert [float(row[2]) for row in rows] == pytest.approx([0.6, 1.0, 0.2, 0.6])


def test_a_class_without_a_score_is_empty_in_the_csv_and_null_in_the_json(tmp_path) -> None:
    table = RisTable(('shaft', 'wrist', 'jaws'))
    table.add('instrument_dataset_1', 'frame000', 0.5, None, None)
    table.add('instrument_dataset_1', 'frame001', 0.7, 0.2, None)
    table.add('instrument_dataset_2', 'frame000', 1.0, None, None)
    assert table.sets['instrument_dataset_1'] == (pytest.approx(0.6), 0.2, None)
    assert table.final == (pytest.approx(0.8), 0.2, None)
    table.write_csv(tmp_path / 'a.csv')
    lines = [line.split(',') for line in (tmp_path / 'a.csv').read_text().splitlines()]
    assert lines[0] == ['', 'dataset', 'shaft', 'wrist', 'jaws', 'mean']
    assert lines[3][1:2] + lines[3][3:5] == ['final_mean', '0.2', '']
    assert float(lines[3][5]) == pytest.approx((0.8 + 0.2) / 2)
    write_scores(tmp_path / 'a.json', {'parts': table}, {'data': 'x'})
    content = json.loads((tmp_path / 'a.json').read_text())
    assert content['data'] == 'x'
    assert content['parts']['final_mean']['jaws'] is None
    assert content['parts']['sets']['instrument_dataset_1']['frames'] == 2
    assert content['parts']['frames']['instrument_dataset_1']['frame001']['wrist'] == 0.2
    with pytest.raises(UsageError, match='2 scores for shaft, wrist, jaws'):
        table.add('instrument_dataset_1', 'frame002', 0.5, 0.5)


def test_no_frame_at_all_has_no_final_score(tmp_path) -> None:
    table = RisTable()
    assert table.final == (None,)
    table.write_csv(tmp_path / 'a.csv')
    assert (tmp_path / 'a.csv').read_text() == ',dataset,IoU\n0,final_mean,\n'
