"""Frames and predictions of RIS 2017 are paired by set and name, and what is missing is named."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.layouts.samples import read_mask
from msdesis_ros.evaluation.ris_set import (
    RisScores,
    existing,
    list_ris,
    saved_file,
    score_classes,
    score_masks,
)

SET = 'instrument_dataset_{}'
LABEL = 'Left_Prograsp_Forceps_labels'


def put(path: Path, plane: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), plane)


def stripe(begin: int, end: int, value: int = 255) -> np.ndarray:
    plane = np.zeros((4, 16), np.uint8)
    plane[:, begin:end] = value
    return plane


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Set 1 with the frames 225 and 226, set 10 with frame 0: stripes from 0 to 8."""
    root = tmp_path / 'tree'
    for number, frame in ((1, 225), (1, 226), (10, 0)):
        name = f'frame{frame:03d}.png'
        put(root / SET.format(number) / 'left_frame' / name, np.zeros((4, 16, 3), np.uint8))
        put(root / SET.format(number) / 'ground_truth/binary' / name, stripe(0, 8))
        put(root / SET.format(number) / 'ground_truth' / LABEL / name, stripe(0, 8, 10))
    return root


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Predictions from 4 to 8, 0 to 8 and 0 to 16 columns: IoU 0.5, 1 and 0.5."""
    folder = tmp_path / 'saved'
    put(folder / SET.format(1) / 'binary/frame225.png', stripe(4, 8))
    put(folder / SET.format(1) / 'binary/frame226.png', stripe(0, 8))
    put(folder / SET.format(10) / 'binary/frame000.png', stripe(0, 16))
    return folder


def scored(tree: Path, saved: Path) -> RisScores:
    frames, problems = list_ris(tree)
    scores = RisScores(problems=problems)
    score_masks(frames, lambda frame: read_mask(existing(saved_file(saved, frame))), scores)
    return scores


def test_saved_masks_are_scored_by_their_names(tree, saved) -> None:
    scores = scored(tree, saved)
    assert scores.problems == [] and scores.counted_empty == 0
    table = scores.tables['binary']
    assert table.frames[SET.format(1)] == [
        ('frame225', (pytest.approx(0.5, abs=1e-6),)),
        ('frame226', (1.0,)),
    ]
    assert table.final == pytest.approx(((0.75 + 0.5) / 2,), abs=1e-6)


def test_a_running_index_instead_of_the_source_name_is_a_missing_prediction(tree, saved) -> None:
    """The published evaluation saved frame 225 as frame000.png."""
    folder = saved / SET.format(1) / 'binary'
    for index, name in enumerate(('frame225.png', 'frame226.png')):
        (folder / name).rename(folder / f'frame{index:03d}.png')
    scores = scored(tree, saved)
    assert scores.tables['binary'].sets[SET.format(1)] == pytest.approx((0.0,), abs=1e-6)
    assert scores.counted_empty == 2
    assert scores.problems[0] == (
        'instrument_dataset_1/frame225 counts as an empty prediction: '
        f'{folder}/frame225.png is missing'
    )


def test_a_missing_prediction_does_not_shift_the_others(tree, saved) -> None:
    (saved / SET.format(1) / 'binary/frame225.png').unlink()
    frames = scored(tree, saved).tables['binary'].frames[SET.format(1)]
    assert [name for name, _ in frames] == ['frame225', 'frame226']
    assert frames[0][1][0] < 1e-6 and frames[1][1] == (1.0,)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (np.full((4, 16), 1, np.uint8), 'holds the value 1; expected 0 and 255'),
        (stripe(0, 8)[:, :8], 'its prediction is 8x4 px and the truth 16x4 px'),
        (None, 'not a whole picture'),
    ],
)
def test_a_prediction_that_cannot_be_used_is_named_and_empty(tree, saved, content, words) -> None:
    path = saved / SET.format(10) / 'binary/frame000.png'
    if content is None:
        path.write_bytes(path.read_bytes()[:40])
    else:
        put(path, content)
    scores = scored(tree, saved)
    assert scores.counted_empty == 1 and words in scores.problems[0]
    assert scores.tables['binary'].sets[SET.format(10)] == pytest.approx((0.0,), abs=1e-6)


def test_a_truth_that_cannot_be_used_is_named_and_its_frame_not_scored(tree, saved) -> None:
    put(tree / SET.format(1) / 'ground_truth/binary/frame225.png', stripe(0, 8, 120))
    (tree / SET.format(10) / 'ground_truth/binary/frame000.png').unlink()
    put(tree / SET.format(1) / 'left_frame/frame300.png', np.zeros((4, 16, 3), np.uint8))
    scores = scored(tree, saved)
    assert list(scores.tables['binary'].frames) == [SET.format(1)]
    assert scores.tables['binary'].final == (1.0,)
    assert len(scores.problems) == 3 and scores.counted_empty == 0
    assert 'frame300.png has no mask' in scores.problems[0]
    assert 'instrument_dataset_10 is not scored' in scores.problems[1]
    assert 'the value 120' in scores.problems[2]


def test_a_tree_without_any_mask_is_refused(tree) -> None:
    for path in tree.rglob('ground_truth/binary/*.png'):
        path.unlink()
    with pytest.raises(FileFormatError, match='msdesis convert ris2017'):
        list_ris(tree)


def test_parts_are_scored_by_the_values_of_the_mapping(tree, saved) -> None:
    label = stripe(0, 8, 10)
    label[:, 4:6], label[:, 6:8] = 20, 30
    put(tree / SET.format(1) / 'ground_truth' / LABEL / 'frame225.png', label)
    put(tree / SET.format(1) / 'ground_truth' / LABEL / 'frame226.png', stripe(0, 4, 10))
    (tree / SET.format(1) / 'mappings.json').write_text(json.dumps({'Wrist': 20, 'Shaft': 10}))
    (tree / SET.format(10) / 'ground_truth' / LABEL / 'frame000.png').unlink()
    predicted = stripe(0, 6, 1)
    predicted[:, 5:8] = 2
    put(saved / SET.format(1) / 'parts/frame225.png', predicted)
    put(saved / SET.format(1) / 'parts/frame226.png', stripe(2, 6, 1))
    frames, _ = list_ris(tree)
    scores = RisScores()
    score_classes(frames, 'parts', saved, scores)
    table = scores.tables['parts']
    assert table.columns == ('shaft', 'wrist', 'jaws')
    # Frame 225: shaft 0..4 found as 0..5, wrist 4..6 as 5..8, jaws 6..8 not at all.
    # Frame 226: shaft 0..4 found as 2..6; wrist and jaws are nowhere.
    expected = ((4 / 5 + 2 / 6) / 2, 1 / 4, 0.0)
    assert table.sets == {SET.format(1): pytest.approx(expected, abs=1e-6)}
    assert len(scores.problems) == 1 and scores.counted_empty == 0
    assert 'instrument_dataset_10/frame000 has no true parts' in scores.problems[0]


def test_types_are_scored_by_the_names_of_the_labels(tree, saved) -> None:
    put(saved / SET.format(1) / 'types/frame225.png', stripe(0, 6, 2))
    put(saved / SET.format(1) / 'types/frame226.png', stripe(0, 8, 9))
    frames, _ = list_ris(tree)
    scores = RisScores()
    score_classes(frames, 'types', saved, scores)
    table = scores.tables['types']
    assert table.columns[1] == 'prograsp_forceps'
    assert table.sets[SET.format(1)][1] == pytest.approx(6 / 8 / 2, abs=1e-6)
    assert table.sets[SET.format(1)][2:] == (None,) * 5
    assert scores.counted_empty == 2
    assert 'holds the value 9; expected 0 (none) to 7' in scores.problems[0]
