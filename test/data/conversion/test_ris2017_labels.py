"""What the labels of RIS 2017 mean, by value and by the name of their folder."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.conversion.ris2017_labels import (
    PUBLISHED_PARTS,
    read_part_values,
    read_truth_classes,
    type_of_label,
)


@pytest.mark.parametrize(
    ('content', 'values'),
    [
        ({'Shaft': 10, 'Wrist': 20, 'Claspers': 30, 'Other': 40}, {10: 1, 20: 2, 30: 3}),
        ({'shaft': 1, 'wrist': 2, 'jaws': 4}, {1: 1, 2: 2, 4: 3}),
        (
            {'7': 'instrument-shaft', '8': 'instrument-wrist', '9': 'instrument-clasper'},
            {7: 1, 8: 2, 9: 3},
        ),
        ({'Left': {'Shaft': 5, 'Wrist': 6}, 'Right': {'Shaft': 5}}, {5: 1, 6: 2, 30: 3}),
        ({'unrelated': True}, PUBLISHED_PARTS),
        ([], PUBLISHED_PARTS),
    ],
)
def test_a_mapping_says_which_value_is_which_part(tmp_path: Path, content, values) -> None:
    path = tmp_path / 'mappings.json'
    path.write_text(json.dumps(content))
    assert read_part_values(path) == values


def test_without_a_mapping_the_published_values_hold(tmp_path: Path) -> None:
    assert read_part_values(tmp_path / 'none.json') == {10: 1, 20: 2, 30: 3}


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('{', 'JSON'),
        ('{"left_shaft": 1, "right_shaft": 2}', 'gives shaft the values 1 and 2'),
        ('{"shaft": 20}', 'two parts one value'),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(tmp_path: Path, text, words) -> None:
    path = tmp_path / 'mappings.json'
    path.write_text(text)
    with pytest.raises(FileFormatError, match=words):
        read_part_values(path)


def test_the_name_of_a_folder_tells_the_type() -> None:
    names = {
        'Maryland_Bipolar_Forceps_labels': 1,
        'Left_Prograsp_Forceps_labels': 2,
        'Large_Needle_Driver_Right_labels': 3,
        'Vessel_Sealer_labels': 4,
        'Grasping_Retractor_labels': 5,
        'Monopolar_Curved_Scissors_labels': 6,
        'Other_labels': 7,
    }
    assert {name: type_of_label(name) for name in names} == names
    with pytest.raises(FileFormatError, match='known are bipolar_forceps, prograsp_forceps'):
        type_of_label('Left_Tweezers_labels')


def test_labels_become_one_plane_of_classes(tmp_path: Path) -> None:
    planes = {'Other_labels': [0, 40, 0, 10], 'Right_Prograsp_Forceps_labels': [10, 20, 30, 0]}
    labels = {}
    for name, values in planes.items():
        labels[name] = tmp_path / f'{name}.png'
        cv2.imwrite(str(labels[name]), np.array([values], np.uint8))
    parts = read_truth_classes(labels, what='parts', part_values=PUBLISHED_PARTS)
    assert parts.tolist() == [[1, 2, 3, 1]]
    types = read_truth_classes(labels, what='types', part_values={})
    assert types.tolist() == [[2, 2, 2, 7]]
    with pytest.raises(UsageError, match='known are parts, types'):
        read_truth_classes(labels, what='colours', part_values={})
    with pytest.raises(FileFormatError, match='no labels'):
        read_truth_classes({}, what='parts', part_values={})
    cv2.imwrite(str(labels['Other_labels']), np.zeros((2, 2), np.uint8))
    with pytest.raises(FileFormatError, match='another size'):
        read_truth_classes(labels, what='parts', part_values=PUBLISHED_PARTS)
