"""Both means of a data set, and the files that hold them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from msdesis_ros.evaluation.disparity_sums import DisparitySums
from msdesis_ros.evaluation.frame_score import RegionSums, Score
from msdesis_ros.evaluation.mask_sums import MaskSums
from msdesis_ros.evaluation.regions import REGIONS
from msdesis_ros.evaluation.totals import (
    MASK_MEASURES,
    MEASURES,
    PER_FRAME,
    PER_PIXEL,
    Totals,
    write_csv,
    write_json,
)
from msdesis_ros.evaluation.uncertainty_sums import uncertainty_sums


def score(pixels: int, error_px: float, *, unsure: bool = False, region: str = 'all') -> Score:
    """A frame of so many pixels, each answered and off by `error_px`."""
    sums = DisparitySums(
        truth_pixels=pixels,
        answered_pixels=pixels,
        error_px=pixels * error_px,
        bad_1=pixels if error_px > 1 else 0,
    )
    told = np.full(pixels, error_px)
    uncertainty = uncertainty_sums(told, np.ones(pixels)) if unsure else None
    return Score({region: RegionSums(sums, sums, uncertainty)}, MaskSums(hit=pixels))


@pytest.fixture
def totals() -> Totals:
    """One frame of 300 pixels with 1 px of error, one of 100 with 5 px, one with a tool only."""
    made = Totals()
    made.add('a', score(300, 1.0))
    made.add('b', score(100, 5.0))
    made.add('c', score(10, 2.0, region='tool'))
    return made


def test_each_pixel_counts_alike_or_each_frame_and_both_are_told(totals: Totals) -> None:
    assert totals.per_pixel['all']['epe_px'] == pytest.approx((300 * 1 + 100 * 5) / 400)
    assert totals.per_pixel['all']['bad_1'] == pytest.approx(0.25)
    mean = totals.per_frame['all']['epe_px']
    assert (mean.mean, mean.frames) == (pytest.approx(3.0), 2)
    assert totals.per_frame['all']['mask_iou'].frames == 3
    nothing = totals.per_frame['occluded']['epe_px']
    assert (nothing.mean, nothing.frames) == (None, 0)


def test_the_json_holds_everything_and_null_for_what_is_not_there(
    totals: Totals, tmp_path
) -> None:
    write_json(tmp_path / 'metrics.json', totals, {'model': {'name': 'm'}})
    found = json.loads((tmp_path / 'metrics.json').read_text())
    assert (found['model'], found['frames'], found['curves']) == ({'name': 'm'}, 3, None)
    assert list(found['per_pixel']) == list(REGIONS)
    assert found['per_pixel']['all']['epe_px'] == 2.0
    assert found['per_pixel']['all']['ause'] is None
    assert found['per_pixel']['tool']['truth_pixels'] == 10
    assert found['per_frame']['all']['epe_px'] == {'mean': 3.0, 'frames': 2}
    assert [frame['frame'] for frame in found['each_frame']] == ['a', 'b', 'c']
    assert found['each_frame'][1]['regions']['all']['epe_px'] == 5.0


def test_the_csv_has_a_row_for_each_frame_and_region_and_empty_cells(
    totals: Totals, tmp_path
) -> None:
    write_csv(tmp_path / 'metrics.csv', totals)
    with (tmp_path / 'metrics.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ['frame', 'region', *MEASURES, *MASK_MEASURES]
    assert len(rows) == 5 * len(REGIONS)
    by_name = {(row['frame'], row['region']): row for row in rows}
    assert by_name['a', 'all']['epe_px'] == '1.0' and by_name['a', 'all']['ause'] == ''
    assert by_name['a', 'tool']['truth_pixels'] == ''
    assert float(by_name[PER_PIXEL, 'all']['epe_px']) == 2.0
    assert float(by_name[PER_FRAME, 'all']['epe_px']) == 3.0


def test_the_curves_are_those_of_all_pixels_of_all_frames(tmp_path) -> None:
    made = Totals()
    made.add('a', score(300, 1.0, unsure=True))
    made.add('b', score(100, 5.0, unsure=True))
    curves = made.curves
    assert curves is not None
    assert curves['removed_share'][0] == 0.0 and len(curves['removed_share']) == 20
    assert curves['epe_px'] == pytest.approx([2.0] * 20)
    assert (curves['oracle_epe_px'][0], curves['oracle_epe_px'][-1]) == pytest.approx((2.0, 1.0))
    assert curves['nominal_share'] == pytest.approx([tenth / 10 for tenth in range(1, 10)])
    # b is 0.71 px: 1 px lies within the interval of 1 - exp(-1.41) = 0.757 and above.
    assert curves['empirical_share'] == pytest.approx([0] * 7 + [0.75] * 2)
    write_json(tmp_path / 'metrics.json', made, {})
    assert json.loads((tmp_path / 'metrics.json').read_text())['curves'] == curves
