"""The overview shows each value in its colour, and what is invalid in none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import ImageError
from msdesis_ros.data.overview import colour_disparity, overview_picture

SHEET_WIDTH = 1464
# Where the panels' pictures begin on a sheet without title lines, for a 640 x 512 picture.
LEFT_X, RIGHT_X, TOP_Y, BOTTOM_Y = 16, 748, 46, 604


@pytest.fixture()
def result():
    rng = np.random.default_rng(0)
    left = rng.integers(0, 256, (512, 640, 3), np.uint8)
    disparity_px = np.tile(np.linspace(20, 60, 640, dtype=np.float32), (512, 1))
    valid = np.ones((512, 640), bool)
    return left, disparity_px, valid


def _turbo(level):
    bgr = cv2.applyColorMap(np.array([[level]], np.uint8), cv2.COLORMAP_TURBO)
    return bgr[0, 0, ::-1]


def _is_grey(colours):
    colours = colours.astype(int)
    return np.ptp(colours, axis=-1).max() <= 14 and colours.max() < 90


def test_the_ends_of_the_range_have_the_end_colours_of_turbo():
    values = np.array([[10.0, 30.0, 50.0, 5.0, 99.0]])
    colours = colour_disparity(values, np.ones((1, 5), bool), 10.0, 50.0)[0]
    for index, level in enumerate((0, 128, 255, 0, 255)):
        np.testing.assert_array_equal(colours[index], _turbo(level))


def test_invalid_and_missing_values_are_hatched_grey_and_no_turbo_colour():
    values = np.full((64, 64), 30.0)
    values[:, 40:] = np.nan
    valid = np.ones((64, 64), bool)
    valid[:20] = False
    colours = colour_disparity(values, valid, 10.0, 50.0)
    assert _is_grey(colours[:20])
    assert _is_grey(colours[:, 40:])
    assert len(np.unique(colours[:20].reshape(-1, 3), axis=0)) == 2
    np.testing.assert_array_equal(colours[30, 10], _turbo(128))
    turbo = np.array([_turbo(level) for level in range(256)])
    assert (np.abs(turbo.astype(int) - colours[0, 0]).max(axis=1) > 15).all()


def test_the_panels_show_picture_disparity_and_depth_where_they_belong(result):
    left, disparity_px, valid = result
    sheet = overview_picture(left, disparity_px, valid, depth_m=2.25 / disparity_px)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1:] == (SHEET_WIDTH, 3)
    np.testing.assert_array_equal(sheet[TOP_Y : TOP_Y + 512, LEFT_X : LEFT_X + 640], left)
    for x, y in ((RIGHT_X, TOP_Y), (LEFT_X, BOTTOM_Y)):
        # Near is red and far is blue, for disparity and depth alike.
        np.testing.assert_array_equal(sheet[y + 100, x + 1], _turbo(0))
        np.testing.assert_array_equal(sheet[y + 100, x + 638], _turbo(255))
    # The depth of 40 px lies at 27 % of the way from the nearest to the farthest.
    middle = sheet[BOTTOM_Y + 100, LEFT_X + 320].astype(int)
    nearest, farthest = 2.25 / np.percentile(disparity_px, (99, 1))
    level = round(255 * (farthest - 2.25 / disparity_px[100, 320]) / (farthest - nearest))
    assert np.abs(middle - _turbo(level)).max() < 8


def test_the_colour_bars_have_red_on_top(result):
    left, disparity_px, valid = result
    sheet = overview_picture(left, disparity_px, valid, depth_m=2.25 / disparity_px)
    for x, y in ((RIGHT_X, TOP_Y), (LEFT_X, BOTTOM_Y)):
        np.testing.assert_array_equal(sheet[y, x + 652], _turbo(255))
        np.testing.assert_array_equal(sheet[y + 511, x + 652], _turbo(0))


def test_a_few_wild_values_do_not_flatten_the_colours(result):
    left, disparity_px, valid = result
    wild = disparity_px.copy()
    wild[0, :100] = 5000.0
    plain, disturbed = (overview_picture(left, d, valid) for d in (disparity_px, wild))
    panel = np.s_[TOP_Y + 1 : TOP_Y + 512, RIGHT_X : RIGHT_X + 640]
    assert np.abs(plain[panel].astype(int) - disturbed[panel]).mean() < 3


def test_without_a_calibration_the_depth_panel_shows_no_value(result):
    sheet = overview_picture(*result)
    assert _is_grey(sheet[BOTTOM_Y : BOTTOM_Y + 512, LEFT_X : LEFT_X + 640])


def test_without_a_mask_the_last_panel_shows_the_valid_pixels(result):
    left, disparity_px, valid = result
    valid[:256] = False
    sheet = overview_picture(left, disparity_px, valid)
    panel = sheet[BOTTOM_Y : BOTTOM_Y + 512, RIGHT_X : RIGHT_X + 640]
    assert _is_grey(panel[:256])
    np.testing.assert_array_equal(panel[256:], left[256:])


def test_instruments_are_tinted_and_the_rest_is_left_alone(result):
    left, disparity_px, valid = result
    mask = np.zeros((512, 640), bool)
    mask[100:200, 300:400] = True
    sheet = overview_picture(left, disparity_px, valid, instrument_mask=mask)
    panel = sheet[BOTTOM_Y : BOTTOM_Y + 512, RIGHT_X : RIGHT_X + 640].astype(int)
    np.testing.assert_array_equal(panel[~mask], left[~mask])
    inside = panel[105:195, 305:395]
    assert inside[..., 1].mean() > inside[..., 0].mean() + 80


def test_everything_invalid_still_makes_a_sheet(result):
    left, disparity_px, valid = result
    nothing = np.full_like(disparity_px, np.nan)
    sheet = overview_picture(left, nothing, ~valid, depth_m=nothing, instrument_mask=~valid)
    assert _is_grey(sheet[TOP_Y : TOP_Y + 512, RIGHT_X : RIGHT_X + 640])
    assert _is_grey(sheet[BOTTOM_Y : BOTTOM_Y + 512, LEFT_X : LEFT_X + 640])


@pytest.mark.parametrize('size', [(48, 64), (1024, 1280), (1080, 1920), (201, 63)])
def test_every_picture_size_gives_the_same_sheet_width(size):
    height, width = size
    left, valid = np.zeros((height, width, 3), np.uint8), np.ones(size, bool)
    sheet = overview_picture(left, np.full(size, 9.0), valid, title_lines=('Title', 'more'))
    assert sheet.shape[1] == SHEET_WIDTH
    assert sheet.shape[0] > 2 * 640 * height / width


def test_title_lines_are_written_above_the_panels(result):
    bare, titled = (
        overview_picture(*result),
        overview_picture(*result, title_lines=('A', 'b', 'c')),
    )
    added = titled.shape[0] - bare.shape[0]
    assert added == 70
    np.testing.assert_array_equal(titled[added + 16 :], bare[16:])
    rows = titled[: added + 10].max(axis=(1, 2)) > 120
    # Three lines of text: three runs of bright rows.
    assert np.count_nonzero(np.diff(rows.astype(int)) == 1) == 3


def test_results_of_another_size_are_refused(result):
    left, disparity_px, valid = result
    with pytest.raises(ImageError, match='does not belong'):
        overview_picture(left, disparity_px, valid, depth_m=disparity_px[:-1])
    with pytest.raises(ImageError, match='expected uint8'):
        overview_picture(left[..., 0], disparity_px, valid)
