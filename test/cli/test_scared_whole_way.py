"""SCARED from the published tree to scores, all figures worked out by hand as well."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / 'miniature'))
import scared_tree
from built_program import built_program

pytest.importorskip('av', reason='PyAV is not installed')

NAMES = [(number, frame) for number in (8, 9) for frame in range(5)]


@pytest.fixture(scope='module')
def way(tmp_path_factory):
    """Published tree, converted tree, saved predictions and scores of the classic matcher."""
    root = tmp_path_factory.mktemp('scared')
    scared_tree.write_scared_tree(root / 'published', frames=2)
    return root


@pytest.fixture
def run(run_command, monkeypatch):
    monkeypatch.setattr('msdesis_ros.cli.app.app', built_program())

    def run(command, *arguments):
        code, said, told = run_command(command)(*arguments)
        assert code == 0, told
        return said, told

    return run


def values(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED) / 128.0


def scores_by_hand(converted: Path, predictions: Path) -> dict[str, list[float]]:
    """EPE, Bad3 and depth error of each key frame and set, as the release's protocol says."""
    rows: dict[str, list[float]] = {}
    for number, frame in NAMES:
        folder = converted / f'dataset_{number}' / f'keyframe_{frame}'
        stored = json.loads((folder / 'stereo_calib.json').read_text())
        focal_baseline = -stored['P2']['data'][3]
        figures = []
        for path in sorted((folder / 'data' / 'disparity').glob('*.png')):
            truth = values(path)
            known = truth > 0
            if known.mean() < 0.07:
                continue
            saved = predictions / f'dataset_{number}' / f'keyframe_{frame}'
            found, truth = values(saved / f'frame{path.stem}.png')[known], truth[known]
            error = np.abs(found - truth)
            depth = np.divide(focal_baseline, found, out=np.zeros_like(found), where=found > 0)
            depth_error = np.where(found > 0, np.abs(depth - focal_baseline / truth), 40.0)
            figures.append([error.mean(), 100 * (error > 3).mean(), depth_error.mean()])
        assert len(figures) == 1  # frame 1 is sparse
        rows[f'dataset_{number}_keyframe_{frame}'] = np.mean(figures, axis=0).tolist()
    for number in (8, 9):
        own = [row for name, row in rows.items() if name.startswith(f'dataset_{number}_')]
        rows[f'dataset{number}_mean'] = np.mean(own, axis=0).tolist()
    rows['final_mean'] = np.mean([rows['dataset8_mean'], rows['dataset9_mean']], axis=0).tolist()
    return rows


def test_scores_of_what_was_converted_are_those_that_the_files_give_by_hand(way, run):
    said, _ = run('convert', 'scared', way / 'published', '--out', way / 'converted')
    assert said.endswith('18 frames made\n')
    run(
        *('evaluate', 'scared', way / 'converted', '--out', way / 'scores'),
        *('--model', 'opencv_sgbm', '--save-predictions', way / 'predictions'),
    )
    expected = scores_by_hand(way / 'converted', way / 'predictions')
    with (way / 'scores' / 'scared_scores.csv').open(newline='') as file:
        rows = {row['dataset']: row for row in csv.DictReader(file)}
    assert list(rows) == list(expected)
    for name, (epe, bad3, depth) in expected.items():
        # Saved at 128 a prediction is off by up to 1/256 px.
        assert float(rows[name]['EPE']) == pytest.approx(epe, abs=1 / 256 + 1e-6), name
        assert float(rows[name]['Bad3']) == pytest.approx(bad3, abs=0.2), name
        assert float(rows[name]['Depth_MAE']) == pytest.approx(depth, abs=0.1), name
    # The matcher sees what the truth says: pictures and truth belong together.
    matched = []
    for number, frame in NAMES:
        key = f'dataset_{number}/keyframe_{frame}'
        truth = values(way / 'converted' / key / 'data/disparity/000000.png')
        found = values(way / 'predictions' / key / 'frame000000.png')
        both = (truth > 0) & (found > 0)
        matched.append(np.median(np.abs(truth - found)[both]))
    assert max(matched) < 0.5
