"""The sheet of the worst cases: which frames and places are on it, and what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.data.overview import TOOL_COLOUR
from msdesis_ros.evaluation.frame_score import FrameAnswer, FrameTruth, score_frame
from msdesis_ros.evaluation.worst_cases import (
    PANEL_PX,
    TRUTH_COLOUR,
    Case,
    WorstCases,
    worst_areas,
)

SHAPE = (90, 120)
MARGIN_PX = 16


def case(name: str, error_px: float | np.ndarray = 0.0, **heads) -> Case:
    """A wall at 20 px, answered everywhere with an error; a true tool in its middle."""
    tool = np.zeros(SHAPE, bool)
    tool[30:60, 40:80] = True
    truth = FrameTruth(np.full((*SHAPE, 3), 90, np.uint8), np.full(SHAPE, 20.0, np.float32), tool)
    numbers = (truth.disparity_px + error_px).astype(np.float32)
    answer = FrameAnswer(**({'valid': np.ones(SHAPE, bool), 'disparity_px': numbers} | heads))
    return Case(name, truth, answer, score_frame(truth, answer))


def error_at(left: int, top: int, error_px: float, size: int = 20) -> np.ndarray:
    error = np.zeros(SHAPE)
    error[top : top + size, left : left + size] = error_px
    return error


def test_the_worst_frames_are_kept_worst_first_and_the_first_of_equal_ones() -> None:
    worst = WorstCases(2)
    sizes = {'a': 10, 'b': 30, 'c': 0, 'd': 30, 'e': 20, 'f': 30}
    for name, size in sizes.items():
        worst.show(case(name, error_at(0, 0, 9.0, size)))
    assert [kept.name for kept in worst.cases] == ['b', 'd']


def test_a_pixel_without_a_number_is_as_bad_as_a_wrong_one() -> None:
    missing = case('missing', np.where(error_at(0, 0, 1.0) > 0, np.nan, 0.0))
    assert missing.badness == pytest.approx(400 / 10800) == case('', error_at(0, 0, 4.0)).badness


def test_without_a_disparity_wrong_pixels_of_the_mask_decide() -> None:
    nothing = np.zeros(SHAPE, bool)
    found = case('mask', valid=nothing, disparity_px=None, instrument_mask=nothing)
    assert found.badness == pytest.approx(1200 / 10800)
    assert worst_areas(found.trouble, 1) == [(40, 30, 30, 30)]
    blind = case('blind', valid=nothing, disparity_px=None)
    assert blind.badness == 0.0 and worst_areas(blind.trouble, 3) == []


def test_the_worst_area_holds_the_errors_and_the_next_one_does_not_overlap() -> None:
    error = error_at(10, 15, 8.0) + error_at(80, 50, 5.0)
    first, second = worst_areas(case('', error).trouble, 2)
    assert first[2:] == second[2:] == (30, 30)
    assert first[0] <= 10 and first[0] + 30 >= 30 and first[1] <= 15 and first[1] + 30 >= 35
    assert second[0] <= 80 and second[0] + 30 >= 100 and second[1] <= 50 and second[1] + 30 >= 70
    assert len(worst_areas(case('', error_at(10, 15, 8.0)).trouble, 3)) == 1


def test_one_wild_pixel_and_the_border_of_the_truth_do_not_make_the_worst_area() -> None:
    error = error_at(10, 15, 9.0)
    error[80, 110] = 1e6
    assert worst_areas(case('', error).trouble, 1)[0][0] <= 10
    trouble = case('', error_at(10, 15, 4.0)).trouble
    trouble[:, 60:] = np.nan
    trouble[85:, 118:] = 10.0
    assert worst_areas(trouble, 1)[0][0] <= 10


def test_one_frame_fills_the_sheet_with_its_three_worst_areas() -> None:
    error = error_at(0, 0, 9.0) + error_at(50, 0, 8.0) + error_at(100, 60, 7.0)
    sheet, sheets = None, []
    for names in (('a',), ('a', 'b')):
        worst = WorstCases()
        for name in names:
            worst.show(case(name, error))
        sheet = worst.sheet('a title')
        assert sheet.dtype == np.uint8 and sheet.shape[1] == 5 * (PANEL_PX + MARGIN_PX)
        sheets.append(sheet.shape[0])
    title, whole, area = 44, 34 + 30 + 270 + 16, 34 + 30 + 360 + 16
    assert sheets == [title + whole + 3 * area, title + 2 * (whole + area)]


def panel(sheet: np.ndarray, number: int) -> np.ndarray:
    """The inside of a panel of the first row; frames here are 120 x 90, drawn 3 times larger."""
    left = MARGIN_PX + number * (PANEL_PX + MARGIN_PX)
    return sheet[44 + 34 + 30 :][:270, left : left + PANEL_PX]


def test_the_panels_show_masks_errors_trust_and_uncertainty_at_their_places() -> None:
    found = np.zeros(SHAPE, bool)
    found[30:60, 40:90] = True
    unsure = np.where(error_at(0, 0, 1.0, 40) > 0, 4.0, 0.5).astype(np.float32)
    valid = error_at(0, 0, 1.0, 40) == 0
    worst = WorstCases()
    shown = case(
        'a', error_at(90, 60, 4.5), valid=valid, instrument_mask=found, uncertainty_px=unsure
    )
    worst.show(shown)
    sheet = worst.sheet('t')
    left, truth, prediction, error, uncertainty = (panel(sheet, n) for n in range(5))
    for colour, column in ((TRUTH_COLOUR, 79), (TOOL_COLOUR, 89)):
        assert (left[45 * 3 + 1, column * 3 + 1] == colour).all(), column
    assert (truth == truth[200, 100]).all(axis=2).mean() > 0.95
    # One disparity nearly everywhere: where it is not valid, the same colour is darker.
    trusted, untrusted = prediction[200, 20].astype(int), prediction[20, 20].astype(int)
    np.testing.assert_allclose(untrusted, 0.4 * trusted, atol=1)
    assert (error[210, 300] != error[210, 100]).any()
    assert (uncertainty[20, 20] != uncertainty[210, 100]).any()


def test_without_an_uncertainty_the_panel_is_hatched_grey_and_its_caption_says_so() -> None:
    worst = WorstCases()
    worst.show(case('a', error_at(0, 0, 9.0)))
    hatched = panel(worst.sheet('t'), 4)
    assert len(np.unique(hatched[100:].reshape(-1, 3), axis=0)) == 2
    with_it = WorstCases()
    with_it.show(case('a', error_at(0, 0, 9.0), uncertainty_px=np.ones(SHAPE, np.float32)))
    assert (panel(with_it.sheet('t'), 4)[200, 200] != hatched[200, 200]).any()
