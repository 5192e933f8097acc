"""Colour statistics and mask coverage of converted sets, against figures counted by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.conversion.ris2017_statistics import (
    ris_statistics,
    statistics_files,
    write_statistics,
)


def put(root: Path, number: int, frame: int, rgb, mask) -> None:
    """A picture of 2 x 4 px from two colours, half and half, and a mask of so many pixels."""
    folder = root / f'instrument_dataset_{number}'
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[:, :2], picture[:, 2:] = rgb
    plane = np.zeros(8, np.uint8)
    plane[:mask] = 255
    planes = {'left_frame': picture[..., ::-1], 'ground_truth/binary': plane.reshape(2, 4)}
    for place, stored in planes.items():
        path = folder / place / f'frame{frame:03d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), stored)


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    """Set 1 in two trees with three frames, set 2 in one with one."""
    train, test = tmp_path / 'train', tmp_path / 'test'
    put(train, 1, 0, ((255, 0, 0), (0, 0, 0)), 4)
    put(train, 1, 1, ((51, 102, 0), (51, 102, 0)), 0)
    put(test, 1, 225, ((102, 102, 102), (0, 102, 204)), 2)
    put(train, 2, 0, ((255, 255, 255), (255, 255, 255)), 8)
    return [train, test]


def test_every_frame_of_a_set_and_every_set_counts_alike(roots) -> None:
    found = ris_statistics(statistics_files(roots))
    assert found.problems == []
    one, two = found.sets['instrument_dataset_1'], found.sets['instrument_dataset_2']
    # Means of the frames: R 0.5, 0.2, 0.2; G 0, 0.4, 0.4; B 0, 0, 0.6.
    assert one.mean == pytest.approx((0.3, 0.8 / 3, 0.2))
    # Half of the pixels a above and half a below the mean: the deviation is a, of each frame.
    assert one.std == pytest.approx((0.7 / 3, 0.0, 0.2 / 3))
    assert one.coverage == pytest.approx((0.5 + 0 + 0.25) / 3) and one.frames == 3
    assert (two.mean, two.std, two.coverage) == ((1, 1, 1), (0, 0, 0), 1)
    average = found.average
    assert average.mean == pytest.approx((0.65, (0.8 / 3 + 1) / 2, 0.6))
    assert average.std == pytest.approx((0.35 / 3, 0.0, 0.1 / 3))
    assert average.coverage == pytest.approx(0.625) and average.frames == 4


def test_a_broken_picture_is_named_and_not_counted(roots) -> None:
    broken = roots[0] / 'instrument_dataset_1/left_frame/frame000.png'
    broken.write_bytes(b'nothing')
    found = ris_statistics(statistics_files(roots))
    assert len(found.problems) == 1 and str(broken) in found.problems[0]
    one = found.sets['instrument_dataset_1']
    assert one.frames == 2 and one.masks == 3
    assert one.mean == pytest.approx((0.2, 0.4, 0.3))


def test_what_is_not_there_is_none_and_never_0(roots) -> None:
    for path in roots[0].glob('instrument_dataset_2/ground_truth/binary/*'):
        path.unlink()
    found = ris_statistics(statistics_files(roots))
    assert found.sets['instrument_dataset_2'].coverage is None
    assert found.average.coverage == found.sets['instrument_dataset_1'].coverage
    with pytest.raises(FileFormatError, match='instrument_dataset_1'):
        statistics_files([roots[0] / 'instrument_dataset_2'])


def test_both_files_hold_every_figure(roots, tmp_path) -> None:
    found = ris_statistics(statistics_files(roots))
    write_statistics(tmp_path / 'a.json', found)
    content = json.loads((tmp_path / 'a.json').read_text())
    assert list(content) == ['instrument_dataset_1', 'instrument_dataset_2', 'average']
    assert content['average']['coverage'] == pytest.approx(0.625)
    write_statistics(tmp_path / 'a.csv', found)
    with (tmp_path / 'a.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['dataset'] for row in rows] == list(content)
    assert float(rows[0]['mean_g']) == pytest.approx(0.8 / 3)
    assert float(rows[0]['std_b']) == pytest.approx(0.2 / 3)
