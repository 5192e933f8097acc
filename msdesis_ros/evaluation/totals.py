"""From the scores of frames to the figures of a data set, and to the files that hold them."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msdesis_ros.data.images import atomic_write
from msdesis_ros.evaluation.disparity_sums import Measures
from msdesis_ros.evaluation.frame_score import Score
from msdesis_ros.evaluation.regions import REGIONS
from msdesis_ros.evaluation.uncertainty_sums import NOMINAL_SHARES, REMOVED_SHARES

MEASURES = (
    'truth_pixels',
    'coverage',
    'epe_px',
    'bad_1',
    'bad_3',
    'd1',
    'depth_mae_mm',
    'dense_coverage',
    'dense_epe_px',
    'dense_bad_1',
    'dense_bad_3',
    'dense_d1',
    'epe_certain_80_px',
    'ause_px',
    'ause',
    'calibration_error',
)
MASK_MEASURES = ('mask_iou', 'mask_precision', 'mask_recall', 'mask_painted')
PER_PIXEL, PER_FRAME = 'all frames, per pixel', 'all frames, per frame'
_CURVE_STEP = 5  # of the 100 shares that the areas are taken over


@dataclass(frozen=True)
class FrameMean:
    """The mean of a measure over the frames where it has a value, and how many these are."""

    mean: float | None
    frames: int


class Totals:
    """Collects scores: the sums of all frames, and the figures of each frame by its name."""

    def __init__(self) -> None:
        self.score = Score()
        self.frames: list[tuple[str, dict[str, Measures]]] = []

    def add(self, name: str, score: Score) -> None:
        """Add one frame."""
        self.score = self.score + score
        self.frames.append((name, complete(score.measures)))

    @property
    def per_pixel(self) -> dict[str, Measures]:
        """Every pixel counts alike: figures of the sums over all frames, by region."""
        return complete(self.score.measures)

    @property
    def per_frame(self) -> dict[str, dict[str, FrameMean]]:
        """Every frame counts alike: means of the frames' own figures, by region and measure."""
        return {
            region: {
                measure: _mean_of([found[region][measure] for _, found in self.frames])
                for measure in measures
                if measure != 'truth_pixels'
            }
            for region, measures in complete({}).items()
        }

    @property
    def curves(self) -> dict[str, list[float]] | None:
        """Sparsification and calibration over all pixels; None without an uncertainty."""
        everything = self.score.regions.get('all')
        sums = everything.uncertainty if everything is not None else None
        if sums is None or not sums.pixels:
            return None
        removed = REMOVED_SHARES[::_CURVE_STEP]
        return {
            'removed_share': removed.tolist(),
            'epe_px': sums.sparsification_px(removed).tolist(),
            'oracle_epe_px': sums.sparsification_px(removed, oracle=True).tolist(),
            'nominal_share': list(NOMINAL_SHARES),
            'empirical_share': sums.empirical_shares.tolist(),
        }


def complete(measures: dict[str, Measures]) -> dict[str, Measures]:
    """Every region with every measure in its order, None for what is not there."""
    return {
        region: {
            name: measures.get(region, {}).get(name)
            for name in (*MEASURES, *(MASK_MEASURES if region == 'all' else ()))
        }
        for region in REGIONS
    }


def write_json(path: Path, totals: Totals, about: dict[str, Any]) -> None:
    """Write `about` and every figure; None becomes null, and no NaN can be in it."""
    per_frame = {
        region: {name: vars(mean) for name, mean in means.items()}
        for region, means in totals.per_frame.items()
    }
    content = {
        **about,
        'frames': len(totals.frames),
        'per_pixel': totals.per_pixel,
        'per_frame': per_frame,
        'curves': totals.curves,
        'each_frame': [{'frame': name, 'regions': found} for name, found in totals.frames],
    }
    text = json.dumps(content, indent=2, allow_nan=False)
    with atomic_write(path) as temporary:
        temporary.write_text(text + '\n', encoding='utf-8')


def write_csv(path: Path, totals: Totals) -> None:
    """Write a row for each frame and region, then those of both means; an empty cell is None."""
    per_frame = {
        region: {name: mean.mean for name, mean in means.items()}
        for region, means in totals.per_frame.items()
    }
    tables = [*totals.frames, (PER_PIXEL, totals.per_pixel), (PER_FRAME, per_frame)]
    columns = ('frame', 'region', *MEASURES, *MASK_MEASURES)
    with (
        atomic_write(path) as temporary,
        temporary.open('w', encoding='utf-8', newline='') as file,
    ):
        rows = csv.DictWriter(file, columns, restval='', lineterminator='\n')
        rows.writeheader()
        for name, found in tables:
            for region, measures in found.items():
                rows.writerow({'frame': name, 'region': region, **measures})


def _mean_of(values: list[float | int | None]) -> FrameMean:
    known = [value for value in values if value is not None]
    return FrameMean(sum(known) / len(known) if known else None, len(known))
